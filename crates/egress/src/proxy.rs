//! Goes to receivers through a proxy of the operator's.
//!
//! **Invariant:** the proxy is asked for an address that the policy screened, never for a name. Its
//! own address is the operator's choice, and no address policy is asked for it. TLS with the
//! receiver begins behind it: a proxy sees no more than where a connection goes, and what it
//! answers proves nothing about the receiver.

mod address;
mod http_connect;
mod socks5;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hookseal_domain::address_policy::ScreenedAddr;
use hookseal_domain::secret::Secret;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::name::Name;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

pub use self::address::{ProxyAddress, ProxyProtocol};
use crate::limits::CONNECTS_MAX;
use crate::resolve::{Names, ResolveError};

/// A proxy that receivers are reached through.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// What policies call it.
    pub name: Name,
    /// Where it is and what it speaks.
    pub address: ProxyAddress,
    /// What it knows us by.
    pub credentials: Option<ProxyCredentials>,
}

/// What a proxy knows us by.
#[derive(Clone)]
pub struct ProxyCredentials {
    user: String,
    password: Secret<String>,
}

/// Credentials that no proxy could be told.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProxyCredentialsError {
    /// RFC 1929 §2 has one byte for each length.
    #[error("user and password must have 1 to 255 bytes each")]
    Length,
    /// RFC 7617 §2.
    #[error("the user must not contain a colon, and neither user nor password control characters")]
    Characters,
}

/// There is no way through a proxy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error("the proxy {proxy} can't be used")]
    Unreachable {
        proxy: Name,
        #[source]
        source: ProxyFault,
    },
    #[error("the proxy {proxy} refuses the connection to {target}: {refusal}")]
    Refused {
        proxy: Name,
        target: SocketAddr,
        refusal: Refusal,
    },
    /// The proxy does as it is told, but has no connection to the receiver now.
    #[error("the proxy {proxy} has no connection to {target}: {answer}")]
    NoConnection {
        proxy: Name,
        target: SocketAddr,
        answer: Answer,
    },
    #[error("no address to connect to")]
    NoAddress,
}

/// What is wrong with a proxy itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyFault {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error("no connection to {addr}")]
    Connect {
        addr: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("it did not answer in time")]
    TimedOut,
    #[error("the connection to it broke")]
    Broken(#[from] io::Error),
    #[error("it does not speak {0} as it should: {1}")]
    Protocol(ProxyProtocol, &'static str),
}

/// Why a proxy refuses.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("it wants credentials, and none are configured (egress.proxy_credentials)")]
    CredentialsWanted,
    #[error("it does not accept our credentials (egress.proxy_credentials)")]
    Credentials,
    #[error("its rules forbid it")]
    Rules,
    #[error("it does not do what it is asked for")]
    Unsupported,
    #[error("it answered with HTTP status {0}")]
    Status(u16),
}

/// What a proxy says when it has no connection to a receiver now.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Answer {
    #[error("it answered with HTTP status {0}")]
    Status(u16),
    #[error("it does not say why")]
    Unexplained,
    #[error("the network is unreachable")]
    NetworkUnreachable,
    #[error("the host is unreachable")]
    HostUnreachable,
    #[error("the connection was refused")]
    ConnectionRefused,
    #[error("the time was up on the way")]
    TtlExpired,
    #[error("it does not support that type of address")]
    AddressType,
    #[error("it has not answered within {} ms", .0.as_millis())]
    Late(Duration),
}

/// How asking a proxy for one connection failed.
#[derive(Debug)]
enum Failure {
    Fault(ProxyFault),
    Refusal(Refusal),
    Answer(Answer),
}

// === impl Proxy ===

impl Proxy {
    /// Connects to the first address that can be reached from the proxy. Each gets an even share of
    /// what is left of `within`.
    pub(crate) async fn connect(
        &self,
        names: &Names,
        addresses: &[ScreenedAddr],
        within: Duration,
    ) -> Result<(TcpStream, SocketAddr), ProxyError> {
        let began = Instant::now();
        let mut failure = ProxyError::NoAddress;
        let count = u32::try_from(addresses.len().min(CONNECTS_MAX)).unwrap_or(1);
        for (address, remaining) in addresses.iter().zip((1..=count).rev()) {
            let share = within.saturating_sub(began.elapsed()) / remaining;
            let asked = self.connect_to(names, *address, share).await;
            failure = match asked.map_err(|failure| self.explain(failure, *address)) {
                Ok(stream) => return Ok((stream, address.addr())),
                Err(error) if error.is_of_proxy() => return Err(error),
                Err(error) => error,
            };
        }
        Err(failure)
    }

