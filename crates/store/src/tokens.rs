//! Tokens as they go in and come out. The text of none is ever kept.

use async_trait::async_trait;

use hookseal_domain::access::api_token::{ApiToken, TokenHash};
use hookseal_domain::access::cutoffs::Cutoff;
use hookseal_domain::access::portal::PortalGrant;
use hookseal_domain::access::scopes::Scopes;
use hookseal_domain::id::{ApiTokenId, AppId, OrgId};
use hookseal_domain::time::Timestamp;

use crate::error::{ChangeError, StoreError};
use crate::page::{Page, PageRequest};
use crate::publish::Idempotency;

/// A token to make.
#[derive(Clone, Debug)]
pub struct NewApiToken {
    /// The token.
    pub token: ApiToken,
    /// By what its text is found.
    pub hash: TokenHash,
    /// When it is made.
    pub now: Timestamp,
}

/// What is to be different of a token; `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct ApiTokenChange {
    /// What people call it.
    pub name: Option<String>,
    /// What it may do.
    pub scopes: Option<Scopes>,
}

/// The part of [`crate::Store`] that keeps tokens.
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// Makes a token. Where the same request made one before, its text is not known any more: that
    /// one gets the new text, so that there is one token with one text.
    async fn create_api_token(
        &self,
        new: NewApiToken,
        idempotency: Option<Idempotency>,
    ) -> Result<ApiToken, ChangeError>;

    /// One token.
    async fn api_token(&self, org: OrgId, id: ApiTokenId) -> Result<Option<ApiToken>, StoreError>;

    /// The token with this text, whether it has ended or not.
    async fn api_token_of(&self, hash: TokenHash) -> Result<Option<ApiToken>, StoreError>;

    /// Tokens by id.
    async fn api_tokens(
        &self,
        org: OrgId,
        page: PageRequest<ApiTokenId>,
    ) -> Result<Page<ApiToken>, StoreError>;

    /// Changes a token.
    async fn change_api_token(
        &self,
        org: OrgId,
        id: ApiTokenId,
        change: ApiTokenChange,
    ) -> Result<ApiToken, ChangeError>;

    /// Lets a token end at `at`, unless it ends sooner anyway.
    async fn expire_api_token(
        &self,
        org: OrgId,
        id: ApiTokenId,
        at: Timestamp,
    ) -> Result<(), ChangeError>;

    /// Takes down that a token was used.
    async fn api_token_used(
        &self,
        org: OrgId,
        id: ApiTokenId,
        at: Timestamp,
    ) -> Result<(), StoreError>;

    /// Ends tokens of an application by when they were issued, with its one-time tokens: a change of
    /// its routing.
    async fn cut_tokens_off(&self, app: AppId, cutoff: Cutoff) -> Result<(), ChangeError>;

    /// Ends one token of an application, which would have ended at `ends_at`.
    async fn end_token(
        &self,
        hash: TokenHash,
        ends_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), ChangeError>;

    /// Whether that was done to it.
    async fn is_token_ended(&self, hash: TokenHash) -> Result<bool, StoreError>;

    /// Keeps what may be taken once with a one-time token, as long as its application is there.
    async fn keep_one_time_token(
        &self,
        hash: TokenHash,
        grant: PortalGrant,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), ChangeError>;

    /// Takes it: of several at the same time one gets it.
    async fn take_one_time_token(
        &self,
        hash: TokenHash,
        now: Timestamp,
    ) -> Result<Option<PortalGrant>, StoreError>;
}
