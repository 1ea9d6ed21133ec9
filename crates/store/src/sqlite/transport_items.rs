//! What an organisation has of transport security, each by its kind and name. Must never delete
//! what something names, nor give a version twice.

use rusqlite::{Connection, params};

use hookseal_domain::id::{AppId, EndpointId, OrgId};
use hookseal_domain::secret::Secret;
use hookseal_domain::slice::Slice;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::anchor_set::AnchorSet;
use hookseal_domain::transport::identity::ClientIdentity;
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::{Choice, TransportPolicy};

use crate::codes::{Code, ItemKind};
use crate::config::Created;
use crate::error::{ChangeError, StoreError};
use crate::publish::Idempotency;
use crate::seal::{Place, Sealed, anchor_set, identity, policy};
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{Batch, all, count};
use crate::sqlite::failure::Failure;
use crate::sqlite::idempotency;
use crate::sqlite::keyring;
use crate::sqlite::rows::json;
use crate::transport::{ANCHOR_SETS_MAX, IDENTITIES_MAX, POLICIES_MAX};

const VERSION_OF: &str =
    "SELECT version FROM transport_item WHERE org = ?1 AND kind = ?2 AND name = ?3";
const COUNT: &str = "SELECT count(*) FROM transport_item WHERE org = ?1 AND kind = ?2";
const NEXT_VERSION: &str = "INSERT INTO transport_version (org, version) VALUES (?1, 1) \
    ON CONFLICT (org) DO UPDATE SET version = version + 1 RETURNING version";
const PUT: &str = "INSERT INTO transport_item (org, kind, name, version, updated_at, \
    trust_anchors, client_identity, key_version, body) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (org, kind, name) DO UPDATE SET \
    version = ?4, updated_at = ?5, trust_anchors = ?6, client_identity = ?7, key_version = ?8, \
    body = ?9";
const DELETE: &str = "DELETE FROM transport_item WHERE org = ?1 AND kind = ?2 AND name = ?3";
const FORGET_SEEN: &str = "DELETE FROM identity_seen WHERE org = ?1 AND identity = ?2 \
    AND number NOT IN (SELECT value FROM json_each(?3))";
const NAMING_POLICY: &str =
    "SELECT count(*) FROM endpoint_transport WHERE org = ?1 AND policy = ?2";
const NAMING_ANCHORS: &str = "SELECT \
    (SELECT count(*) FROM endpoint_transport WHERE org = ?1 AND trust_anchors = ?2) + \
    (SELECT count(*) FROM transport_item WHERE org = ?1 AND kind = 1 AND trust_anchors = ?2)";
const NAMING_IDENTITY: &str = "SELECT \
    (SELECT count(*) FROM endpoint_transport WHERE org = ?1 AND client_identity = ?2) + \
    (SELECT count(*) FROM transport_item WHERE org = ?1 AND kind = 1 AND client_identity = ?2)";
const NAMED_AS_ENDPOINTS: &str = "SELECT kind, name FROM transport_item \
    WHERE org = ?1 AND kind IN (2, 3) AND name >= ?2 AND name <= ?3";
const IS_ENDPOINT: &str = "SELECT 1 FROM endpoint WHERE slice = ?1 AND app = ?2 AND id = ?3";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 9] = [
    VERSION_OF,
    COUNT,
    DELETE,
    FORGET_SEEN,
    NAMING_POLICY,
    NAMING_ANCHORS,
    NAMING_IDENTITY,
    NAMED_AS_ENDPOINTS,
    IS_ENDPOINT,
];

/// Something to make or replace.
struct NewItem {
    kind: ItemKind,
    name: Name,
    /// Which version it has to have, 0 if it must not be there yet; `None` for whichever.
    stands_as: Option<i64>,
    plain: Secret<Vec<u8>>,
    /// What a policy names.
    trust_anchors: Option<String>,
    client_identity: Option<String>,
    /// The numbers of an identity's certificates.
    numbers: Option<Vec<u32>>,
    /// The request that asked for it, and the number of what it made.
    asked: Option<(Idempotency, i64)>,
}

/// Makes or replaces a named policy.
pub(super) async fn put_policy(
    store: &SqliteStore,
    org: OrgId,
    name: Name,
    policy: TransportPolicy,
    now: Timestamp,
) -> Result<Created<()>, ChangeError> {
    let new = NewItem {
        kind: ItemKind::Policy,
        name,
        stands_as: None,
        plain: Secret::new(policy::encode(&policy)),
        trust_anchors: named_anchors(&policy).map(str::to_owned),
        client_identity: named_identity(&policy).map(str::to_owned),
        numbers: None,
        asked: None,
    };
    Ok(match put(store, org, new, now).await? {
        Created::New(_) => Created::New(()),
        Created::Existing(_) => Created::Existing(()),
    })
}

