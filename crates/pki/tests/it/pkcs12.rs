//! PKCS#12 files, as others export them. Those in here were made once, with OpenSSL and keytool.

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
    let files: [(&str, &[u8], &str); 9] = [
        ("AES-256", fixture!("aes-256"), "secret"),
        ("AES-128 and AES-192", fixture!("aes-128-192"), "secret"),
        ("SHA-1 MAC", fixture!("sha1-mac"), "secret"),
        ("no MAC", fixture!("no-mac"), "secret"),
        ("RC2 and triple DES", fixture!("rc2-40"), "secret"),
        ("triple DES", fixture!("triple-des"), "secret"),
        ("nothing", fixture!("plain"), "secret"),
        ("an empty password", fixture!("empty-password"), ""),
        ("Unicode", fixture!("unicode"), "pässwörd 🔑"),
    ];
    for (kind, file, password) in files {
        let identity = read(file, password).unwrap();
        assert_eq!(identity.chain.own().subject(), "CN=Client", "{kind}");
        assert_eq!(identity.chain.chain().len(), 1);
        assert_eq!(identity.key.algorithm().to_string(), "RSA 2048 bits");
    }
}

/// Java's keytool.
#[test]
fn what_java_exports() {
    let identity = read(fixture!("java"), "secret1").unwrap();
    assert_eq!(identity.chain.own().subject(), "CN=Java");
    assert_eq!(identity.key.algorithm().to_string(), "ECDSA P-256");
}

#[test]
fn what_is_refused() {
    use Pkcs12Error as E;
    for file in [
        &fixture!("aes-256")[..],
        fixture!("no-mac"),
        fixture!("rc2-40"),
        fixture!("triple-des"),
        fixture!("empty-password"),
    ] {
        assert_eq!(reason(file, "Secret"), E::WrongPassword);
    }
    assert_eq!(reason(fixture!("aes-256"), ""), E::WrongPassword);
    assert_eq!(reason(fixture!("no-key"), "secret"), E::NoKey);
    assert_eq!(reason(b"no such file", "secret"), E::Malformed);
    let mut longer = fixture!("aes-256").to_vec();
    longer.push(0);
    assert_eq!(reason(&longer, "secret"), E::Malformed);
    let bytes = FILE_BYTES_MAX + 1;
    assert_eq!(reason(&vec![0; bytes], ""), E::TooLong { bytes });
    let long = "a".repeat(1025);
    assert_eq!(reason(fixture!("aes-256"), &long), E::PasswordTooLong);
    // A CA's own certificate is nobody's identity.
    let error = read(fixture!("ca"), "secret").unwrap_err();
    assert_eq!(error, IdentityError::Chain(IdentityChainError::OwnMissing));
}

/// The author of a file decides how often the password is hashed; there is a limit.
#[test]
fn work_is_bounded() {
    assert_eq!(reason(fixture!("costly"), "secret"), Pkcs12Error::TooCostly);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Without MAC, so that changes reach the inner layers.
    #[test]
    fn any_change(
        protected in any::<bool>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut file = match protected {
            true => fixture!("no-mac").to_vec(),
            false => fixture!("plain").to_vec(),
        };
        let at = at.index(file.len());
        file[at] = byte;
        let _opened = open(&file, "secret");
    }
}
