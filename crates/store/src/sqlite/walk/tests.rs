//! Lists on a store where what is looked for is rare: no page looks at more than its share, and all
//! pages together find everything.

use hookseal_domain::application::{Application, ApplicationSpec};
use hookseal_domain::id::{AppId, AttemptId, EndpointId, MessageId, OrgId};
use hookseal_domain::secret::Secret;
use hookseal_domain::slice::Slice;
use hookseal_domain::time::Timestamp;
use rusqlite::params;
use tempfile::TempDir;

use super::ROWS_MAX;
use crate::Store;
use crate::error::StoreError;
use crate::inspect::{AttemptFilter, AttemptScope, MessageFilter, MessageStatusFilter};
use crate::page::{Order, Page, PageRequest, PageStart, Stopped};
use crate::seal::MasterKey;
use crate::sqlite::batch::Batch;
use crate::sqlite::{SqliteOptions, SqliteStore};

/// Messages, from 1 on, each with a failed attempt and delivery.
const ROWS: i64 = 25_000;
const APP: AppId = AppId::from_raw(7);
const ENDPOINT: EndpointId = EndpointId::from_raw(8);

const NUMBERS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n \
    WHERE i < ?3) ";
const MESSAGES: &str = "INSERT INTO message (slice, app, id, event_type, tags, payload_size, \
    key_version, payload_expires) SELECT ?1, ?2, i, iif(i = 2, 'rare', 'often'), \
    iif(i = 1, '[\"rare\"]', '[\"often\"]'), 0, 1, 0 FROM n";
const ATTEMPTS: &str = "INSERT INTO attempt (msg, id, slice, app, ep, number, trigger, outcome, \
    status_code, duration_ms, key_version, facts) \
    SELECT i, i, ?1, ?2, 8, 1, 1, 2, 503, 1, 1, x'' FROM n";
const OUTCOMES: &str = "INSERT INTO outcome (slice, ep, msg, ended, attempts, at) \
    SELECT ?1, 8, i, iif(i = 1, 1, 2), 1, 0 FROM n WHERE ?2 = ?2";

async fn filled() -> (SqliteStore, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let options = SqliteOptions::new(directory.path().join("hookseal.db"));
    let key = MasterKey::new(&Secret::new([7; 32])).unwrap();
    let store = SqliteStore::open(options, key).unwrap();
    let now = Timestamp::from_millis(0);
    store.begin_epoch(now).await.unwrap();
    let application = Application {
        id: APP,
        org: OrgId::from_stored([1; 20]),
        spec: ApplicationSpec {
            name: String::new(),
            uid: None,
            throttle_rate: None,
            metadata: Default::default(),
        },
        updated_at: now,
    };
    store.create_application(application, None).await.unwrap();
    let fill = |batch: &mut Batch<'_>| {
        for rows in [MESSAGES, ATTEMPTS, OUTCOMES] {
            let which = params![Slice::of(APP).as_i64(), APP.raw(), ROWS];
            batch
                .connection
                .execute(&format!("{NUMBERS}{rows}"), which)?;
        }
        Ok(Ok(()))
    };
    store.writer.change::<_, _, StoreError>(fill).await.unwrap();
    (store, directory)
}

fn pages() -> usize {
    usize::try_from(ROWS).unwrap().div_ceil(ROWS_MAX)
}

/// Asks for page after page, and returns how many there were and what was on them.
async fn all<Key, Row>(
    order: Order,
    key: fn(i64) -> Key,
    ask: impl AsyncFn(PageRequest<Key>) -> Result<Page<Row>, StoreError>,
) -> (usize, Vec<Row>) {
    let mut from = PageStart::Beginning;
    let (mut asked, mut found) = (0, Vec::new());
    loop {
        let limit = 50;
        let page = ask(PageRequest { limit, from, order }).await.unwrap();
        asked += 1;
        found.extend(page.rows);
        if page.done {
            return (asked, found);
        }
        from = match page.stopped.unwrap() {
            Stopped::After(at) => PageStart::After(key(at)),
            Stopped::Before(at) => panic!("nobody asked for what is before {at}"),
        };
        assert!(asked < 10, "it goes on");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rare_messages_are_found_page_by_page() {
    let (store, _directory) = filled().await;
    let tagged = |tag: &str| MessageFilter {
        tag: Some(tag.to_owned()),
        ..MessageFilter::default()
    };
    for order in [Order::Ascending, Order::Descending] {
        for (tag, expect) in [("rare", 1), ("none", 0)] {
            let ask = async |page| store.messages(APP, tagged(tag), page).await;
            let (asked, found) = all(order, MessageId::from_raw, ask).await;
            assert_eq!((asked, found.len()), (pages(), expect), "{tag}");
        }
    }
    let back = PageRequest {
        limit: 50,
        from: PageStart::Before(MessageId::from_raw(1)),
        order: Order::Descending,
    };
    let page = store.messages(APP, tagged("none"), back).await.unwrap();
    let at = 1 + i64::try_from(ROWS_MAX).unwrap();
    assert_eq!(page.stopped, Some(Stopped::Before(at)));
    let full = PageRequest {
        limit: 50,
        from: PageStart::Beginning,
        order: Order::Descending,
    };
    let page = store.messages(APP, tagged("often"), full).await.unwrap();
    assert_eq!(
        (page.rows.len(), page.done, page.stopped),
        (50, false, None)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rare_attempts_are_found_page_by_page() {
    let (store, _directory) = filled().await;
    let of_type = MessageFilter {
        event_types: Some(vec![
            hookseal_domain::event_type::EventTypeName::from_stored("none".to_owned()),
        ]),
        ..MessageFilter::default()
    };
    for (success, status_code_class, message) in [
        (Some(true), None, MessageFilter::default()),
        (None, Some(200), MessageFilter::default()),
        (None, Some(300), MessageFilter::default()),
        (Some(false), Some(0), MessageFilter::default()),
        (None, None, of_type.clone()),
        (Some(false), None, of_type),
    ] {
        let filter = AttemptFilter {
            success,
            status_code_class,
            endpoint: None,
            message,
        };
        for order in [Order::Ascending, Order::Descending] {
            let scope = AttemptScope::Endpoint(ENDPOINT);
            let ask = async |page| store.attempts(APP, scope, filter.clone(), page).await;
            let (asked, found) = all(order, AttemptId::from_raw, ask).await;
            assert_eq!((asked, found.len()), (pages(), 0), "{filter:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rare_deliveries_are_found_page_by_page() {
    let (store, _directory) = filled().await;
    let all_messages = MessageFilter::default();
    let rare = MessageFilter {
        tag: Some("rare".to_owned()),
        ..MessageFilter::default()
    };
    for (filter, status, expect) in [
        (all_messages, Some(MessageStatusFilter::Success), 1),
        (rare.clone(), None, 1),
        (rare, Some(MessageStatusFilter::Fail), 0),
    ] {
        let ask = async |page| {
            let filter = filter.clone();
            store
                .endpoint_messages(APP, ENDPOINT, filter, status, page)
                .await
        };
        let (asked, found) = all(Order::Descending, MessageId::from_raw, ask).await;
        assert_eq!((asked, found.len()), (pages(), expect), "{filter:?}");
    }
}
