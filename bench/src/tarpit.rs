//! An endpoint whose connect hangs: a listener with a full queue that never accepts. Linux drops a
//! connection request that finds the queue full, so the caller hears nothing at all.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

/// A connect over loopback that takes longer than this hangs.
const HANGS_AFTER: Duration = Duration::from_millis(500);
/// A queue of length 1 is full well before this many.
const CONNECTIONS_MAX: usize = 16;

/// Hangs whoever connects, as long as it is held.
#[derive(Debug)]
pub(crate) struct Tarpit {
    address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

// === impl Tarpit ===

impl Tarpit {
    /// Fills the queue and makes sure that another connect hangs.
    pub(crate) async fn open() -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let listener = socket.listen(1)?;
        let address = listener.local_addr()?;
        let mut queue = Vec::new();
        while queue.len() < CONNECTIONS_MAX {
            match timeout(HANGS_AFTER, TcpStream::connect(address)).await {
                Ok(connected) => queue.push(connected?),
                Err(_) => {
                    return Ok(Self {
                        address,
                        _listener: listener,
                        _queue: queue,
                    });
                }
            }
        }
        anyhow::bail!("connects to a full queue do not hang on this machine");
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connect_hangs() {
        let tarpit = Tarpit::open().await.unwrap();
        let connecting = TcpStream::connect(tarpit.address);
        assert!(
            timeout(Duration::from_millis(100), connecting)
                .await
                .is_err()
        );
    }
}
