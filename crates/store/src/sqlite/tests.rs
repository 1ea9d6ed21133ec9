//! The schema, the plans of its statements, and the writer when something breaks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, ffi};
use tempfile::TempDir;
use tokio::sync::OwnedSemaphorePermit;

use hookseal_domain::secret::Secret;
use hookseal_domain::time::Timestamp;

use crate::Store;
use crate::error::StoreError;
use crate::seal::MasterKey;
use crate::sqlite::batch::Batch;
use crate::sqlite::connection::Place;
use crate::sqlite::failure::Failure;
use crate::sqlite::queue::Job;
use crate::sqlite::reader::Readers;
use crate::sqlite::{
    SqliteOptions, SqliteStore, api_tokens, applications, attempts, backlog, claim, cloud_events,
    counts, deliveries, endpoint_headers, endpoint_health, endpoint_health_store, endpoint_pins,
    endpoint_room, endpoint_transports, endpoints, event_type_rules, event_types, few_pins,
    handshake_users, handshakes, idempotency, keyring, messages, migrate, operational, order,
    order_heads, portal_tokens, record, retention, signing_keys, statistics, tasks, transport_book,
    transport_items, verifications,
};

const HOT: [&str; 5] = ["message", "pending", "attempt", "outcome", "idempotency"];

fn schema() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    migrate::migrate(&mut connection).unwrap();
    connection
}

fn statements() -> Vec<&'static str> {
    let all: &[&[&str]] = &[
        &api_tokens::STATEMENTS,
        &applications::STATEMENTS,
        &attempts::STATEMENTS,
        &backlog::STATEMENTS,
        &claim::STATEMENTS,
        &cloud_events::STATEMENTS,
        &counts::STATEMENTS,
        &deliveries::STATEMENTS,
        &endpoint_headers::STATEMENTS,
        &endpoint_health::STATEMENTS,
        &endpoint_health_store::STATEMENTS,
        &endpoint_pins::STATEMENTS,
        &endpoint_room::STATEMENTS,
        &endpoint_transports::STATEMENTS,
        &endpoints::STATEMENTS,
        &event_type_rules::STATEMENTS,
        &event_types::STATEMENTS,
        &few_pins::STATEMENTS,
        &idempotency::STATEMENTS,
        &handshake_users::STATEMENTS,
        &handshakes::STATEMENTS,
        &keyring::STATEMENTS,
        &messages::STATEMENTS,
        &operational::STATEMENTS,
        &order::STATEMENTS,
        &order_heads::STATEMENTS,
        &portal_tokens::STATEMENTS,
        &record::STATEMENTS,
        &retention::STATEMENTS,
        &signing_keys::STATEMENTS,
        &statistics::STATEMENTS,
        &tasks::STATEMENTS,
        &tasks::ends::STATEMENTS,
        &tasks::findings::STATEMENTS,
        &tasks::replays::STATEMENTS,
        &transport_book::STATEMENTS,
        &transport_items::STATEMENTS,
        &verifications::STATEMENTS,
    ];
    all.concat()
}

fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap();
    let mut rows = statement.raw_query();
    let mut lines = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        lines.push(row.get::<_, String>(3).unwrap());
    }
    lines
}

#[test]
fn no_statement_reads_a_whole_table_or_sorts() {
    let connection = schema();
    for sql in statements() {
        for line in plan(&connection, sql) {
            let scans = line.starts_with("SCAN ")
                && !line.contains("json_each")
                && line != "SCAN CONSTANT ROW"
                // A partial index that holds nothing but what is looked for.
                && !line.contains("INDEX endpoint_releasing");
            assert!(!scans && !line.contains("TEMP B-TREE"), "{line}\n{sql}");
        }
    }
}

#[test]
fn lists_of_event_types_come_by_no_archived_ones() {
    let connection = schema();
    let listed = |sql| plan(&connection, sql);
    let [_, all_up, all_down, up, down, ..] = event_types::STATEMENTS;
    let by = |index: &str| {
        vec![format!(
            "SEARCH event_type USING INDEX {index} (org=? AND name>? AND name<?)"
        )]
    };
    for sql in [up, down] {
        assert_eq!(listed(sql), by("event_type_current"), "{sql}");
    }
    for sql in [all_up, all_down] {
        assert_eq!(listed(sql), by("sqlite_autoindex_event_type_1"), "{sql}");
    }
}

