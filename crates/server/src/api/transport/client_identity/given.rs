//! Certificates and private keys as a client gives them.
//!
//! **Invariant:** what is said of a key that can't be used says nothing of the key itself.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::Semaphore;
use zeroize::{Zeroize, Zeroizing};

use hookseal_domain::secret::Secret;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::identity::{IdentityCertificate, IssuedCertificate};
use hookseal_domain::violation::Violation;
use hookseal_pki::identity::{Identity, IdentityChain, IdentityError};
use hookseal_pki::pkcs12::Pkcs12Error;
use hookseal_pki::private_key::PrivateKey;
use rustls_pki_types::PrivatePkcs8KeyDer;

use crate::api::check::Fields;
use crate::api::error::ApiError;
use crate::api::error::violations::Violations;
use crate::api::transport::client_identity::certificates::{CertificateIn, InstallIn};
use crate::api::transport::trust_anchors::{from_secs, unix_time};

/// How many PKCS#12 files are read at a time: the password of one may cost the better part of a
/// second of a core, and anybody may send it.
static READERS: Semaphore = Semaphore::const_new(2);

/// A certificate that came with its key.
#[derive(Clone, Debug)]
pub(crate) struct Uploaded {
    /// The certificate and those of its CAs.
    pub(super) issued: IssuedCertificate,
    /// Its key: PKCS#8 in DER.
    pub(super) key: Secret<Vec<u8>>,
}

/// Certificates and key of one PEM text.
pub(crate) fn uploaded_pem(pem: &str, now: Timestamp) -> Result<Uploaded, Violation> {
    let identity = Identity::from_pem(pem.as_bytes(), unix_time(now));
    identity.map(Uploaded::of).map_err(|error| wrong(&error))
}

/// The certificate that a CA issued for a key that waits for it.
pub(super) fn issued_for(
    given: &InstallIn,
    waiting: &IdentityCertificate,
    now: Timestamp,
) -> Result<IssuedCertificate, Violations> {
    let mut violations = Violations::default();
    let mut fields = Fields::of_body(&mut violations);
    let pem = fields.required("certificate", given.certificate.as_ref());
    let issued = pem.and_then(|pem| fields.take("certificate", issued(pem, waiting, now)));
    violations.finish(issued)
}

fn issued(
    pem: &str,
    waiting: &IdentityCertificate,
    now: Timestamp,
) -> Result<IssuedCertificate, Violation> {
    let chain = IdentityChain::parse(pem.as_bytes(), unix_time(now));
    let chain = chain.map_err(|error| wrong(&error.into()))?;
    let key = PrivatePkcs8KeyDer::from(waiting.key.expose().as_slice());
    let key = PrivateKey::from_der(&key.into()).map_err(|error| wrong(&error.into()))?;
    if chain.matches(key.spki_sha256()) {
        return Ok(issued_of(&chain));
    }
    Err(wrong(&IdentityError::Mismatch {
        subject: chain.own().subject().to_owned(),
        certificate: chain.own().spki_sha256(),
        key: key.spki_sha256(),
    }))
}

fn issued_of(chain: &IdentityChain) -> IssuedCertificate {
    let own = chain.own();
    IssuedCertificate {
        chain_der: chain.chain().iter().map(|der| der.to_vec()).collect(),
        sha256: *own.sha256().as_bytes(),
        subject: own.subject().to_owned(),
        issuer: own.issuer().to_owned(),
        not_before: from_secs(own.not_before_secs()),
        not_after: from_secs(own.not_after_secs()),
    }
}

fn wrong(error: &IdentityError) -> Violation {
    Violation::new("value_error.client_identity", error.to_string())
}

// === impl Uploaded ===

impl Uploaded {
    #[cfg(test)]
    pub(super) fn for_tests(issued: IssuedCertificate) -> Self {
        Self {
            issued,
            key: Secret::new(Vec::new()),
        }
    }

    fn of(identity: Identity) -> Self {
        Self {
            issued: issued_of(&identity.chain),
            key: Secret::new(identity.key.pkcs8().to_vec()),
        }
    }
}

// === impl CertificateIn ===

impl CertificateIn {
    /// The certificate and its key, once both hold to their rules. Takes no worker's time: to read
    /// a PKCS#12 file is slow on purpose.
    pub(super) async fn read(self, now: Timestamp) -> Result<Uploaded, ApiError> {
        if self.pkcs12.is_none() {
            return Ok(self.check(now)?);
        }
        let turn = READERS.acquire().await;
        let turn = turn.map_err(|error| ApiError::internal(&error))?;
        let read = tokio::task::spawn_blocking(move || {
            // Until it is read, though nobody may wait for it any more.
            let _turn = turn;
            self.check(now)
        });
        let read = read.await.map_err(|error| ApiError::internal(&error))?;
        Ok(read?)
    }

    fn check(mut self, now: Timestamp) -> Result<Uploaded, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let given = match self.pkcs12.take().map(Zeroizing::new) {
            None => self.of_pem(&mut fields, now),
            Some(file) => self.of_pkcs12(&file, &mut fields, now),
        };
        self.private_key.zeroize();
        self.password.zeroize();
        violations.finish(given)
    }

    fn of_pem(&self, fields: &mut Fields<'_>, now: Timestamp) -> Option<Uploaded> {
        let chain = fields.required("certificate", self.certificate.as_deref());
        let key = fields.required("privateKey", self.private_key.as_deref());
        if self.password.is_some() {
            let message = "belongs to a PKCS#12 file only; give the private key unencrypted";
            fields.add(
                "password",
                &Violation::new("value_error.client_identity", message),
            );
        }
        let (chain, key) = chain.zip(key)?;
        let read = Identity::from_parts(chain.as_bytes(), key.as_bytes(), unix_time(now));
        let field = match &read {
            Err(IdentityError::Chain(_)) => "certificate",
            _ => "privateKey",
        };
        fields.take(field, read.map(Uploaded::of).map_err(|error| wrong(&error)))
    }

    fn of_pkcs12(&self, file: &str, fields: &mut Fields<'_>, now: Timestamp) -> Option<Uploaded> {
        for (field, given) in [
            ("certificate", &self.certificate),
            ("privateKey", &self.private_key),
        ] {
            if given.is_some() {
                let message = "must not be given beside pkcs12, which holds it";
                fields.add(
                    field,
                    &Violation::new("value_error.client_identity", message),
                );
            }
        }
        let base64: String = file.split_ascii_whitespace().collect();
        let base64 = Zeroizing::new(base64);
        let bytes = STANDARD.decode(base64.as_bytes()).map(Zeroizing::new);
        let message = "must be a PKCS#12 file in base64";
        let bytes = bytes.map_err(|_| Violation::new("value_error.client_identity", message));
        let bytes = fields.take("pkcs12", bytes)?;
        let password = self.password.as_deref().unwrap_or_default();
        let read = Identity::from_pkcs12(&bytes, password, unix_time(now));
        let field = match &read {
            Err(IdentityError::Pkcs12(
                Pkcs12Error::WrongPassword | Pkcs12Error::PasswordTooLong,
            )) => "password",
            _ => "pkcs12",
        };
        fields.take(field, read.map(Uploaded::of).map_err(|error| wrong(&error)))
    }
}