/// Makes or replaces a trust anchor set.
pub(super) async fn put_anchor_set(
    store: &SqliteStore,
    org: OrgId,
    set: AnchorSet,
    now: Timestamp,
) -> Result<i64, ChangeError> {
    let new = NewItem {
        kind: ItemKind::AnchorSet,
        name: set.name,
        stands_as: Some(set.version),
        plain: Secret::new(anchor_set::encode(&set.anchors)),
        trust_anchors: None,
        client_identity: None,
        numbers: None,
        asked: None,
    };
    Ok(put(store, org, new, now).await?.into_inner())
}

/// Makes or replaces a client identity.
pub(super) async fn put_identity(
    store: &SqliteStore,
    org: OrgId,
    identity: ClientIdentity,
    asked: Option<(Idempotency, i64)>,
    now: Timestamp,
) -> Result<i64, ChangeError> {
    let numbers = identity.certificates.iter().map(|one| one.number);
    let new = NewItem {
        kind: ItemKind::ClientIdentity,
        stands_as: Some(identity.version),
        plain: Secret::new(identity::encode(&identity.certificates)),
        trust_anchors: None,
        client_identity: None,
        numbers: Some(numbers.collect()),
        asked,
        name: identity.name,
    };
    Ok(put(store, org, new, now).await?.into_inner())
}

/// The trust anchor set that a layer names.
pub(super) fn named_anchors(policy: &TransportPolicy) -> Option<&str> {
    policy.trust_anchors.as_ref().map(Name::as_str)
}

/// The client identity that a layer names.
pub(super) fn named_identity(policy: &TransportPolicy) -> Option<&str> {
    match &policy.client_identity {
        Some(Choice::Named(name)) => Some(name.as_str()),
        Some(Choice::Nothing) | None => None,
    }
}

/// Makes or replaces something; returns its new version.
async fn put(
    store: &SqliteStore,
    org: OrgId,
    new: NewItem,
    now: Timestamp,
) -> Result<Created<i64>, ChangeError> {
    let keys = keyring::renewed(store, org, now).await?;
    let keys = keys.ok_or(StoreError::Unsealable { what: "data_key" })?;
    let put = move |batch: &mut Batch<'_>| {
        let current = version_of(batch, org, new.kind, &new.name)?;
        if let Err(refused) = new.may_replace(current) {
            return Ok(Err(refused));
        }
        let max = items_max(new.kind);
        let of = params![org.as_bytes(), new.kind.code()];
        let count = count(batch.connection, COUNT, of)?;
        if current.is_none() && usize::try_from(count).is_ok_and(|count| count >= max) {
            return Ok(Err(ChangeError::TooMany { max }));
        }
        // The version is part of what is sealed, and only known here. It is rare.
        let version = next_version(batch, org)?;
        let place = Place::TransportItem {
            kind: new.kind,
            name: &new.name,
            version,
        };
        let sealed = keys.seal(place, new.plain.expose())?;
        insert(batch, org, &new, version, &sealed, now)?;
        if let Some(numbers) = &new.numbers {
            forget_seen(batch, org, &new.name, numbers)?;
        }
        if let Some((request, made)) = &new.asked {
            let slice = idempotency::slice_of_key(Some(request));
            idempotency::remember(batch, slice, Some(request), *made)?;
        }
        Ok(Ok(match current {
            None => Created::New(version),
            Some(_) => Created::Existing(version),
        }))
    };
    store.writer.change(put).await
}

fn insert(
    batch: &Batch<'_>,
    org: OrgId,
    new: &NewItem,
    version: i64,
    sealed: &Sealed,
    now: Timestamp,
) -> rusqlite::Result<usize> {
    let row = params![
        org.as_bytes(),
        new.kind.code(),
        new.name.as_str(),
        version,
        now.as_millis(),
        new.trust_anchors,
        new.client_identity,
        sealed.key_version,
        sealed.bytes,
    ];
    batch.execute(PUT, row)
}

/// Deletes something that nothing names.
pub(super) async fn delete(
    store: &SqliteStore,
    org: OrgId,
    kind: ItemKind,
    name: &Name,
) -> Result<(), ChangeError> {
    let name = name.clone();
    let delete = move |batch: &mut Batch<'_>| {
        if version_of(batch, org, kind, &name)?.is_none() {
            return Ok(Err(ChangeError::NotFound));
        }
        let by = naming(batch.connection, org, kind, &name)?;
        if by > 0 {
            return Ok(Err(ChangeError::InUse { by }));
        }
        forget(batch, org, kind, &name)?;
        next_version(batch, org)?;
        Ok(Ok(()))
    };
    store.writer.change(delete).await
}