#[test]
fn claims_use_the_index_made_for_them() {
    let connection = schema();
    let first = |sql| plan(&connection, sql).remove(0);
    let [due, backlog, next_due, own, hold, take_back, expired] = claim::STATEMENTS;
    assert_eq!(
        first(due),
        "SEARCH p USING INDEX pending_due (due>? AND due<?)"
    );
    assert_eq!(
        first(backlog),
        "SEARCH p USING INDEX pending_backlog (slice=? AND ep=? AND class=?)"
    );
    assert_eq!(
        first(expired),
        "SEARCH p USING INDEX pending_expires (expires>? AND expires<?)"
    );
    assert_eq!(
        first(next_due),
        "SEARCH pending USING COVERING INDEX pending_due (due>?)"
    );
    let key = "SEARCH pending USING PRIMARY KEY (msg=? AND ep=? AND slice=?)";
    assert_eq!([first(own), first(hold)], [key, key]);
    assert_eq!(
        first(take_back),
        "SEARCH pending USING INDEX pending_owned (owner=?)"
    );
    let [end, retry, block, put_off, ..] = record::STATEMENTS;
    assert_eq!([end, retry, block, put_off].map(first), [key; 4]);
    let untried = "SEARCH outcome USING COVERING INDEX outcome_untried (msg=? AND slice=?)";
    let found = retention::STATEMENTS.map(first);
    assert!(found.contains(&untried.to_owned()), "{found:?}");
    let [next_key, of_key] = order::STATEMENTS;
    assert_eq!(
        first(next_key),
        "SEARCH pending USING COVERING INDEX pending_ready (slice=? AND ep=? AND order_key>?)"
    );
    assert_eq!(
        first(of_key),
        "SEARCH p USING INDEX pending_ordered (slice=? AND ep=? AND order_key=? AND seq>?)"
    );
}

#[test]
fn tasks_select_by_an_index() {
    let connection = schema();
    let first = |sql| plan(&connection, sql).remove(0);
    let [failed, ended, blocked, published, ..] = tasks::replays::STATEMENTS;
    assert_eq!(
        first(failed),
        "SEARCH outcome USING INDEX outcome_failed (slice=? AND ep=? AND msg>? AND msg<?)"
    );
    assert_eq!(
        first(ended),
        "SEARCH outcome USING PRIMARY KEY (slice=? AND ep=? AND msg>? AND msg<?)"
    );
    let of_state = "INDEX pending_unowned (state=? AND slice=? AND ep=? AND msg";
    assert!(first(blocked).contains(of_state), "{}", first(blocked));
    assert!(first(published).contains("(slice=? AND app=? AND id>? AND id<?)"));
    let [owned, unowned, cancel, contents] = tasks::ends::STATEMENTS;
    let of_owner = "INDEX pending_owned (owner=? AND slice=? AND ep=? AND msg<?)";
    assert!(first(owned).contains(of_owner), "{}", first(owned));
    assert!(first(unowned).contains(of_state), "{}", first(unowned));
    assert!(first(cancel).contains("PRIMARY KEY (msg=? AND ep=? AND slice=?)"));
    assert!(first(contents).contains("(slice=? AND app=? AND id>? AND id<?)"));
    let [one, next, to_do, at, running, ..] = tasks::STATEMENTS;
    assert_eq!(
        [one, next, to_do, at, running].map(first),
        [
            "SEARCH task USING INTEGER PRIMARY KEY (rowid=?)",
            "SEARCH task USING COVERING INDEX task_to_do (id>?)",
            "SEARCH task USING INTEGER PRIMARY KEY (rowid=?)",
            "SEARCH task USING INTEGER PRIMARY KEY (rowid=?)",
            "SEARCH task USING COVERING INDEX task_running (org=? AND app=?)",
        ]
    );
    let lists = tasks::STATEMENTS.iter().rev().take(8).rev();
    let lists: Vec<_> = lists.map(|sql| first(sql)).collect();
    let indexes = ["by_org", "by_state", "by_kind", "by_app"];
    for (number, plan) in lists.iter().enumerate() {
        let index = format!("INDEX task_{} (", indexes[number / 2]);
        assert!(plan.contains(&index), "{plan}");
    }
}

