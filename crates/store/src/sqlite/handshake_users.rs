//! Which endpoints' receivers were seen to depend on a root or on a certificate of ours.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params};

use hookseal_domain::id::{AppId, EndpointId, OrgId};
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::DEFAULT_POLICY;
use hookseal_pki::certificate::SpkiSha256;

use crate::error::StoreError;
use crate::page::{Page, PageRequest};
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{all, count};
use crate::sqlite::failure::Failure;
use crate::sqlite::rows::{Typed, id_range, rows_to_read};
use crate::transport::IdentityUser;

/// Whether the identity is still the one that the layers name for the endpoint: an endpoint that
/// presents another would be waited for in vain. Parameter 3 names the policy under all others.
///
/// A layer's explicit nothing is sealed and looks like silence: such an endpoint counts until its
/// receiver asks and is shown nothing, unless another identity is named below.
macro_rules! still_named {
    () => {
        " AND ?2 = coalesce(\
        (SELECT t.client_identity FROM endpoint_transport t \
        WHERE t.slice = h.slice AND t.app = h.app AND t.ep = h.ep), \
        (SELECT p.client_identity FROM endpoint_transport t JOIN transport_item p \
        ON p.org = t.org AND p.kind = 1 AND p.name = t.policy \
        WHERE t.slice = h.slice AND t.app = h.app AND t.ep = h.ep), \
        (SELECT client_identity FROM transport_item WHERE org = ?1 AND kind = 1 AND name = ?3))"
    };
}

macro_rules! users {
    ($order:literal) => {
        concat!(
            "SELECT app, ep, identity_number, identity_sha256, identity_at ",
            "FROM endpoint_handshake h ",
            "WHERE org = ?1 AND identity = ?2 AND ep > ?4 AND ep < ?5",
            still_named!(),
            " ORDER BY ep ",
            $order,
            " LIMIT ?6"
        )
    };
}

const OF_ANCHOR: &str = "SELECT count(*) FROM endpoint_handshake WHERE org = ?1 AND anchor = ?2";
const OF_IDENTITY_UP: &str = users!("ASC");
const OF_IDENTITY_DOWN: &str = users!("DESC");
/// Counted here, since the index has them by endpoint.
const NUMBERS: &str = concat!(
    "SELECT identity_number FROM endpoint_handshake h WHERE org = ?1 AND identity = ?2",
    still_named!()
);

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 4] = [OF_ANCHOR, OF_IDENTITY_UP, OF_IDENTITY_DOWN, NUMBERS];

/// How many endpoints' last good chains ended in this root.
pub(super) async fn of_anchor(
    store: &SqliteStore,
    org: OrgId,
    anchor: SpkiSha256,
) -> Result<u64, StoreError> {
    let users = move |connection: &Connection| {
        let which = params![org.as_bytes(), anchor.as_bytes()];
        Ok(count(connection, OF_ANCHOR, which)?)
    };
    store.readers.ask(users).await
}

/// Endpoints that the identity is still named for and whose receivers accepted a certificate of it
/// last.
pub(super) async fn of_identity(
    store: &SqliteStore,
    org: OrgId,
    identity: &Name,
    page: PageRequest<EndpointId>,
) -> Result<Page<IdentityUser>, StoreError> {
    let identity = identity.clone();
    let list = move |connection: &Connection| {
        let (low, high) = id_range(&page, EndpointId::raw);
        let sql = if page.reads_ascending() {
            OF_IDENTITY_UP
        } else {
            OF_IDENTITY_DOWN
        };
        let rows = rows_to_read(&page);
        let which = params![
            org.as_bytes(),
            identity.as_str(),
            DEFAULT_POLICY,
            low,
            high,
            rows
        ];
        Ok(page.page_of(all(connection, sql, which, read)?))
    };
    store.readers.ask(list).await
}

/// How many of those there are, by the certificate's number.
pub(super) async fn standing(
    store: &SqliteStore,
    org: OrgId,
    identity: &Name,
) -> Result<BTreeMap<u32, u64>, StoreError> {
    let identity = identity.clone();
    let sum = move |connection: &Connection| {
        let mut standing = BTreeMap::new();
        let which = params![org.as_bytes(), identity.as_str(), DEFAULT_POLICY];
        all(connection, NUMBERS, which, |row| {
            *standing.entry(row.get(0)?).or_default() += 1;
            Ok(())
        })?;
        Ok(standing)
    };
    store.readers.ask(sum).await
}

fn read(row: &Row<'_>) -> Result<IdentityUser, Failure> {
    let endpoint = EndpointId::from_raw(row.get("ep")?);
    let row = Typed {
        row,
        table: "endpoint_handshake",
        id: endpoint,
    };
    Ok(IdentityUser {
        app: AppId::from_raw(row.plain("app")?),
        endpoint,
        number: row.plain("identity_number")?,
        sha256: row.plain("identity_sha256")?,
        at: row.time("identity_at")?,
    })
}
