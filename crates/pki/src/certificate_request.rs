//! A request for a certificate that an outside CA shall issue to us (PKCS#10, RFC 2986).

use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls_pki_types::PrivatePkcs8KeyDer;

use crate::private_key::PrivateKey;

/// Longest common name (RFC 5280 appendix A: `ub-common-name`).
const COMMON_NAME_CHARS_MAX: usize = 64;
/// Most names of one request.
const NAMES_MAX: usize = 16;
/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 253;

/// A request can't be made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CertificateRequestError {
    /// No subject that a certificate may have.
    #[error("the common name must have 1 to {COMMON_NAME_CHARS_MAX} characters, none of control")]
    CommonName,
    /// Too many names.
    #[error("there are more than {NAMES_MAX} names")]
    TooManyNames,
    /// Not a name.
    #[error("{0:?} is neither a host name nor a URI nor an address")]
    Name(String),
    /// The library could not.
    #[error("the request could not be signed")]
    Signing,
}

/// The request in PEM, signed with `key`, for a certificate that a client may show.
///
/// `names` become subjectAltNames: addresses, URIs (with `://`, as SPIFFE has them), and otherwise
/// host names. RSA and ECDSA signatures draw randomness from the cryptographic library itself.
pub fn certificate_request(
    common_name: &str,
    names: &[String],
    key: &PrivateKey,
) -> Result<String, CertificateRequestError> {
    let chars = common_name.chars().count();
    if chars == 0 || chars > COMMON_NAME_CHARS_MAX || common_name.chars().any(char::is_control) {
        return Err(CertificateRequestError::CommonName);
    }
    if names.len() > NAMES_MAX {
        return Err(CertificateRequestError::TooManyNames);
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.subject_alt_names = names
        .iter()
        .map(|name| alternative_name(name))
        .collect::<Result<_, _>>()?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];

    let pkcs8 = PrivatePkcs8KeyDer::from(key.pkcs8().as_slice());
    let key = KeyPair::try_from(&pkcs8).map_err(|_| CertificateRequestError::Signing)?;
    params
        .serialize_request(&key)
        .and_then(|request| request.pem())
        .map_err(|_| CertificateRequestError::Signing)
}

fn alternative_name(name: &str) -> Result<SanType, CertificateRequestError> {
    let wrong = || CertificateRequestError::Name(name.chars().take(NAME_BYTES_MAX).collect());
    if let Ok(address) = name.parse() {
        return Ok(SanType::IpAddress(address));
    }
    let plain = name.bytes().all(|byte| byte.is_ascii_graphic());
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !plain {
        return Err(wrong());
    }
    let text = Ia5String::try_from(name).map_err(|_| wrong())?;
    if name.contains("://") {
        return Ok(SanType::URI(text));
    }
    let host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'*' | b'_');
    if !name.bytes().all(host) {
        return Err(wrong());
    }
    Ok(SanType::DnsName(text))
}