    async fn connect_to(
        &self,
        names: &Names,
        target: ScreenedAddr,
        within: Duration,
    ) -> Result<TcpStream, Failure> {
        let deadline = Instant::now() + within;
        let late = |_| Failure::Fault(ProxyFault::TimedOut);
        let mut stream = timeout_at(deadline, self.reach(names, deadline))
            .await
            .map_err(late)?
            .map_err(Failure::Fault)?;
        let credentials = self.credentials.as_ref();
        if self.address.protocol == ProxyProtocol::Socks5 {
            timeout_at(deadline, socks5::sign_in(&mut stream, credentials))
                .await
                .map_err(late)??;
        }
        // From here on a slow receiver looks the same as a slow proxy.
        let asked = async {
            match self.address.protocol {
                ProxyProtocol::Http => {
                    http_connect::ask(&mut stream, target.addr(), credentials).await
                }
                ProxyProtocol::Socks5 => socks5::ask(&mut stream, target.addr()).await,
            }
        };
        timeout_at(deadline, asked)
            .await
            .map_err(|_| Failure::Answer(Answer::Late(within)))??;
        self.nothing_early(&stream)?;
        Ok(stream)
    }

    /// A connection to the first of the proxy's own addresses that answers. Each gets an even share
    /// of what is left.
    async fn reach(&self, names: &Names, deadline: Instant) -> Result<TcpStream, ProxyFault> {
        let ips = match self.address.host.parse::<IpAddr>() {
            Ok(ip) => vec![ip],
            Err(_) => names.resolve(&self.address.host).await?,
        };
        let mut failure = ResolveError::NoAddress(self.address.host.clone()).into();
        let count = u32::try_from(ips.len().min(CONNECTS_MAX)).unwrap_or(1);
        for (ip, remaining) in ips.into_iter().zip((1..=count).rev()) {
            let addr = SocketAddr::new(ip, self.address.port);
            let share = deadline.saturating_duration_since(Instant::now()) / remaining;
            failure = match timeout(share, TcpStream::connect(addr)).await {
                Ok(Ok(stream)) => match stream.set_nodelay(true) {
                    Ok(()) => return Ok(stream),
                    Err(source) => ProxyFault::Connect { addr, source },
                },
                Ok(Err(source)) => ProxyFault::Connect { addr, source },
                Err(_) => ProxyFault::TimedOut,
            };
        }
        Err(failure)
    }

    /// A receiver waits for our first byte. Whatever comes before it is the proxy's invention.
    fn nothing_early(&self, stream: &TcpStream) -> Result<(), Failure> {
        match stream.try_read(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Ok(0) => Err(Failure::Answer(Answer::Unexplained)),
            Ok(_) => Err(early(self.address.protocol)),
            Err(error) => Err(error.into()),
        }
    }

    fn explain(&self, failure: Failure, target: ScreenedAddr) -> ProxyError {
        let proxy = self.name.clone();
        let target = target.addr();
        match failure {
            Failure::Fault(source) => ProxyError::Unreachable { proxy, source },
            Failure::Refusal(refusal) => ProxyError::Refused {
                proxy,
                target,
                refusal,
            },
            Failure::Answer(answer) => ProxyError::NoConnection {
                proxy,
                target,
                answer,
            },
        }
    }
}

fn early(protocol: ProxyProtocol) -> Failure {
    protocol_fault(protocol, "it sends more than its answer")
}

fn protocol_fault(protocol: ProxyProtocol, what: &'static str) -> Failure {
    Failure::Fault(ProxyFault::Protocol(protocol, what))
}

// === impl Failure ===

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Fault(error.into())
    }
}

// === impl ProxyError ===

impl ProxyError {
    /// Whether the next address would meet the same.
    fn is_of_proxy(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { refusal, .. } => {
                matches!(refusal, Refusal::Credentials | Refusal::CredentialsWanted)
            }
            Self::NoConnection { .. } | Self::NoAddress => false,
        }
    }

    /// What it means; `None` if it is the receiver that can't be reached.
    pub(crate) fn tls_failure(&self) -> Option<TlsFailure> {
        match self {
            Self::Unreachable { .. } => Some(TlsFailure::ProxyUnreachable),
            Self::Refused { .. } => Some(TlsFailure::ProxyRefused),
            Self::NoConnection { .. } | Self::NoAddress => None,
        }
    }
}

// === impl ProxyCredentials ===

impl ProxyCredentials {
    /// Checks that both ways to tell them (RFC 7617, RFC 1929) can carry them.
    pub fn new(user: &str, password: Secret<String>) -> Result<Self, ProxyCredentialsError> {
        let lengths = [user.len(), password.expose().len()];
        if lengths.iter().any(|length| !(1..=255).contains(length)) {
            return Err(ProxyCredentialsError::Length);
        }
        let is_odd = |text: &str| text.chars().any(char::is_control);
        if user.contains(':') || is_odd(user) || is_odd(password.expose()) {
            return Err(ProxyCredentialsError::Characters);
        }
        Ok(Self {
            user: user.to_owned(),
            password,
        })
    }
}

impl fmt::Debug for ProxyCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyCredentials(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_that_can_not_be_told() {
        let check = |user: &str, password: &str, expect| {
            let made = ProxyCredentials::new(user, Secret::new(password.to_owned()));
            assert_eq!(made.err(), expect, "{user}");
        };
        check("hookseal", "a:b", None);
        check("", "x", Some(ProxyCredentialsError::Length));
        check("x", "", Some(ProxyCredentialsError::Length));
        check(&"x".repeat(256), "x", Some(ProxyCredentialsError::Length));
        check("a:b", "x", Some(ProxyCredentialsError::Characters));
        check("a", "x\r\n", Some(ProxyCredentialsError::Characters));
    }
}
