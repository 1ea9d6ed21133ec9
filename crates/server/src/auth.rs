//! Who is asking: a bearer token becomes a [`Principal`]. Never prints or keeps a token.

mod cache;
pub mod jwt;
mod stored;

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use hookseal_domain::access::Principal;
use hookseal_domain::access::api_token::{ApiTokenText, TokenHash};
use hookseal_domain::access::portal::PortalGrant;
use hookseal_domain::access::scopes::Scopes;
use hookseal_domain::id::ApiTokenId;
use hookseal_domain::secret::Secret;
use hookseal_domain::time::Timestamp;
use hookseal_store::Store;
use hookseal_store::error::StoreError;

use crate::auth::cache::TokenCache;
use crate::auth::jwt::{InvalidKey, MintError, Verdict, Verifier, VerifyingKeys};

/// Longest token that is looked at, in bytes: servers commonly stop at 8 KiB of headers.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Verifies bearer tokens, remembering the ones that it has verified.
#[derive(Debug)]
pub struct Auth {
    verifier: Verifier,
    /// What tokens of ours are signed with.
    signing_secret: Option<Secret<Vec<u8>>>,
    cache: TokenCache,
}

/// A token that was verified.
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// Whom it speaks for.
    pub principal: Principal,
    /// SHA-256 of the token: names it where the token itself must not stand.
    pub token_hash: TokenHash,
    /// What else it says.
    pub grant: Arc<Grant>,
}

/// What a token says besides whom it speaks for.
#[derive(Debug, Eq, PartialEq)]
pub struct Grant {
    /// What it may do.
    pub scopes: Scopes,
    /// Event types with these flags are offered to it.
    pub feature_flags: Vec<String>,
    /// When it was issued, if it says so.
    pub issued_at: Option<Timestamp>,
    /// When it ends; `None` for never.
    pub ends_at: Option<Timestamp>,
    /// Who made it.
    pub source: Source,
}

/// Where a token comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// Signed with the shared secret: by us, or by whoever has it.
    SharedSecret,
    /// Signed by somebody whose public key is configured.
    PublicKey,
    /// Made by the API, and kept as a hash.
    ApiToken(ApiTokenId),
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
    /// No such API token was made here.
    #[error("the token is not known")]
    Unknown,
    /// Somebody ended it before its time.
    #[error("the token was revoked")]
    Revoked,
}

/// Who is asking can't be told.
#[derive(Debug, thiserror::Error)]
pub enum AuthFailure {
    /// By this token nobody can.
    #[error(transparent)]
    Refused(#[from] AuthError),
    /// Not now.
    #[error("the token can't be looked up")]
    Store(#[from] StoreError),
}

// === impl Auth ===

impl Auth {
    /// Takes the keys that tokens are verified with.
    pub fn new(keys: &VerifyingKeys) -> Result<Self, InvalidKey> {
        Ok(Self {
            verifier: Verifier::new(keys)?,
            signing_secret: keys.shared_secret.clone(),
            cache: TokenCache::default(),
        })
    }

    /// Whom the token speaks for at `now`.
    pub async fn authenticate(
        &self,
        store: &Arc<dyn Store>,
        token: &str,
        now: Timestamp,
    ) -> Result<Authenticated, AuthFailure> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AuthError::Malformed.into());
        }
        let token_hash = TokenHash::of(token);
        let verdict = match self.cache.find(&token_hash, now) {
            Some(verdict) => verdict,
            None => self.judge(store, token, token_hash, now).await?,
        };
        verdict.check_time(now)?;
        Ok(Authenticated {
            principal: verdict.principal,
            token_hash,
            grant: verdict.grant,
        })
    }

    async fn judge(
        &self,
        store: &Arc<dyn Store>,
        token: &str,
        token_hash: TokenHash,
        now: Timestamp,
    ) -> Result<Verdict, AuthFailure> {
        let generation = self.cache.generation();
        let verdict = if ApiTokenText::is_one(token) {
            stored::look_up(store, token_hash, now).await?
        } else {
            let verdict = self.verifier.verify(token)?;
            stored::check_not_ended(store, &verdict, token_hash).await?;
            verdict
        };
        // Only tokens that hold now are kept, so that nobody fills the cache with others.
        verdict.check_time(now)?;
        self.cache
            .keep(generation, token_hash, verdict.clone(), now);
        Ok(verdict)
    }

    /// Forgets what is known of an API token: to be called after each change of it.
    pub fn api_token_changed(&self, id: ApiTokenId) {
        self.cache
            .forget(|_, verdict| verdict.grant.source == Source::ApiToken(id));
    }

    /// Forgets what is known of a token: to be called after it was ended.
    pub fn token_ended(&self, hash: TokenHash) {
        self.cache.forget(|known, _| *known == hash);
    }

    /// Makes a token for an application's portal.
    pub fn mint_portal(
        &self,
        grant: &PortalGrant,
        now: Timestamp,
    ) -> Result<Secret<String>, MintError> {
        let secret = self.signing_secret.as_ref().ok_or(MintError)?;
        jwt::mint_portal(secret, grant, now)
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
