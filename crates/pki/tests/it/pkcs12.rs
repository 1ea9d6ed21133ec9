//! PKCS#12 files, as OpenSSL exports them. Those in here were made once, with the password `secret`.

use std::time::Duration;

use hookseal_pki::identity::{Identity, IdentityChainError, IdentityError};
use hookseal_pki::pkcs12::{FILE_BYTES_MAX, Pkcs12Error, open};
use proptest::prelude::*;
use rustls_pki_types::UnixTime;

/// Within the hundred years in which the fixtures are valid.
const LATER_SECS: u64 = 1_830_000_000;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("fixtures/pkcs12/", $name, ".p12"))
    };
}

fn read(file: &[u8], password: &str) -> Result<Identity, IdentityError> {
    let now = UnixTime::since_unix_epoch(Duration::from_secs(LATER_SECS));
    Identity::from_pkcs12(file, password, now)
}

fn reason(file: &[u8], password: &str) -> Pkcs12Error {
    open(file, password).unwrap_err()
}

#[test]
fn what_is_exported_today_and_what_was_once() {
    let files: [(&str, &[u8]); 4] = [
        ("AES-256", fixture!("aes")),
        ("RC2 and triple DES", fixture!("legacy")),
        ("triple DES", fixture!("3des")),
        ("nothing", fixture!("plain")),
    ];
    for (encryption, file) in files {
        let identity = read(file, "secret").unwrap();
        assert_eq!(identity.chain.own().subject(), "CN=Client", "{encryption}");
        assert_eq!(identity.chain.chain().len(), 1);
        assert_eq!(identity.key.algorithm().to_string(), "RSA 2048 bits");
    }
}

#[test]
fn what_is_refused() {
    use Pkcs12Error as E;
    assert_eq!(reason(fixture!("aes"), "Secret"), E::WrongPassword);
    assert_eq!(reason(fixture!("aes"), ""), E::WrongPassword);
    assert_eq!(reason(fixture!("3des"), "Secret"), E::WrongPassword);
    assert_eq!(reason(fixture!("no-key"), "secret"), E::NoKey);
    assert_eq!(reason(b"no such file", "secret"), E::Malformed);
    let bytes = FILE_BYTES_MAX + 1;
    assert_eq!(reason(&vec![0; bytes], ""), E::TooLong { bytes });
    assert_eq!(
        reason(fixture!("aes"), &"a".repeat(1025)),
        E::PasswordTooLong
    );
    // A CA's own certificate is nobody's identity.
    let error = read(fixture!("other-key"), "").unwrap_err();
    assert_eq!(error, IdentityError::Chain(IdentityChainError::OwnMissing));
}

/// The author of a file decides how often the password is hashed; there is a limit.
#[test]
fn work_is_bounded() {
    assert_eq!(
        reason(fixture!("costly"), "secret"),
        Pkcs12Error::Unsupported
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Not encrypted, so that changes reach the inner layers.
    #[test]
    fn any_change(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut file = fixture!("plain").to_vec();
        let at = at.index(file.len());
        file[at] = byte;
        let _opened = open(&file, "secret");
    }
}
