//! Changes of a trust anchor set: what it becomes, and making that so.

use std::sync::Arc;

use axum::http::StatusCode;

use hookseal_domain::id::OrgId;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::anchor_set::{ANCHORS_MAX, Anchor, AnchorRemovalError, AnchorSet};
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::pin::Force;
use hookseal_store::error::ChangeError;
use hookseal_store::publish::Idempotency;

use crate::api::ApiContext;
use crate::api::error::{ApiError, ErrorCode};
use crate::api::transport::change::TRIES;
use crate::api::transport::trust_anchors::WHAT;
use crate::api::transport::trust_anchors::body::Users;

/// What a root is marked as.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum AnchorState {
    /// It stays.
    Active,
    /// It is to go.
    Retiring,
}

/// The set with these roots and no others. Those that stay keep their times.
pub(crate) fn replaced(
    name: &Name,
    before: Option<&AnchorSet>,
    given: &[Anchor],
    users: &Users,
    force: Force,
) -> Result<AnchorSet, ApiError> {
    let old = before.map(|set| set.anchors.as_slice()).unwrap_or_default();
    let kept = |anchor: &Anchor| {
        let same = old.iter().find(|old| old.sha256 == anchor.sha256);
        same.unwrap_or(anchor).clone()
    };
    let anchors: Vec<_> = given.iter().map(kept).collect();
    let needed = old.iter().find(|old| is_needed(old, &anchors, users));
    if let (Some(anchor), Force::No) = (needed, force) {
        return Err(still_needed(anchor, users));
    }
    set_of(name, before, anchors)
}

/// The set with these roots too.
pub(super) fn added(
    name: &Name,
    before: Option<&AnchorSet>,
    given: &[Anchor],
) -> Result<AnchorSet, ApiError> {
    let mut anchors = before.map(|set| set.anchors.clone()).unwrap_or_default();
    for anchor in given {
        if anchors.iter().any(|old| old.sha256 == anchor.sha256) {
            let detail = format!("the set has the root {} already", anchor.subject);
            return Err(ApiError::new(ErrorCode::Conflict, detail));
        }
        anchors.push(anchor.clone());
    }
    set_of(name, before, anchors)
}

/// The set with one root marked.
pub(super) fn marked(
    before: &AnchorSet,
    sha256: Option<[u8; 32]>,
    state: AnchorState,
    now: Timestamp,
) -> Result<AnchorSet, ApiError> {
    let mut set = before.clone();
    let mut anchors = set.anchors.iter_mut();
    let anchor = anchors.find(|anchor| Some(anchor.sha256) == sha256);
    let anchor = anchor.ok_or_else(unknown)?;
    anchor.retiring_since = match state {
        AnchorState::Active => None,
        AnchorState::Retiring => Some(anchor.retiring_since.unwrap_or(now)),
    };
    Ok(set)
}

/// The set without one root.
pub(super) fn without(
    before: &AnchorSet,
    sha256: Option<[u8; 32]>,
    users: &Users,
    force: Force,
) -> Result<AnchorSet, ApiError> {
    let mut anchors = before.anchors.iter();
    let gone = anchors.find(|anchor| Some(anchor.sha256) == sha256);
    let gone = gone.ok_or_else(unknown)?;
    let mut set = before.clone();
    set.anchors.retain(|anchor| anchor.sha256 != gone.sha256);
    let endpoints = match is_needed(gone, &set.anchors, users) {
        true => users.get(&gone.spki_sha256).copied().unwrap_or(0),
        false => 0,
    };
    match (before.may_remove(gone.sha256, endpoints), force) {
        (Ok(()), _) | (Err(_), Force::Yes) => Ok(set),
        (Err(AnchorRemovalError::Unknown), Force::No) => Err(unknown()),
        (Err(error), Force::No) => Err(ApiError::new(ErrorCode::WouldInterrupt, error.to_string())),
    }
}

