//! An endpoint whose connect hangs: a listener whose queue is full and from which nothing is accepted.
//! Linux drops a connection request that finds the queue full, so that the caller hears nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

/// A connect over loopback that takes longer than this hangs.
const HANGS_AFTER: Duration = Duration::from_millis(500);
/// A queue of length 1 is full well before this many.
const CONNECTIONS_MAX: usize = 16;

/// Hangs whoever connects, for as long as it is held.
#[derive(Debug)]
pub struct Tarpit {
    address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

// === impl Tarpit ===

impl Tarpit {
    /// Fills the queue until another connect hangs.
    pub async fn open() -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let listener = socket.listen(1)?;
        let address = listener.local_addr()?;
        let mut queue = Vec::new();
        while queue.len() < CONNECTIONS_MAX {
            let Ok(connected) = timeout(HANGS_AFTER, TcpStream::connect(address)).await else {
                return Ok(Self {
                    address,
                    _listener: listener,
                    _queue: queue,
                });
            };
            queue.push(connected?);
        }
        anyhow::bail!("connects to a full queue do not hang on this machine");
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connect_hangs() {
        let tarpit = Tarpit::open().await.unwrap();
        let connecting = TcpStream::connect(tarpit.address);
        let brief = Duration::from_millis(100);
        assert!(timeout(brief, connecting).await.is_err());
    }
}