/// How many policies and endpoints name a trust anchor set.
pub(super) async fn naming_anchor_set(
    store: &SqliteStore,
    org: OrgId,
    name: &Name,
) -> Result<u64, StoreError> {
    let name = name.clone();
    let naming = move |connection: &Connection| {
        let kind = ItemKind::AnchorSet;
        Ok(naming(connection, org, kind, &name)?)
    };
    store.readers.ask(naming).await
}

/// Forgets what was made for endpoints that are deleted, which has their ids as names: of one
/// endpoint, or of all of an application. What others name stays.
pub(super) fn forget_of_endpoints(
    batch: &Batch<'_>,
    org: OrgId,
    app: AppId,
    endpoint: Option<EndpointId>,
) -> Result<(), Failure> {
    // All ids lie between these: "~" stands behind every digit and letter.
    let every = || {
        (
            EndpointId::PREFIX.to_owned(),
            format!("{}~", EndpointId::PREFIX),
        )
    };
    let (low, high) = endpoint.map_or_else(every, |id| (id.to_string(), id.to_string()));
    let which = params![org.as_bytes(), low, high];
    let found = all(batch.connection, NAMED_AS_ENDPOINTS, which, |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
    })?;
    let mut forgotten = false;
    for (kind, name) in found {
        let named = ItemKind::from_code(kind).zip(Name::parse(&name).ok());
        let (Some((kind, name)), Some(id)) = (named, EndpointId::parse(&name)) else {
            continue;
        };
        let key = [Slice::of(app).as_i64(), app.raw(), id.raw()];
        let ours = batch.first(IS_ENDPOINT, key, |_| Ok(()))?.is_some();
        if ours && naming(batch.connection, org, kind, &name)? == 0 {
            forget(batch, org, kind, &name)?;
            forgotten = true;
        }
    }
    if forgotten {
        next_version(batch, org)?;
    }
    Ok(())
}

fn forget(batch: &Batch<'_>, org: OrgId, kind: ItemKind, name: &Name) -> Result<(), Failure> {
    batch.execute(DELETE, params![org.as_bytes(), kind.code(), name.as_str()])?;
    if kind == ItemKind::ClientIdentity {
        forget_seen(batch, org, name, &[])?;
    }
    Ok(())
}

/// Forgets what was seen of all certificates but these.
fn forget_seen(batch: &Batch<'_>, org: OrgId, name: &Name, but: &[u32]) -> rusqlite::Result<usize> {
    let which = params![org.as_bytes(), name.as_str(), json(but)];
    batch.execute(FORGET_SEEN, which)
}

fn version_of(
    batch: &Batch<'_>,
    org: OrgId,
    kind: ItemKind,
    name: &Name,
) -> rusqlite::Result<Option<i64>> {
    let key = params![org.as_bytes(), kind.code(), name.as_str()];
    batch.first(VERSION_OF, key, |row| row.get(0))
}

/// How many endpoints and policies name it.
fn naming(
    connection: &Connection,
    org: OrgId,
    kind: ItemKind,
    name: &Name,
) -> rusqlite::Result<u64> {
    let sql = match kind {
        ItemKind::Policy => NAMING_POLICY,
        ItemKind::AnchorSet => NAMING_ANCHORS,
        ItemKind::ClientIdentity => NAMING_IDENTITY,
    };
    count(connection, sql, params![org.as_bytes(), name.as_str()])
}

/// Raises the version of an organisation's book.
fn next_version(batch: &Batch<'_>, org: OrgId) -> Result<i64, Failure> {
    let next = batch.first(NEXT_VERSION, [org.as_bytes()], |row| row.get(0))?;
    Ok(next.ok_or(rusqlite::Error::QueryReturnedNoRows)?)
}

fn items_max(kind: ItemKind) -> usize {
    match kind {
        ItemKind::Policy => POLICIES_MAX,
        ItemKind::AnchorSet => ANCHOR_SETS_MAX,
        ItemKind::ClientIdentity => IDENTITIES_MAX,
    }
}

// === impl NewItem ===

impl NewItem {
    /// Whether it may take the place of what is there.
    fn may_replace(&self, current: Option<i64>) -> Result<(), ChangeError> {
        match (self.stands_as, current) {
            (None, _) | (Some(0), None) => Ok(()),
            (Some(0), Some(_)) => Err(ChangeError::NameTaken),
            (Some(_), None) => Err(ChangeError::NotFound),
            (Some(read), Some(current)) if read == current => Ok(()),
            (Some(_), Some(_)) => Err(ChangeError::Stale),
        }
    }
}
