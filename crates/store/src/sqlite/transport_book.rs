//! All that an organisation decided about transport security, read as of one moment.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, Row};

use hookseal_domain::id::OrgId;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::anchor_set::AnchorSet;
use hookseal_domain::transport::book::TransportBook;
use hookseal_domain::transport::identity::{ClientIdentity, IdentityCertificate};
use hookseal_domain::transport::name::Name;

use crate::codes::ItemKind;
use crate::error::StoreError;
use crate::seal::{Place, anchor_set, identity, policy};
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::{all, first};
use crate::sqlite::failure::Failure;
use crate::sqlite::keyring::DataKeys;
use crate::sqlite::rows::Typed;

const VERSION: &str = "SELECT version FROM transport_version WHERE org = ?1";
const ITEMS: &str = "SELECT kind, name, version, updated_at, key_version, body \
    FROM transport_item WHERE org = ?1";
const SEEN: &str = "SELECT identity, number, sha256, at FROM identity_seen WHERE org = ?1";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 3] = [VERSION, ITEMS, SEEN];

/// When receivers first accepted certificates of ours, by identity and number.
type Seen = HashMap<(Name, u32), ([u8; 32], Timestamp)>;

/// Reads an organisation's book.
pub(super) async fn read(store: &SqliteStore, org: OrgId) -> Result<TransportBook, StoreError> {
    let keyring = Arc::clone(&store.keyring);
    let read = move |connection: &Connection| {
        // One read transaction, so that the version is that of the items.
        let tx = connection.unchecked_transaction()?;
        let mut book = TransportBook::default();
        let version = first(&tx, VERSION, [org.as_bytes()], |row| row.get(0))?;
        let Some(version) = version else {
            return Ok(book);
        };
        book.version = version;
        let keys = keyring.of_rows(&tx, org)?;
        let seen = seen(&tx, org)?;
        all(&tx, ITEMS, [org.as_bytes()], |row| {
            read_item(row, &keys, &seen, &mut book)
        })?;
        Ok(book)
    };
    store.readers.ask(read).await
}

fn seen(connection: &Connection, org: OrgId) -> Result<Seen, Failure> {
    let rows = all(connection, SEEN, [org.as_bytes()], |row| {
        let row = Typed {
            row,
            table: "identity_seen",
            id: org,
        };
        let key = (row.name("identity")?, row.plain("number")?);
        Ok((key, (row.plain("sha256")?, row.time("at")?)))
    })?;
    Ok(rows.into_iter().collect())
}

fn read_item(
    row: &Row<'_>,
    keys: &DataKeys,
    seen: &Seen,
    book: &mut TransportBook,
) -> Result<(), Failure> {
    let row = Typed {
        row,
        table: "transport_item",
        id: row.get::<_, String>("name")?,
    };
    let kind: ItemKind = row.code("kind")?;
    let name = row.name("name")?;
    let (version, updated_at) = (row.plain("version")?, row.time("updated_at")?);
    let sealed: Vec<u8> = row.plain("body")?;
    let place = Place::TransportItem {
        kind,
        name: &name,
        version,
    };
    let plain = keys.open_secret(place, row.plain("key_version")?, &sealed)?;
    let corrupt = || row.corrupt("body");
    match kind {
        ItemKind::Policy => {
            let policy = policy::decode(plain.expose()).ok_or_else(corrupt)?;
            book.policies.insert(name, policy);
        }
        ItemKind::AnchorSet => {
            let set = AnchorSet {
                name: name.clone(),
                version,
                anchors: anchor_set::decode(plain.expose()).ok_or_else(corrupt)?,
                updated_at,
            };
            book.anchor_sets.insert(name, Arc::new(set));
        }
        ItemKind::ClientIdentity => {
            let mut certificates = identity::decode(plain.expose()).ok_or_else(corrupt)?;
            for one in &mut certificates {
                observe(one, seen.get(&(name.clone(), one.number)));
            }
            let identity = ClientIdentity {
                name: name.clone(),
                version,
                certificates,
                updated_at,
            };
            book.identities.insert(name, Arc::new(identity));
        }
    }
    Ok(())
}

/// Moves a certificate on if it was that one which was seen.
fn observe(one: &mut IdentityCertificate, seen: Option<&([u8; 32], Timestamp)>) {
    if let (Some(issued), Some((sha256, at))) = (&one.issued, seen)
        && issued.sha256 == *sha256
    {
        one.observe(*at);
    }
}
