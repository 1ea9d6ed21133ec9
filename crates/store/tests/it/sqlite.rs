//! What the SQLite back end must do besides: survive, hide, refuse.

mod migrations;
mod operational;
mod tasks;
mod transport;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;

use hookseal_domain::delivery::{DeliveryKey, Ended, Next, Pending};
use hookseal_domain::id::MessageId;
use hookseal_domain::secret::Secret;
use hookseal_store::Store;
use hookseal_store::error::{AcceptError, StoreError};
use hookseal_store::inspect::{AttemptFilter, AttemptScope, DeliveryStatus};
use hookseal_store::page::Order;
use hookseal_store::publish::DeliveryStart;
use hookseal_store::reference::Reference;
use hookseal_store::retention::RetentionPolicy;
use hookseal_store::seal::MasterKey;
use hookseal_store::sqlite::{OpenError, Schema, SqliteOptions, SqliteStore};
use hookseal_store::work::PullLimit;

use crate::scene::{MANY, PAYLOAD, Scene};

pub(crate) struct Fresh {
    store: SqliteStore,
    directory: TempDir,
}

impl Fresh {
    pub(crate) fn store(&self) -> &dyn Store {
        &self.store
    }
}

pub(crate) fn fresh() -> Fresh {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    Fresh { store, directory }
}

fn master(byte: u8) -> MasterKey {
    MasterKey::new(&Secret::new([byte; 32])).unwrap()
}

fn open(directory: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(SqliteOptions::new(directory.join("hookseal.db")), master(7))
}

/// What the disk would hold if the machine lost power now (and had synced nothing more).
fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    // The database before its log: what the log has been copied from then on is in the database.
    for name in ["hookseal.db", "hookseal.db-wal"] {
        fs::copy(from.join(name), to.path().join(name)).unwrap();
    }
    to
}

fn contains(directory: &Path, needle: &[u8]) -> bool {
    fs::read_dir(directory).unwrap().any(|entry| {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        bytes.windows(needle.len()).any(|window| window == needle)
    })
}

#[tokio::test]
async fn another_key_is_refused() {
    let fresh = fresh();
    let directory = fresh.directory;
    drop(fresh.store);
    let path = directory.path().join("hookseal.db");
    let refused = SqliteStore::open(SqliteOptions::new(path), master(8)).err();
    assert!(matches!(refused, Some(OpenError::WrongKey)), "{refused:?}");
    assert!(open(directory.path()).is_ok());
}

#[tokio::test]
async fn one_process_at_a_time() {
    let fresh = fresh();
    let refused = open(fresh.directory.path()).err();
    assert!(matches!(refused, Some(OpenError::InUse)), "{refused:?}");
}

