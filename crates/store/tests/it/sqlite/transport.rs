//! What the SQLite back end must do for transport security besides.

use std::path::Path;

use hookseal_domain::transport::identity::ClientIdentity;
use hookseal_domain::transport::pin::PinState;
use hookseal_domain::transport::policy::TransportPolicy;
use hookseal_domain::transport::rotation::Stage;
use hookseal_store::Store;
use hookseal_store::error::{ChangeError, StoreError};
use hookseal_store::sqlite::SqliteStore;
use hookseal_store::transport::{
    ANCHOR_SETS_MAX, IDENTITIES_MAX, POLICIES_MAX, SeenHandshake, TransportStore,
};

use super::{contains, copy, fresh, open};
use crate::handshakes::{failed, good};
use crate::scene::{Scene, org, other_org};
use crate::transport::{KEY, anchor_set, identity, name, pin, policy, spki, transport};

fn us() -> ClientIdentity {
    identity("us", &[(1, 11, Stage::Distributed)], 0)
}

/// One of everything.
async fn furnished(scene: &Scene<'_>) -> hookseal_domain::id::EndpointId {
    let endpoint = scene.endpoint().await;
    scene.put_policy("strict", policy()).await;
    let set = anchor_set("theirs", &[1], 0);
    scene.put_anchors(set).await.unwrap();
    scene.put_identity(us()).await.unwrap();
    let says = transport(vec![pin(1, PinState::Active), pin(2, PinState::Staged)]);
    scene.set_transport(endpoint, says).await;
    scene.see(endpoint, good(scene.now(), &[1, 2])).await;
    scene.see(endpoint, failed(scene.now(), &[1])).await;
    endpoint
}

fn database(directory: &Path) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(directory.join("hookseal.db")).unwrap();
    let lax = "PRAGMA ignore_check_constraints = ON";
    connection.execute_batch(lax).unwrap();
    connection
}