#[test]
fn what_depends_on_a_root_or_a_certificate_is_found_by_index() {
    let connection = schema();
    let first = |sql| plan(&connection, sql).remove(0);
    let [anchor, up, down, numbers] = handshake_users::STATEMENTS;
    assert_eq!(
        first(anchor),
        "SEARCH endpoint_handshake USING COVERING INDEX endpoint_handshake_anchor \
         (org=? AND anchor=?)"
    );
    let page = "SEARCH h USING INDEX endpoint_handshake_identity \
        (org=? AND identity=? AND ep>? AND ep<?)";
    assert_eq!([up, down].map(first), [page, page]);
    assert_eq!(
        first(numbers),
        "SEARCH h USING INDEX endpoint_handshake_identity (org=? AND identity=?)"
    );
    let naming = transport_items::STATEMENTS.map(|sql| plan(&connection, sql).join("\n"));
    for index in ["policy", "anchors", "identity"] {
        let index = format!("COVERING INDEX endpoint_transport_{index} (org=?");
        assert!(naming.iter().any(|plan| plan.contains(&index)), "{index}");
    }
    let application = endpoints::STATEMENTS.map(first);
    let by_id = "SEARCH e USING INDEX endpoint_by_id (id=?)";
    assert!(application.contains(&by_id.to_owned()), "{application:?}");
}

#[test]
fn every_hot_table_has_the_slice_in_its_key() {
    let connection = schema();
    let keyed = "SELECT name FROM pragma_table_info(?1) WHERE pk > 0";
    let configured = [
        "application",
        "endpoint",
        "signing_key",
        "data_key",
        "endpoint_transport",
        "endpoint_pin",
        "endpoint_handshake",
        "endpoint_health",
    ];
    for table in HOT.into_iter().chain(configured) {
        let mut statement = connection.prepare(keyed).unwrap();
        let columns = statement.query_map([table], |row| row.get::<_, String>(0));
        let columns: Vec<_> = columns.unwrap().map(Result::unwrap).collect();
        assert!(
            columns.contains(&"slice".to_owned()),
            "{table}: {columns:?}"
        );
    }
}

#[test]
fn every_hot_statement_names_the_slice() {
    // By time or in the order of arrival: these are for all slices.
    let for_all = [
        "due IS NOT NULL",
        "WHERE owner = ?1",
        "rowid",
        "expires_early <=",
    ];
    for sql in statements() {
        let hot = HOT.iter().any(|t| sql.contains(&format!(" {t} ")));
        let exempt = for_all.iter().any(|text| sql.contains(text));
        assert!(!hot || exempt || sql.contains("slice"), "{sql}");
    }
}

#[test]
fn the_schema_refuses_what_is_no_state() {
    let connection = schema();
    let insert = |values: &str| {
        let sql = format!(
            "INSERT INTO pending (state, due, owner, epoch, trigger, step, msg, ep, slice, app, \
             attempts) VALUES ({values}, 1, 0, 1, 2, 3, 4, 0)"
        );
        let inserted = connection.execute(&sql, []);
        connection.execute("DELETE FROM pending", []).unwrap();
        inserted.is_ok()
    };
    for valid in [
        "0, NULL, 0, 1",
        "1, 5, NULL, NULL",
        "2, NULL, NULL, NULL",
        "3, NULL, NULL, NULL",
    ] {
        assert!(insert(valid), "{valid}");
    }
    for invalid in [
        "0, NULL, NULL, NULL",
        "0, NULL, 0, NULL",
        "0, 5, 0, 1",
        "1, NULL, NULL, NULL",
        "1, 5, 0, 1",
        "2, 5, NULL, NULL",
        "3, NULL, 0, 1",
        "4, NULL, NULL, NULL",
    ] {
        assert!(!insert(invalid), "{invalid}");
    }
}

async fn store() -> (Arc<SqliteStore>, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let options = SqliteOptions::new(directory.path().join("hookseal.db"));
    let key = MasterKey::new(&Secret::new([7; 32])).unwrap();
    let store = SqliteStore::open(options, key).unwrap();
    store.begin_epoch(Timestamp::from_millis(0)).await.unwrap();
    (Arc::new(store), directory)
}

/// Keeps the writer busy until the returned end is dropped, so that what comes meanwhile shares
/// one transaction.
async fn busy(store: &Arc<SqliteStore>) -> mpsc::Sender<()> {
    let (release, wait) = mpsc::channel::<()>();
    let (began, begun) = tokio::sync::oneshot::channel();
    let mut began = Some(began);
    let writer = Arc::clone(store);
    tokio::spawn(async move {
        let work = move |_: &mut Batch<'_>| {
            if let Some(began) = began.take() {
                began.send(()).unwrap();
            }
            let _ = wait.recv();
            Ok(Ok(()))
        };
        writer.writer.change::<_, _, StoreError>(work).await
    });
    begun.await.unwrap();
    release
}

