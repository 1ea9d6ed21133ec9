//! The store's intents of tokens, each in its own file. Must never do anything itself.

use async_trait::async_trait;

use hookseal_domain::access::api_token::{ApiToken, TokenHash};
use hookseal_domain::access::cutoffs::Cutoff;
use hookseal_domain::access::portal::PortalGrant;
use hookseal_domain::id::{ApiTokenId, AppId, OrgId};
use hookseal_domain::time::Timestamp;

use crate::error::{ChangeError, StoreError};
use crate::page::{Page, PageRequest};
use crate::publish::Idempotency;
use crate::sqlite::SqliteStore;
use crate::sqlite::{api_tokens, portal_tokens};
use crate::tokens::{ApiTokenChange, NewApiToken, TokenStore};

#[async_trait]
impl TokenStore for SqliteStore {
    async fn create_api_token(
        &self,
        new: NewApiToken,
        idempotency: Option<Idempotency>,
    ) -> Result<ApiToken, ChangeError> {
        api_tokens::create(self, new, idempotency).await
    }

    async fn api_token(&self, org: OrgId, id: ApiTokenId) -> Result<Option<ApiToken>, StoreError> {
        api_tokens::one(self, org, id).await
    }

    async fn api_token_of(&self, hash: TokenHash) -> Result<Option<ApiToken>, StoreError> {
        api_tokens::of_hash(self, hash).await
    }

    async fn api_tokens(
        &self,
        org: OrgId,
        page: PageRequest<ApiTokenId>,
    ) -> Result<Page<ApiToken>, StoreError> {
        api_tokens::list(self, org, page).await
    }

    async fn change_api_token(
        &self,
        org: OrgId,
        id: ApiTokenId,
        change: ApiTokenChange,
    ) -> Result<ApiToken, ChangeError> {
        api_tokens::change(self, org, id, change).await
    }

    async fn expire_api_token(
        &self,
        org: OrgId,
        id: ApiTokenId,
        at: Timestamp,
    ) -> Result<(), ChangeError> {
        api_tokens::expire(self, org, id, at).await
    }

    async fn api_token_used(
        &self,
        org: OrgId,
        id: ApiTokenId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        api_tokens::used(self, org, id, at).await
    }

    async fn cut_tokens_off(&self, app: AppId, cutoff: Cutoff) -> Result<(), ChangeError> {
        portal_tokens::cut_off(self, app, cutoff).await
    }

    async fn end_token(
        &self,
        hash: TokenHash,
        ends_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        portal_tokens::end(self, hash, ends_at, now).await
    }

    async fn is_token_ended(&self, hash: TokenHash) -> Result<bool, StoreError> {
        portal_tokens::is_ended(self, hash).await
    }

    async fn keep_one_time_token(
        &self,
        hash: TokenHash,
        grant: PortalGrant,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        portal_tokens::keep(self, hash, grant, expires_at, now).await
    }

    async fn take_one_time_token(
        &self,
        hash: TokenHash,
        now: Timestamp,
    ) -> Result<Option<PortalGrant>, StoreError> {
        portal_tokens::take(self, hash, now).await
    }
}
