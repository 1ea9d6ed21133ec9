//! Asks a SOCKS proxy for a connection (RFC 1928, RFC 1929).

use std::net::{IpAddr, SocketAddr};

use hookseal_domain::secret::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Answer, Failure, ProxyCredentials, ProxyProtocol, Refusal, protocol_fault};

const VERSION: u8 = 5;
/// Of the sub-negotiation (RFC 1929 §2).
const SIGN_IN_VERSION: u8 = 1;
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Agrees on how we sign in, and does (RFC 1928 §3).
pub(super) async fn sign_in(
    stream: &mut TcpStream,
    credentials: Option<&ProxyCredentials>,
) -> Result<(), Failure> {
    let offer: &[u8] = match credentials {
        Some(_) => &[VERSION, 2, NO_AUTHENTICATION, USER_AND_PASSWORD],
        None => &[VERSION, 1, NO_AUTHENTICATION],
    };
    stream.write_all(offer).await?;
    let mut choice = [0; 2];
    stream.read_exact(&mut choice).await?;
    match (choice, credentials) {
        ([VERSION, NO_AUTHENTICATION], _) => Ok(()),
        ([VERSION, USER_AND_PASSWORD], Some(credentials)) => tell(stream, credentials).await,
        ([VERSION, NO_METHOD], Some(_)) => Err(Failure::Refusal(Refusal::Credentials)),
        ([VERSION, NO_METHOD], None) => Err(Failure::Refusal(Refusal::CredentialsWanted)),
        ([VERSION, _], _) => Err(fault("it chooses a way to sign in that was not offered")),
        _ => Err(fault("its answer has another version")),
    }
}

async fn tell(stream: &mut TcpStream, credentials: &ProxyCredentials) -> Result<(), Failure> {
    let mut message = Vec::with_capacity(3 + 255 + 255);
    message.push(SIGN_IN_VERSION);
    for text in [&credentials.user, credentials.password.expose()] {
        // Never longer: it is checked when credentials are made.
        message.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        message.extend_from_slice(text.as_bytes());
    }
    let message = Secret::new(message);
    stream.write_all(message.expose()).await?;
    let mut verdict = [0; 2];
    stream.read_exact(&mut verdict).await?;
    match verdict {
        // Some proxies repeat the version of SOCKS here.
        [SIGN_IN_VERSION | VERSION, 0] => Ok(()),
        [SIGN_IN_VERSION | VERSION, _] => Err(Failure::Refusal(Refusal::Credentials)),
        _ => Err(fault("its answer has another version")),
    }
}

/// Asks for a connection to `target` (RFC 1928 §4). Afterwards the stream is that connection.
pub(super) async fn ask(stream: &mut TcpStream, target: SocketAddr) -> Result<(), Failure> {
    stream.write_all(&request(target)).await?;
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let [version, reply, _, address_type] = head;
    if version != VERSION {
        return Err(fault("its answer has another version"));
    }
    verdict(reply)?;
    // The address that the proxy connects from. Nobody needs it, but it has to be read away.
    let length = match address_type {
        IPV4 => 4,
        IPV6 => 16,
        NAME => usize::from(stream.read_u8().await?),
        _ => return Err(fault("its answer has an unknown type of address")),
    };
    let mut bound = [0; 255 + 2];
    match bound.get_mut(..length + 2) {
        Some(bound) => stream.read_exact(bound).await?,
        None => return Err(fault("its answer is too long")),
    };
    Ok(())
}

fn request(target: SocketAddr) -> Vec<u8> {
    let mut message = vec![VERSION, CONNECT, 0];
    match target.ip() {
        IpAddr::V4(ip) => {
            message.push(IPV4);
            message.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            message.push(IPV6);
            message.extend_from_slice(&ip.octets());
        }
    }
    message.extend_from_slice(&target.port().to_be_bytes());
    message
}

/// What a reply means (RFC 1928 §6).
fn verdict(reply: u8) -> Result<(), Failure> {
    Err(match reply {
        0 => return Ok(()),
        1 => Failure::Answer(Answer::Unexplained),
        2 => Failure::Refusal(Refusal::Rules),
        3 => Failure::Answer(Answer::NetworkUnreachable),
        4 => Failure::Answer(Answer::HostUnreachable),
        5 => Failure::Answer(Answer::ConnectionRefused),
        6 => Failure::Answer(Answer::TtlExpired),
        7 => Failure::Refusal(Refusal::Unsupported),
        8 => Failure::Answer(Answer::AddressType),
        _ => fault("its answer has an unknown code"),
    })
}

fn fault(what: &'static str) -> Failure {
    protocol_fault(ProxyProtocol::Socks5, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let check = |target: &str, expect: &[u8]| {
            assert_eq!(request(target.parse().unwrap()), expect);
        };
        check("192.0.2.1:443", &[5, 1, 0, 1, 192, 0, 2, 1, 1, 187]);
        let mut expect = vec![5, 1, 0, 4, 0x20, 1, 0xd, 0xb8];
        expect.extend([0; 11]);
        expect.extend([1, 0, 80]);
        check("[2001:db8::1]:80", &expect);
    }

    #[test]
    fn replies() {
        let failures = (1..=9).map(|reply| verdict(reply).unwrap_err());
        let kinds: String = failures
            .map(|failure| match failure {
                Failure::Fault(_) => 'f',
                Failure::Refusal(_) => 'r',
                Failure::Answer(_) => 'a',
            })
            .collect();
        assert_eq!(kinds, "araaaaraf");
        assert!(verdict(0).is_ok());
    }
}