fn complaint<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result.unwrap_err() {
        StoreError::CorruptRow { table, column, .. } => format!("corrupt {table}.{column}"),
        StoreError::Unsealable { what } => format!("unsealable {what}"),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn keys_hosts_and_roots_can_not_be_read_off_the_disk() {
    let fresh = fresh();
    let scene = Scene::new(&fresh.store).await;
    furnished(&scene).await;
    let pem = "-----BEGIN PRIVATE KEY-----\nhush-the-request\n-----END PRIVATE KEY-----\n";
    let mut other = identity("other", &[(1, 12, Stage::Issued)], 0);
    other.certificates[0].csr_pem = Some(pem.to_owned());
    scene.put_identity(other).await.unwrap();
    let directory = fresh.directory.path();
    assert!(contains(directory, b"strict"), "the search finds names");
    for needle in [
        KEY,
        pem.as_bytes(),
        b"PRIVATE KEY",
        b"hush-the",
        &[11; 64],
        &[1; 64],
    ] {
        assert!(!contains(directory, needle), "{}", needle.escape_ascii());
    }
    let directory = fresh.directory;
    drop(fresh.store);
    for needle in [KEY, b"hush-the"] {
        assert!(
            !contains(directory.path(), needle),
            "nor after a checkpoint"
        );
    }
}

#[tokio::test]
async fn all_of_it_survives_a_crash() {
    let fresh = fresh();
    let scene = Scene::new(&fresh.store).await;
    let endpoint = furnished(&scene).await;
    let app = scene.app;
    let state = async |store: &SqliteStore| {
        let book = store.transport_book(org()).await.unwrap();
        assert!(
            book.identities[&name("us")].certificates[0]
                .key
                .matches(&us().certificates[0].key)
        );
        let says = store.endpoint_transport(app, endpoint).await.unwrap();
        let seen = store.handshakes(app, endpoint).await.unwrap();
        assert_eq!(store.anchor_users(org(), spki(2)).await.unwrap(), 1);
        format!("{book:?} {says:?} {seen:?}")
    };
    let before = state(&fresh.store).await;
    let crashed = copy(fresh.directory.path());
    assert_eq!(state(&open(crashed.path()).unwrap()).await, before);
    let directory = fresh.directory;
    drop(fresh.store);
    assert_eq!(state(&open(directory.path()).unwrap()).await, before);
}

#[tokio::test]
async fn every_kind_is_bounded() {
    let fresh = fresh();
    let scene = Scene::new(&fresh.store).await;
    furnished(&scene).await;
    let connection = database(fresh.directory.path());
    let fill = "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?2) \
        INSERT INTO transport_item SELECT org, kind, 'n' || i, version, 0, NULL, NULL, \
        key_version, body FROM transport_item, n WHERE kind = ?1";
    let full = |result: Result<(), ChangeError>, expect: usize| {
        let full = matches!(result, Err(ChangeError::TooMany { max }) if max == expect);
        assert!(full, "{result:?}");
    };
    for (kind, max) in [(1, POLICIES_MAX), (2, ANCHOR_SETS_MAX), (3, IDENTITIES_MAX)] {
        let max = i64::try_from(max).unwrap();
        connection.execute(fill, [kind, max]).unwrap();
    }
    let policy = TransportPolicy::default();
    let put = fresh
        .store
        .put_transport_policy(org(), name("more"), policy, scene.now());
    full(put.await.map(|_| ()), POLICIES_MAX);
    let set = anchor_set("more", &[1], 0);
    full(scene.put_anchors(set).await.map(|_| ()), ANCHOR_SETS_MAX);
    let more = identity("more", &[], 0);
    full(scene.put_identity(more).await.map(|_| ()), IDENTITIES_MAX);
}

#[tokio::test]
async fn what_is_moved_or_altered_does_not_open() {
    let fresh = fresh();
    let scene = Scene::new(&fresh.store).await;
    let endpoint = furnished(&scene).await;
    let other = scene.endpoint().await;
    scene.set_transport(other, transport(vec![])).await;
    let now = scene.now();
    let put = fresh.store.put_client_identity(other_org(), us(), now);
    put.await.unwrap();
    // A copy each time, so that one damage does not hide the next.
    let damaged = async |sql: &str| {
        let copied = copy(fresh.directory.path());
        let store = open(copied.path()).unwrap();
        database(copied.path()).execute_batch(sql).unwrap();
        (store, copied)
    };
    let items = "unsealable transport_item.body";
    for (sql, expect) in [
        (
            "UPDATE transport_item SET body = x'00' WHERE kind = 3",
            items,
        ),
        (
            "UPDATE transport_item SET version = version + 1 WHERE kind = 2",
            items,
        ),
        (
            "UPDATE transport_item SET name = 'stricter' WHERE kind = 1",
            items,
        ),
        ("UPDATE transport_item SET key_version = 2", items),
        (
            "UPDATE transport_item AS i SET body = (SELECT body FROM transport_item \
             WHERE org <> i.org AND kind = 3), version = 1 WHERE kind = 3",
            items,
        ),
        (
            "UPDATE transport_item SET kind = 9 WHERE kind = 1",
            "corrupt transport_item.kind",
        ),
        (
            "UPDATE transport_item SET name = 'a b' WHERE kind = 1",
            "corrupt transport_item.name",
        ),
        (
            "UPDATE organisation_key AS k SET wrapped = (SELECT wrapped FROM organisation_key \
             WHERE org <> k.org)",
            "unsealable organisation_key.wrapped",
        ),
        ("DELETE FROM organisation_key", "unsealable data_key"),
        (
            "INSERT INTO identity_seen SELECT org, 'us', 1, x'00', 0 FROM transport_version",
            "corrupt identity_seen.sha256",
        ),
    ] {
        let (store, _copied) = damaged(sql).await;
        let found = store.transport_book(org()).await;
        assert_eq!(complaint(found), expect, "{sql}");
    }
    let own = "unsealable endpoint_transport.body";
    for (sql, expect) in [
        ("UPDATE endpoint_transport SET body = x'00'", own),
        (
            "UPDATE endpoint_transport AS t SET body = \
             (SELECT body FROM endpoint_transport WHERE ep <> t.ep)",
            own,
        ),
        (
            "UPDATE endpoint_pin SET state = 9",
            "corrupt endpoint_pin.state",
        ),
        (
            "UPDATE endpoint_pin SET spki = x'00' WHERE place = 0",
            "corrupt endpoint_pin.spki",
        ),
    ] {
        let (store, _copied) = damaged(sql).await;
        let found = store.endpoint_transport(scene.app, endpoint).await;
        assert_eq!(complaint(found), expect, "{sql}");
        let routing = store.routing_of(scene.app).await;
        assert_eq!(complaint(routing), expect, "nothing is sent: {sql}");
    }
    let (store, _copied) = damaged("UPDATE endpoint_handshake SET good = failed").await;
    let found = store.handshakes(scene.app, endpoint).await;
    assert_eq!(complaint(found), "unsealable endpoint_handshake.good");

    // What can't be read any more can be replaced.
    let spoil = "UPDATE transport_item SET body = x'00' WHERE kind = 1";
    let connection = database(fresh.directory.path());
    connection.execute(spoil, []).unwrap();
    let found = fresh.store.transport_book(org()).await;
    assert_eq!(complaint(found), items);
    scene.put_policy("strict", policy()).await;
    scene.book(org()).await;
}

#[tokio::test]
async fn a_damaged_endpoint_keeps_no_other_from_being_seen() {
    let fresh = fresh();
    let scene = Scene::new(&fresh.store).await;
    let damaged = furnished(&scene).await;
    let endpoint = scene.endpoint().await;
    let spoil = "UPDATE endpoint_pin SET state = 9";
    database(fresh.directory.path()).execute(spoil, []).unwrap();
    let at = scene.later(std::time::Duration::from_secs(1));
    let seen = [damaged, endpoint].map(|endpoint| SeenHandshake {
        org: org(),
        app: scene.app,
        endpoint,
        report: good(at, &[1, 2]),
    });
    fresh.store.record_handshakes(seen.to_vec()).await.unwrap();
    for endpoint in [damaged, endpoint] {
        let last = scene.seen(endpoint).await.last;
        assert_eq!(last, Some(good(at, &[1, 2])));
    }
}

#[tokio::test]
async fn keys_of_organisations_are_renewed() {
    let fresh = fresh();
    let scene = Scene::new(&fresh.store).await;
    scene.put_policy("old", policy()).await;
    scene.later(crate::scene::days(30));
    let (a, b) = tokio::join!(
        scene.put_identity(us()),
        scene.put_anchors(anchor_set("theirs", &[1], 0))
    );
    a.unwrap();
    b.unwrap();
    scene.later(crate::scene::days(29));
    scene.put_policy("new", policy()).await;
    let sql = "SELECT name || key_version FROM transport_item ORDER BY name";
    let connection = database(fresh.directory.path());
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0));
    let rows: Vec<_> = rows.unwrap().map(Result::unwrap).collect();
    assert_eq!(rows, ["new2", "old1", "theirs2", "us2"]);
    let all_open = async |store: &SqliteStore| {
        let book = store.transport_book(org()).await.unwrap();
        assert_eq!(book.policies.len(), 2);
        assert_eq!((book.anchor_sets.len(), book.identities.len()), (1, 1));
    };
    all_open(&fresh.store).await;
    let copied = copy(fresh.directory.path());
    all_open(&open(copied.path()).unwrap()).await;
}
