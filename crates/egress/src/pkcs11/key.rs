//! A key in a token, as TLS signs with it.

use std::fmt;
use std::sync::Arc;

use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use hookseal_pki::certificate::Certificate;
use parking_lot::Mutex;
use rustls::server::ParsedCertificate;
use rustls::sign::{Signer, SigningKey};
use rustls::{OtherError, SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer};

use super::method::{KeyKind, Method};
use super::{Lease, Token, TokenError};
use crate::limits::TOKEN_KEYS_MAX;

/// What is signed to find out whether a key belongs to a certificate. Nothing else is ever signed
/// that looks like this (RFC 9846 §4.5.3 begins with 64 spaces).
const PROOF: &[u8] = b"hookseal: does this key belong to this certificate?";

/// A key in a token, of which it was proven that it belongs to a certificate.
pub(crate) struct TokenKey(Arc<Inner>);

struct Inner {
    token: Arc<Token>,
    label: String,
    kind: KeyKind,
    /// How it can sign, preferred first; at least one.
    methods: Vec<Method>,
    /// The certificate's.
    public_key: SubjectPublicKeyInfoDer<'static>,
    found: Mutex<Option<Found>>,
}

/// Where the key was found.
#[derive(Clone, Copy)]
struct Found {
    handle: ObjectHandle,
    era: u64,
}

/// Signs in one way.
struct TokenSigner {
    key: Arc<Inner>,
    method: Method,
}

// === impl TokenKey ===

impl TokenKey {
    /// Finds the key of `certificate` among those of the token that are called `label`.
    pub(crate) fn find(
        token: &Arc<Token>,
        label: &str,
        certificate: &CertificateDer<'static>,
    ) -> Result<Self, TokenError> {
        let facts = Certificate::parse(certificate).map_err(|_| TokenError::Certificate)?;
        let parsed =
            ParsedCertificate::try_from(certificate).map_err(|_| TokenError::Certificate)?;
        let kind = KeyKind::of(facts.key_algorithm())?;
        let mechanisms = token.mechanisms()?;
        let methods: Vec<_> = kind
            .methods()
            .iter()
            .filter(|method| mechanisms.contains(&method.mechanism_type()))
            .copied()
            .collect();
        if methods.is_empty() {
            return Err(TokenError::NoMethod);
        }
        let inner = Inner {
            token: Arc::clone(token),
            label: label.to_owned(),
            kind,
            methods,
            public_key: parsed.subject_public_key_info().into_owned(),
            found: Mutex::new(None),
        };
        token.with_session(|lease| inner.handle(lease))?;
        Ok(Self(Arc::new(inner)))
    }
}

impl SigningKey for TokenKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let mut methods = self.0.methods.iter();
        let method = methods.find(|method| offered.contains(&method.scheme()))?;
        Some(Box::new(TokenSigner {
            key: Arc::clone(&self.0),
            method: *method,
        }))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(self.0.public_key.as_ref()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.kind.algorithm()
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey")
            .field("label", &self.0.label)
            .finish_non_exhaustive()
    }
}

// === impl Inner ===

impl Inner {
    fn sign(&self, method: Method, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        self.token.with_session(|lease| {
            let handle = self.handle(lease)?;
            method.sign(&lease.session, handle, message)
        })
    }

    /// The key's handle. Several keys may have the label, as while one replaces another: what
    /// counts is which of them can sign for the certificate.
    fn handle(&self, lease: &Lease) -> Result<ObjectHandle, TokenError> {
        if let Some(found) = *self.found.lock()
            && found.era == lease.era
        {
            return Ok(found.handle);
        }
        let session = &lease.session;
        let wanted = [
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::KeyType(self.kind.key_type()),
            Attribute::Label(self.label.clone().into_bytes()),
        ];
        let handles = session.find_objects(&wanted)?;
        if handles.is_empty() {
            return Err(TokenError::NoKey(self.label.clone()));
        }
        let method = self.methods.first().ok_or(TokenError::NoMethod)?;
        for handle in handles.into_iter().take(TOKEN_KEYS_MAX) {
            let signature = match method.sign(session, handle, PROOF) {
                Ok(signature) => signature,
                Err(error) if error.is_loss() => return Err(error),
                // A key that may not sign is not the one.
                Err(_) => continue,
            };
            if method.verify(&self.public_key, PROOF, &signature) {
                let era = lease.era;
                *self.found.lock() = Some(Found { handle, era });
                return Ok(handle);
            }
        }
        Err(TokenError::Mismatch(self.label.clone()))
    }
}

// === impl TokenSigner ===

impl Signer for TokenSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let signed = self.key.sign(self.method, message);
        signed.map_err(|error| rustls::Error::Other(OtherError(Arc::new(error))))
    }

    fn scheme(&self) -> SignatureScheme {
        self.method.scheme()
    }
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSigner")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}
