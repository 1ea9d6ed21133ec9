//! Who is asking: a bearer token becomes a [`Principal`]. Never prints or keeps a token.

mod cache;
pub mod jwt;

use aws_lc_rs::digest::{SHA256, digest};

use hookseal_domain::access::Principal;
use hookseal_domain::time::Timestamp;

use crate::auth::cache::TokenCache;
use crate::auth::jwt::{InvalidKey, Verdict, Verifier, VerifyingKeys};

/// Longest token that is looked at, in bytes: servers commonly stop at 8 KiB of headers.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Verifies bearer tokens, remembering the ones that it has verified.
#[derive(Debug)]
pub struct Auth {
    verifier: Verifier,
    cache: TokenCache,
}

/// A token that was verified.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Authenticated {
    /// Whom it speaks for.
    pub principal: Principal,
    /// SHA-256 of the token: names it where the token itself must not stand.
    pub token_hash: [u8; 32],
}

/// A token that does not say who is asking. Why is for the client, who holds the token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AuthError {
    /// Not a token that we can read, or of an algorithm without a configured key.
    #[error("the token is malformed or of an algorithm that is not configured")]
    Malformed,
    /// The signature is not by the configured key.
    #[error("the token's signature is not valid")]
    BadSignature,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// It names neither an organisation nor an application of one.
    #[error("the token's subject is neither an organisation nor an application")]
    UnknownSubject,
}

// === impl Auth ===

impl Auth {
    /// Takes the keys that tokens are verified with.
    pub fn new(keys: &VerifyingKeys) -> Result<Self, InvalidKey> {
        Ok(Self {
            verifier: Verifier::new(keys)?,
            cache: TokenCache::default(),
        })
    }

    /// Whom the token speaks for at `now`.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Authenticated, AuthError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AuthError::Malformed);
        }
        let token_hash = sha256(token.as_bytes());
        let verdict = match self.cache.find(&token_hash) {
            Some(verdict) => verdict,
            None => {
                let verdict = self.verifier.verify(token)?;
                // Only tokens that hold now are kept, so that nobody fills the cache with others.
                verdict.check_time(now)?;
                self.cache.keep(token_hash, verdict, now);
                verdict
            }
        };
        verdict.check_time(now)?;
        Ok(Authenticated {
            principal: verdict.principal,
            token_hash,
        })
    }
}

impl Verdict {
    fn check_time(&self, now: Timestamp) -> Result<(), AuthError> {
        if self.ended_at(now) {
            return Err(AuthError::Expired);
        }
        if self.early_at(now) {
            return Err(AuthError::NotYetValid);
        }
        Ok(())
    }
}

/// SHA-256 in the shape that everything here keeps it in.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
        *to = *from;
    }
    hash
}

#[cfg(test)]
mod tests;
