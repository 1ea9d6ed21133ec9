//! Opens TCP connections, to screened addresses only.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hookseal_domain::address_policy::ScreenedAddr;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::limits::CONNECTS_MAX;

/// No address could be connected to. Tells of the last one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("no connection to {addr}")]
    Refused {
        addr: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("no connection to {addr} within {} ms", .waited.as_millis())]
    TimedOut { addr: SocketAddr, waited: Duration },
    #[error("no address to connect to")]
    NoAddress,
}

/// Connects to the first address that answers. Each gets an even share of what is left of `within`.
pub(crate) async fn connect(
    addresses: &[ScreenedAddr],
    within: Duration,
) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let began = Instant::now();
    let mut failure = ConnectError::NoAddress;
    let count = u32::try_from(addresses.len().min(CONNECTS_MAX)).unwrap_or(1);
    for (address, remaining) in addresses.iter().zip((1..=count).rev()) {
        let addr = address.addr();
        let share = within.saturating_sub(began.elapsed()) / remaining;
        failure = match timeout(share, TcpStream::connect(addr)).await {
            Ok(Ok(stream)) => match stream.set_nodelay(true) {
                Ok(()) => return Ok((stream, addr)),
                Err(source) => ConnectError::Refused { addr, source },
            },
            Ok(Err(source)) => ConnectError::Refused { addr, source },
            Err(_) => ConnectError::TimedOut {
                addr,
                waited: share,
            },
        };
    }
    Err(failure)
}