/// Whether chains end in this root that would end in none of `anchors`. A root that was issued
/// again for its key stands in for it.
fn is_needed(root: &Anchor, anchors: &[Anchor], users: &Users) -> bool {
    let used = users.get(&root.spki_sha256).is_some_and(|count| *count > 0);
    let mut keys = anchors.iter().map(|anchor| anchor.spki_sha256);
    used && !keys.any(|key| key == root.spki_sha256)
}

fn still_needed(root: &Anchor, users: &Users) -> ApiError {
    let endpoints = users.get(&root.spki_sha256).copied().unwrap_or(0);
    let detail = format!(
        "the new set lacks the root {}, in which the chains of {endpoints} endpoints ended when \
         they were last verified; give both roots, and remove the old one when there are none \
         left, or force it (?force=true)",
        root.subject
    );
    ApiError::new(ErrorCode::WouldInterrupt, detail)
}

fn set_of(
    name: &Name,
    before: Option<&AnchorSet>,
    anchors: Vec<Anchor>,
) -> Result<AnchorSet, ApiError> {
    if anchors.len() > ANCHORS_MAX {
        let detail = format!("a trust anchor set has at most {ANCHORS_MAX} roots");
        return Err(ApiError::new(ErrorCode::LimitReached, detail));
    }
    Ok(AnchorSet {
        name: name.clone(),
        version: before.map_or(0, |set| set.version),
        anchors,
        updated_at: Timestamp::default(),
    })
}

fn unknown() -> ApiError {
    ApiError::not_found("the root")
}

impl ApiContext {
    /// How many endpoints' chains end in the roots of a set, whichever set says so: counted by root
    /// over the organisation. Nobody needs those of a set that nothing names.
    pub(crate) async fn anchor_users(
        &self,
        org: OrgId,
        set: Option<&AnchorSet>,
    ) -> Result<Users, ApiError> {
        let (mut users, store) = (Users::new(), self.engine.store());
        let Some(set) = set else {
            return Ok(users);
        };
        if store.naming_trust_anchor_set(org, &set.name).await? == 0 {
            return Ok(users);
        }
        for anchor in &set.anchors {
            let key = anchor.spki_sha256;
            users.insert(key, store.anchor_users(org, key).await?);
        }
        Ok(users)
    }

    /// Makes of a set what `edit` makes of it, which is asked again when somebody else changed it
    /// meanwhile.
    pub(crate) async fn edit_anchor_set(
        &self,
        org: OrgId,
        name: &Name,
        request: Option<Idempotency>,
        edit: impl Fn(Option<&AnchorSet>, &Users) -> Result<AnchorSet, ApiError> + Send + Sync,
    ) -> Result<(AnchorSet, StatusCode), ApiError> {
        for _ in 0..TRIES {
            let book = self.book(org).await?;
            let before = book.anchor_sets.get(name).map(Arc::as_ref);
            let users = self.anchor_users(org, before).await?;
            let set = edit(before, &users)?;
            let (kept, now) = (set.clone(), self.engine.now());
            let put = self.change_organisation(org, move |store| async move {
                let version = store.put_trust_anchor_set(org, kept, now).await?;
                if let Some(request) = request {
                    store.remember_request(request, 0).await?;
                }
                Ok(version)
            });
            match put.await? {
                Err(ChangeError::Stale) => {}
                Err(error) => return Err(ApiError::change(WHAT, error)),
                Ok(version) => {
                    let status = before.map_or(StatusCode::CREATED, |_| StatusCode::OK);
                    let updated_at = now;
                    return Ok((
                        AnchorSet {
                            version,
                            updated_at,
                            ..set
                        },
                        status,
                    ));
                }
            }
        }
        Err(ApiError::change(WHAT, ChangeError::Stale))
    }

    /// Deletes a set that nothing names.
    pub(crate) async fn delete_anchor_set(&self, org: OrgId, name: Name) -> Result<(), ApiError> {
        let deleted = self.change_organisation(org, move |store| async move {
            store.delete_trust_anchor_set(org, &name).await
        });
        deleted
            .await?
            .map_err(|error| ApiError::change(WHAT, error))
    }
}