#[tokio::test]
async fn files_are_the_owners_alone() {
    let fresh = fresh();
    let scene = Scene::new(&fresh.store).await;
    scene.accept(DeliveryStart::Owned, &[]).await;
    let mut names = Vec::new();
    for entry in fs::read_dir(fresh.directory.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(
        names,
        [
            "hookseal.db",
            "hookseal.db-shm",
            "hookseal.db-wal",
            "hookseal.db.lock"
        ]
    );
}

#[tokio::test]
async fn nothing_can_be_read_off_the_disk() {
    let fresh = fresh();
    let scene = Scene::new(&fresh.store).await;
    let endpoint = scene.endpoint().await;
    let key = scene.owned(endpoint).await;
    scene.end(key, Ended::Delivered).await;
    let spec = crate::scene::endpoint_spec(Some("hush-is-no-secret"));
    let new = scene.new_endpoint(scene.app, spec);
    fresh.store.create_endpoint(new, None).await.unwrap();
    let directory = fresh.directory.path();
    assert!(
        contains(directory, b"hush-is-no-secret"),
        "the search finds what is plain"
    );
    let secret = crate::scene::key(1);
    for needle in [
        PAYLOAD.as_bytes(),
        b"hush-the-header",
        b"hush-the-response",
        secret.secret_bytes().expose(),
        secret.receiver_text().expose().as_bytes(),
        &[7; 32],
    ] {
        assert!(!contains(directory, needle), "{}", needle.escape_ascii());
    }
    let directory = fresh.directory;
    drop(fresh.store);
    assert!(
        !contains(directory.path(), b"hush-the"),
        "nor after a checkpoint"
    );
}

#[tokio::test]
async fn schema_is_reported_and_newer_ones_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hookseal.db");
    let Schema { current, wanted } = SqliteStore::check(&path).unwrap();
    assert_eq!(current, 0);
    assert!(!path.exists(), "looking makes nothing");
    drop(open(directory.path()).unwrap());
    let schema = SqliteStore::check(&path).unwrap();
    let current = wanted;
    assert_eq!(schema, Schema { current, wanted });
    let connection = rusqlite::Connection::open(&path).unwrap();
    let found = wanted + 1;
    let newer = "INSERT INTO schema_version VALUES (?1, 'later', x'00')";
    connection.execute(newer, [found]).unwrap();
    for refused in [
        open(directory.path()).err(),
        SqliteStore::check(&path).err(),
    ] {
        let known = wanted;
        let newer = OpenError::NewerSchema { found, known };
        assert_eq!(refused.map(|e| e.to_string()), Some(newer.to_string()));
    }
    let later = "DELETE FROM schema_version WHERE version = ?1";
    connection.execute(later, [found]).unwrap();
    let edited = "UPDATE schema_version SET sha256 = x'00'";
    connection.execute(edited, []).unwrap();
    let refused = open(directory.path()).err();
    assert!(
        matches!(refused, Some(OpenError::ChangedMigration { version: 1 })),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_crash_at_any_moment() {
    const CRASHES: usize = 8;
    let fresh = fresh();
    let scene = Scene::new(&fresh.store).await;
    let endpoint = scene.endpoint().await;
    let acknowledged = Mutex::new(Vec::<MessageId>::new());
    let finished = Mutex::new(Vec::<MessageId>::new());
    let enough = AtomicBool::new(false);
    let load = async || {
        while !enough.load(Ordering::Relaxed) {
            let key = scene.owned(endpoint).await;
            acknowledged.lock().push(key.message);
            if key.message.raw() % 2 == 0 {
                scene.end(key, Ended::Delivered).await;
                finished.lock().push(key.message);
            }
        }
    };
    let crash = async || {
        let directory = fresh.directory.path();
        for round in 1..=CRASHES {
            while acknowledged.lock().len() < round * 20 {
                tokio::task::yield_now().await;
            }
            let (accepted, ended) = (acknowledged.lock().clone(), finished.lock().clone());
            let copied = copy(directory);
            let after = open(copied.path()).unwrap();
            let session = after.begin_epoch(scene.now()).await.unwrap();
            let newest = accepted.iter().max().map(|id| id.raw());
            assert!(session.highest_id >= newest);
            for id in accepted {
                let found = after.message(scene.app, &Reference::Id(id)).await.unwrap();
                assert_eq!(found.unwrap().payload.unwrap(), PAYLOAD);
            }
            // All of them: a quick machine accepts many meanwhile.
            let page = crate::scene::first_page(100_000, Order::Ascending);
            let filter = hookseal_store::inspect::MessageFilter::default();
            let success = Some(hookseal_store::inspect::MessageStatusFilter::Success);
            let delivered = after
                .endpoint_messages(scene.app, endpoint, filter, success, page)
                .await
                .unwrap();
            for id in ended {
                assert!(
                    delivered.rows.iter().any(|row| row.message.id == id),
                    "{id}"
                );
            }
        }
        enough.store(true, Ordering::Relaxed);
    };
    tokio::join!(load(), load(), load(), load(), crash());
}

#[tokio::test]
async fn dropping_writes_what_is_queued() {
    let fresh = fresh();
    let scene = Scene::new(&fresh.store).await;
    let endpoint = scene.endpoint().await;
    let key = scene.owned(endpoint).await;
    let finished = scene.finished(key, 1, Next::End(Ended::Delivered));
    fresh.store.record(&finished).await.unwrap();
    let (app, directory) = (scene.app, fresh.directory);
    drop(fresh.store);
    let again = open(directory.path()).unwrap();
    assert_eq!(
        again
            .begin_epoch(crate::scene::START)
            .await
            .unwrap()
            .taken_back,
        0
    );
    let scope = hookseal_store::inspect::AttemptScope::Message(key.message);
    let page = crate::scene::first_page(9, Order::Ascending);
    let found = again.attempts(app, scope, Default::default(), page).await;
    assert_eq!(found.unwrap().rows.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_messages_and_keeps_results() {
    let directory = tempfile::tempdir().unwrap();
    let options = SqliteOptions {
        size_bytes_max: Some(1 << 20),
        ..SqliteOptions::new(directory.path().join("hookseal.db"))
    };
    let store = SqliteStore::open(options, master(7)).unwrap();
    let scene = Scene::new(&store).await;
    let endpoint = scene.endpoint().await;
    let mut keys = Vec::new();
    let refused = loop {
        let mut message = scene.message(DeliveryStart::Owned, &[endpoint]).await;
        message.payload = bytes::Bytes::from(vec![0; 20_000]);
        let key = DeliveryKey {
            message: message.id,
            endpoint,
        };
        match store.accept(message).await {
            Ok(_) => keys.push(key),
            Err(error) => break error,
        }
        assert!(keys.len() < 100, "it gets full");
    };
    let full = matches!(refused, AcceptError::Store(StoreError::DiskFull));
    assert!(full, "{refused:?}");
    for &key in &keys {
        let mut finished = scene.finished(key, 1, Next::End(Ended::Delivered));
        finished.attempt.facts.response_body = Some(bytes::Bytes::from(vec![0; 5000]));
        store.record(&finished).await.unwrap();
    }
    // Results wait until there is room; what makes room does not wait for them.
    let make_room = async {
        for key in &keys {
            while store.expunge_message(scene.app, key.message).await.is_err() {
                tokio::task::yield_now().await;
            }
        }
    };
    let both = async { tokio::join!(store.flush(), make_room).0 };
    let bound = std::time::Duration::from_secs(60);
    tokio::time::timeout(bound, both).await.unwrap().unwrap();
    for (_, status) in scene.with_status(endpoint, None).await {
        assert_eq!(status, DeliveryStatus::Ended(Ended::Delivered));
    }
    assert_eq!(scene.attempts(keys[0].message).await, 1);
}

#[tokio::test]
async fn a_row_that_fits_no_state_is_reported() {
    let fresh = fresh();
    let scene = Scene::new(&fresh.store).await;
    let endpoint = scene.endpoint().await;
    let key = scene.owned(endpoint).await;
    scene.end(key, Ended::Delivered).await;
    let path = fresh.directory.path().join("hookseal.db");
    let connection = rusqlite::Connection::open(path).unwrap();
    let damage = "PRAGMA ignore_check_constraints = ON; UPDATE outcome SET ended = 99; \
        UPDATE attempt SET outcome = 99; UPDATE endpoint SET park_on = '[200]'";
    connection.execute_batch(damage).unwrap();

    let destinations = fresh.store.destinations(
        scene.app,
        key.message,
        crate::scene::first_page(9, Order::Ascending),
    );
    let scope = AttemptScope::Message(key.message);
    let attempts = fresh.store.attempts(
        scene.app,
        scope,
        AttemptFilter::default(),
        crate::scene::first_page(9, Order::Ascending),
    );
    let reference = Reference::Id(endpoint);
    let found = [
        destinations.await.map(|_| ()),
        attempts.await.map(|_| ()),
        fresh
            .store
            .endpoint(scene.app, &reference)
            .await
            .map(|_| ()),
        fresh.store.routing_of(scene.app).await.map(|_| ()),
    ];
    let corrupt: Vec<_> = found
        .into_iter()
        .map(|result| match result {
            Err(StoreError::CorruptRow { table, column, .. }) => format!("{table}.{column}"),
            other => format!("{other:?}"),
        })
        .collect();
    let endpoint = "endpoint.park_on";
    assert_eq!(corrupt, [endpoint, "attempt.outcome", endpoint, endpoint]);
}

#[tokio::test]
async fn swapped_ciphertexts_do_not_open() {
    let fresh = fresh();
    let scene = Scene::new(&fresh.store).await;
    let one = scene.accept(DeliveryStart::Owned, &[]).await;
    let other = scene.accept(DeliveryStart::Owned, &[]).await;
    let path = fresh.directory.path().join("hookseal.db");
    let connection = rusqlite::Connection::open(path).unwrap();
    let swap = "UPDATE message SET payload = (SELECT payload FROM message WHERE id = ?1) \
        WHERE id = ?2";
    connection.execute(swap, [one.raw(), other.raw()]).unwrap();
    let found = fresh.store.message(scene.app, &Reference::Id(other)).await;
    let what = "message.payload";
    assert!(
        matches!(found, Err(StoreError::Unsealable { what: w }) if w == what),
        "{found:?}"
    );
    assert!(
        fresh
            .store
            .message(scene.app, &Reference::Id(one))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn data_keys_are_renewed() {
    let fresh = fresh();
    let scene = Scene::new(&fresh.store).await;
    let endpoint = scene.endpoint().await;
    let old = scene.owned(endpoint).await;
    scene.later(crate::scene::days(30));
    let (a, b) = tokio::join!(scene.owned(endpoint), scene.owned(endpoint));
    scene.end(old, Ended::Delivered).await;
    scene.later(crate::scene::days(29));
    let c = scene.owned(endpoint).await;
    let path = fresh.directory.path().join("hookseal.db");
    let connection = rusqlite::Connection::open(path).unwrap();
    let version = |key: DeliveryKey| {
        let sql = "SELECT key_version FROM message WHERE id = ?1";
        let id = [key.message.raw()];
        connection
            .query_row(sql, id, |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!([old, a, b, c].map(version), [1, 2, 2, 2]);
    let all_open = async |store: &SqliteStore| {
        for key in [old, a, b, c] {
            let found = store.message(scene.app, &Reference::Id(key.message)).await;
            assert_eq!(found.unwrap().unwrap().payload.unwrap(), PAYLOAD);
        }
    };
    all_open(&fresh.store).await;
    let copied = copy(fresh.directory.path());
    all_open(&open(copied.path()).unwrap()).await;
}

#[tokio::test]
async fn what_can_not_be_sealed_is_not_to_be_repeated() {
    let fresh = fresh();
    let scene = Scene::new(&fresh.store).await;
    let endpoint = scene.endpoint().await;
    let mut message = scene.message(DeliveryStart::Backlog, &[endpoint]).await;
    message.options.expires_at = Some(scene.now());
    fresh.store.accept(message).await.unwrap();
    let copied = copy(fresh.directory.path());
    let connection = rusqlite::Connection::open(copied.path().join("hookseal.db")).unwrap();
    connection.execute("DELETE FROM data_key", []).unwrap();
    drop(connection);
    let damaged = open(copied.path()).unwrap();
    damaged.begin_epoch(scene.now()).await.unwrap();
    let expired = damaged.claim_expired(scene.now(), 9).await.unwrap();
    let end = Next::End(Ended::MessageExpired);
    let finished = scene.finished(expired[0].key, 1, end);
    for error in [
        damaged.record(&finished).await.err(),
        damaged.record_in_order(&finished).await.err(),
    ] {
        assert!(error.is_some_and(|error| error.is_lasting()));
    }
    assert!(!StoreError::DiskFull.is_lasting() && !StoreError::Overloaded.is_lasting());
}

#[tokio::test]
async fn forgetting_gives_space_back() {
    let fresh = fresh();
    let scene = Scene::new(&fresh.store).await;
    for _ in 0..100 {
        let mut message = scene.message(DeliveryStart::Owned, &[]).await;
        message.payload = bytes::Bytes::from(vec![0; 40_000]);
        fresh.store.accept(message).await.unwrap();
    }
    let path = fresh.directory.path().join("hookseal.db");
    let connection = rusqlite::Connection::open(path).unwrap();
    let pragma = |name| -> i64 {
        connection
            .pragma_query_value(None, name, |row| row.get(0))
            .unwrap()
    };
    assert_eq!((pragma("auto_vacuum"), pragma("page_size")), (2, 8192));
    assert!(pragma("page_count") > 500);
    let now = scene.later(crate::scene::days(91));
    let policy = RetentionPolicy {
        history: crate::scene::days(90),
        batch_rows: 1000,
    };
    while fresh.store.retain(now, policy).await.unwrap().more {}
    assert!(pragma("page_count") < 400, "{}", pragma("page_count"));
}

#[tokio::test]
async fn what_cannot_be_made_is_held_and_keeps_nobody_waiting() {
    let fresh = fresh();
    let scene = Scene::new(&fresh.store).await;
    let endpoint = scene.endpoint().await;
    let mut backlog = Vec::new();
    for _ in 0..3 {
        let message = scene.accept(DeliveryStart::Backlog, &[endpoint]).await;
        backlog.push(DeliveryKey { message, endpoint });
    }
    let mut due = Vec::new();
    for _ in 0..2 {
        let key = scene.owned(endpoint).await;
        let next = Next::Retry {
            due: scene.now(),
            step: 1,
        };
        scene.record(scene.finished(key, 1, next)).await;
        due.push(key);
    }
    let path = fresh.directory.path().join("hookseal.db");
    let connection = rusqlite::Connection::open(path).unwrap();
    connection
        .execute_batch("PRAGMA ignore_check_constraints = ON")
        .unwrap();
    for (sql, key) in [
        (
            "UPDATE message SET payload = x'00' WHERE id = ?1",
            backlog[0],
        ),
        (
            "UPDATE message SET key_version = 9 WHERE id = ?1",
            backlog[1],
        ),
        ("UPDATE pending SET trigger = 9 WHERE msg = ?1", due[0]),
    ] {
        let id = [key.message.raw()];
        assert_eq!(connection.execute(sql, id).unwrap(), 1);
    }
    let one = PullLimit { rows: 1, ..MANY };
    let pull = async || fresh.store.pull_backlog(scene.app, endpoint, one).await;
    let pulled: Vec<_> = pull().await.unwrap().iter().map(|c| c.key).collect();
    assert_eq!(pulled, backlog[2..], "the first that can be made");
    let claimed = fresh.store.claim_due(scene.now(), one).await.unwrap();
    let claimed: Vec<_> = claimed.deliveries.iter().map(|c| c.key).collect();
    assert_eq!(claimed, due[1..]);

    for key in [backlog[0], backlog[1], due[0]] {
        let held = Some(DeliveryStatus::Pending(Pending::Held));
        assert_eq!(scene.status(key).await, held);
    }
    assert_eq!(fresh.store.release_held(9).await.unwrap(), [], "for good");
    assert_eq!(pull().await.unwrap(), []);
    let none = fresh.store.claim_due(scene.now(), MANY).await.unwrap();
    assert_eq!(none, Default::default());
}

#[tokio::test]
async fn a_long_row_of_what_cannot_be_made_is_not_the_end_of_a_backlog() {
    let fresh = fresh();
    let scene = Scene::new(&fresh.store).await;
    let endpoint = scene.endpoint().await;
    for _ in 0..9 {
        scene.accept(DeliveryStart::Backlog, &[endpoint]).await;
    }
    let path = fresh.directory.path().join("hookseal.db");
    let connection = rusqlite::Connection::open(path).unwrap();
    let spoil = "UPDATE message SET payload = x'00'";
    connection.execute(spoil, []).unwrap();
    let last = scene.accept(DeliveryStart::Backlog, &[endpoint]).await;
    let one = PullLimit { rows: 1, ..MANY };
    let mut failed = 0;
    let pulled = loop {
        match fresh.store.pull_backlog(scene.app, endpoint, one).await {
            Ok(pulled) => break pulled,
            Err(StoreError::Unsealable { .. }) => failed += 1,
            Err(other) => panic!("{other:?}"),
        }
        assert!(failed < 9, "it gets on");
    };
    assert_eq!(pulled.len(), 1);
    assert_eq!(pulled[0].key.message, last);
}

#[tokio::test]
async fn a_delivery_whose_result_is_refused_is_made_again_later() {
    let fresh = fresh();
    let scene = Scene::new(&fresh.store).await;
    let endpoint = scene.endpoint().await;
    let path = fresh.directory.path().join("hookseal.db");
    let connection = rusqlite::Connection::open(path).unwrap();
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON attempt \
        BEGIN SELECT RAISE(ABORT, 'no'); END";
    connection.execute_batch(refuse).unwrap();
    let far = scene.now().plus(crate::scene::days(1));
    let retry = Next::Retry { due: far, step: 1 };
    let soon = scene.now().plus(Duration::from_secs(60));
    let soon = soon.plus(Duration::from_millis(12));
    for (next, due) in [(Next::End(Ended::Delivered), soon), (retry, far)] {
        let key = scene.owned(endpoint).await;
        scene.record(scene.finished(key, 1, next)).await;
        let waits = Some(DeliveryStatus::Pending(Pending::Waiting { due }));
        assert_eq!(scene.status(key).await, waits);
        assert_eq!(scene.attempts(key.message).await, 0);
    }
    connection.execute_batch("DROP TRIGGER refuse").unwrap();
    let claimed = fresh.store.claim_due(soon, MANY).await.unwrap().deliveries;
    scene.took(&claimed);
    scene.end(claimed[0].key, Ended::Delivered).await;
    let delivered = Some(DeliveryStatus::Ended(Ended::Delivered));
    assert_eq!(scene.status(claimed[0].key).await, delivered);
}
