//! What a TLS session is made of, in IANA's names.

use hookseal_domain::delivery::attempt::TlsFacts;
use hookseal_domain::transport::handshake::SeenCertificate;
use rustls::{CipherSuite, ClientConnection, NamedGroup, ProtocolVersion};

/// What a session is made of, whose server showed this certificate as its own.
pub(crate) fn facts(session: &ClientConnection, own: &SeenCertificate) -> TlsFacts {
    let group = session.negotiated_key_exchange_group();
    TlsFacts {
        version: session.protocol_version().map_or_else(String::new, version),
        cipher_suite: session
            .negotiated_cipher_suite()
            .map_or_else(String::new, |suite| cipher_suite(suite.suite())),
        key_exchange_group: group.map_or_else(String::new, |group| named_group(group.name())),
        peer_spki_sha256: own.spki_sha256.to_string(),
        certificate_expires_at: own.not_after.unwrap_or_default(),
    }
}

fn version(version: ProtocolVersion) -> String {
    match version {
        ProtocolVersion::TLSv1_2 => "TLSv1.2".to_owned(),
        ProtocolVersion::TLSv1_3 => "TLSv1.3".to_owned(),
        other => format!("0x{:04x}", u16::from(other)),
    }
}

/// IANA's name. The library's own differs for TLS 1.3 only.
fn cipher_suite(suite: CipherSuite) -> String {
    match suite.as_str() {
        Some(name) => match name.strip_prefix("TLS13_") {
            Some(rest) => format!("TLS_{rest}"),
            None => name.to_owned(),
        },
        None => format!("0x{:04x}", u16::from(suite)),
    }
}

/// IANA's name. The library's own differs for a few.
fn named_group(group: NamedGroup) -> String {
    match group {
        NamedGroup::X25519 => "x25519".to_owned(),
        NamedGroup::X448 => "x448".to_owned(),
        NamedGroup::secp256r1MLKEM768 => "SecP256r1MLKEM768".to_owned(),
        other => match other.as_str() {
            Some(name) => name.to_owned(),
            None => format!("0x{:04x}", u16::from(other)),
        },
    }
}