fn broken(code: i32) -> Failure {
    Failure::Sqlite(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_fails_fails_alone() {
    let (store, _directory) = store().await;
    let release = busy(&store).await;
    let mut jobs = Vec::new();
    for number in 0..50_i64 {
        let store = Arc::clone(&store);
        jobs.push(tokio::spawn(async move {
            let work = move |batch: &mut Batch<'_>| {
                if number == 33 {
                    return Err(broken(ffi::SQLITE_CONSTRAINT));
                }
                let sql = "INSERT INTO data_key VALUES (1, ?1, 1, x'00', 0)";
                Ok(Ok(batch.execute(sql, [number])?))
            };
            store.writer.change::<_, _, StoreError>(work).await
        }));
    }
    drop(release);
    for (number, job) in jobs.into_iter().enumerate() {
        assert_eq!(job.await.unwrap().is_err(), number == 33, "{number}");
    }
    let count = |connection: &Connection| {
        let sql = "SELECT count(*) FROM data_key";
        Ok(connection.query_row(sql, [], |row| row.get::<_, i64>(0))?)
    };
    assert_eq!(store.readers.ask(count).await.unwrap(), 49);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses() {
    let (store, _directory) = store().await;
    let release = busy(&store).await;
    let mut waiting = Vec::new();
    let refused = loop {
        let mut health = Box::pin(
            store
                .writer
                .change::<_, _, StoreError>(|_: &mut Batch<'_>| Ok(Ok(()))),
        );
        // Polled once, it is queued or refused.
        let polled =
            std::future::poll_fn(|context| std::task::Poll::Ready(health.as_mut().poll(context)));
        match polled.await {
            std::task::Poll::Ready(refused) => break refused,
            std::task::Poll::Pending => waiting.push(health),
        }
        assert!(waiting.len() < 100_000, "it is bounded");
    };
    assert!(
        matches!(refused, Err(StoreError::Overloaded)),
        "{refused:?}"
    );
    drop(release);
    for one in waiting {
        one.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_fsync_is_the_end() {
    let (store, _directory) = store().await;
    let work = |_: &mut Batch<'_>| -> Result<Result<(), StoreError>, Failure> {
        Err(broken(ffi::SQLITE_IOERR_FSYNC))
    };
    let failed = store.writer.change(work).await;
    assert!(
        matches!(failed, Err(StoreError::Unavailable(_))),
        "{failed:?}"
    );
    assert!(!store.failed().await.is_empty());
    for refused in [
        store.health().await,
        store.flush().await,
        store
            .routing_of(hookseal_domain::id::AppId::from_raw(1))
            .await
            .map(|_| ()),
    ] {
        assert!(
            matches!(refused, Err(StoreError::Unavailable(_))),
            "{refused:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_read_is_ended_and_keeps_nobody_waiting() {
    let (store, directory) = store().await;
    let place = Place {
        path: directory.path().join("hookseal.db"),
        size_bytes_max: None,
    };
    let limit = Duration::from_millis(50);
    let readers = Readers::start(&place, limit, store.fatal.clone()).unwrap();
    let endless = |connection: &Connection| {
        let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
            SELECT count(*) FROM n";
        Ok(connection.query_row(sql, [], |row| row.get::<_, i64>(0))?)
    };
    let write = store
        .writer
        .change::<_, _, StoreError>(|batch: &mut Batch<'_>| {
            let sql = "INSERT INTO data_key VALUES (1, 1, 1, x'00', 0)";
            Ok(Ok(batch.execute(sql, [])?))
        });
    let (ended, written) = tokio::join!(readers.ask(endless), write);
    assert!(
        matches!(ended, Err(StoreError::Unavailable(_))),
        "{ended:?}"
    );
    assert_eq!(written.unwrap(), 1);
    let again = readers.ask(|_| Ok(())).await;
    assert!(again.is_ok(), "the reader goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_leaves_nobody_waiting() {
    let (store, _directory) = store().await;
    let release = busy(&store).await;
    let panics = |_: &mut Batch<'_>| -> Result<Result<(), StoreError>, Failure> { panic!("ouch") };
    let behind = |_: &mut Batch<'_>| Ok(Ok(()));
    let both = async {
        let panics = store.writer.change(panics);
        let behind = store.writer.change::<_, (), StoreError>(behind);
        let release = async { drop(release) };
        tokio::join!(panics, behind, release)
    };
    let (panicked, behind, ()) = both.await;
    assert!(panicked.is_err() && behind.is_err());
    assert!(!store.failed().await.is_empty());
}

/// A result that fails with these codes first, one after the other, and takes down what happens.
struct Trial {
    fails: VecDeque<i32>,
    gives_up: VecDeque<i32>,
    story: Arc<Mutex<Vec<&'static str>>>,
    _room: OwnedSemaphorePermit,
}

impl Trial {
    fn step(codes: &mut VecDeque<i32>) -> Result<(), Failure> {
        codes.pop_front().map_or(Ok(()), |code| Err(broken(code)))
    }
}

impl Job for Trial {
    fn run(&mut self, _batch: &mut Batch<'_>) -> Result<(), Failure> {
        self.story.lock().push("run");
        Self::step(&mut self.fails)
    }

    fn finish(self: Box<Self>, result: Result<(), StoreError>) {
        let end = if result.is_ok() { "done" } else { "failed" };
        self.story.lock().push(end);
    }

    fn is_kept(&self) -> bool {
        true
    }

    fn give_up(&mut self, _batch: &mut Batch<'_>) -> Result<(), Failure> {
        self.story.lock().push("give up");
        Self::step(&mut self.gives_up)
    }
}

/// What happens to a result that fails thus, until all results so far are durable.
async fn story(fails: &[i32], gives_up: &[i32]) -> Vec<&'static str> {
    let (store, _directory) = store().await;
    let (fails, gives_up) = (
        fails.iter().copied().collect(),
        gives_up.iter().copied().collect(),
    );
    let story = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&story);
    let trial = |room| -> Box<dyn Job> {
        Box::new(Trial {
            fails,
            gives_up,
            story: told,
            _room: room,
        })
    };
    let release = busy(&store).await;
    store.writer.record(1, trial).await.unwrap();
    let (flushed, ()) = tokio::join!(store.flush(), async { drop(release) });
    flushed.unwrap();
    story.lock().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_outlasts_what_passes() {
    for code in [
        ffi::SQLITE_BUSY,
        ffi::SQLITE_LOCKED,
        ffi::SQLITE_NOMEM,
        ffi::SQLITE_FULL,
    ] {
        assert_eq!(story(&[code], &[]).await, ["run", "run", "done"], "{code}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_can_not_be_taken_down_is_given_up_and_kept_until_it_is() {
    let refused = ffi::SQLITE_CONSTRAINT;
    // With the flush, then alone.
    let fails = [refused, refused];
    let given_up = ["run", "run", "give up", "failed"];
    assert_eq!(story(&fails, &[]).await, given_up);
    for code in [refused, ffi::SQLITE_BUSY] {
        let story = story(&fails, &[code]).await;
        assert_eq!(story[..3], given_up[..3]);
        assert_eq!(story[3..], ["run", "done"], "kept after {code}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_database_fails_the_others_at_once() {
    let (store, _directory) = store().await;
    let release = busy(&store).await;
    let busy = |_: &mut Batch<'_>| -> Result<Result<(), StoreError>, Failure> {
        Err(broken(ffi::SQLITE_BUSY))
    };
    let other = |_: &mut Batch<'_>| Ok(Ok(()));
    let both = async {
        let busy = store.writer.change(busy);
        let other = store.writer.change::<_, (), StoreError>(other);
        tokio::join!(busy, other, async { drop(release) })
    };
    let (busy, other, ()) = both.await;
    for refused in [busy, other] {
        assert!(
            matches!(refused, Err(StoreError::Overloaded)),
            "{refused:?}"
        );
    }
    store.health().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_rolled_back_is_the_end() {
    let (store, _directory) = store().await;
    let work = |_: &mut Batch<'_>| -> Result<Result<(), StoreError>, Failure> {
        let Failure::Sqlite(error) = broken(ffi::SQLITE_NOMEM) else {
            panic!("it is SQLite's");
        };
        Err(Failure::NotRolledBack(error))
    };
    let failed = store.writer.change(work).await;
    assert!(
        matches!(failed, Err(StoreError::Unavailable(_))),
        "{failed:?}"
    );
    assert!(!store.failed().await.is_empty());
}

/// As another tool does that writes, or one that died while it wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_somebody_else_holds_refuses_soon_and_keeps_results() {
    let (store, directory) = store().await;
    let other = Connection::open(directory.path().join("hookseal.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let story = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&story);
    let trial = |room| -> Box<dyn Job> {
        Box::new(Trial {
            fails: VecDeque::new(),
            gives_up: VecDeque::new(),
            story: told,
            _room: room,
        })
    };
    store.writer.record(1, trial).await.unwrap();
    for _ in 0..2 {
        let refused = store.health().await;
        assert!(
            matches!(refused, Err(StoreError::Overloaded)),
            "{refused:?}"
        );
    }
    let read = store.readers.ask(|_| Ok(())).await;
    assert!(read.is_ok(), "reading goes on");
    assert!(story.lock().is_empty());
    other.execute_batch("ROLLBACK").unwrap();
    store.flush().await.unwrap();
    assert_eq!(*story.lock(), ["run", "done"]);
    store.health().await.unwrap();
}
