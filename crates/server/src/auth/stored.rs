//! What only the store knows of tokens: those that the API made, and those that were ended. Never
//! keeps a token.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use hookseal_domain::access::Principal;
use hookseal_domain::access::api_token::{ApiToken, TokenHash};
use hookseal_domain::time::Timestamp;
use hookseal_store::Store;

use crate::auth::jwt::Verdict;
use crate::auth::{AuthError, AuthFailure, Grant, Source};

/// How old the last use of a token may be that is taken down. It is for people who look for tokens
/// that nobody needs, and must not cost a write for each request.
const USE_NOTED_EVERY: Duration = Duration::from_hours(1);

/// The API token with this hash.
pub(super) async fn look_up(
    store: &Arc<dyn Store>,
    hash: TokenHash,
    now: Timestamp,
) -> Result<Verdict, AuthFailure> {
    let token = store.api_token_of(hash).await?;
    let token = token.ok_or(AuthError::Unknown)?;
    if token.ended(now) {
        return Err(AuthError::Expired.into());
    }
    note_use(store, &token, now);
    Ok(Verdict {
        principal: Principal::Organisation(token.org),
        begins_at: None,
        end_leeway: Duration::ZERO,
        grant: Arc::new(Grant {
            scopes: token.scopes,
            feature_flags: Vec::new(),
            issued_at: Some(token.id.created_at()),
            ends_at: token.expires_at,
            source: Source::ApiToken(token.id),
        }),
    })
}

/// Takes down that a token is used, behind the request, if that was not done of late.
fn note_use(store: &Arc<dyn Store>, token: &ApiToken, now: Timestamp) {
    let of_late = |at: Timestamp| now.since(at) < USE_NOTED_EVERY;
    if token.used_at.is_some_and(of_late) {
        return;
    }
    let (store, org, id) = (Arc::clone(store), token.org, token.id);
    tokio::spawn(async move {
        if let Err(error) = store.api_token_used(org, id, now).await {
            warn!(error = %error, "Did not take down that token {id} was used");
        }
    });
}

/// Refuses a token of an application that was logged out. Those of organisations can't be.
pub(super) async fn check_not_ended(
    store: &Arc<dyn Store>,
    verdict: &Verdict,
    hash: TokenHash,
) -> Result<(), AuthFailure> {
    match verdict.principal {
        Principal::Application(..) if store.is_token_ended(hash).await? => {
            Err(AuthError::Revoked.into())
        }
        Principal::Application(..) | Principal::Organisation(_) => Ok(()),
    }
}
