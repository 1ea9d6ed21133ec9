//! Measures lists of the embedded store on a store of a million deliveries: how long a page takes, for
//! each filter. Must be run with `--release`. Arguments: messages (each to ten endpoints), directory.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use hookseal_domain::application::{Application, ApplicationSpec};
use hookseal_domain::channel::Channel;
use hookseal_domain::delivery::attempt::{Attempt, AttemptFacts};
use hookseal_domain::delivery::outcome::Outcome;
use hookseal_domain::delivery::{DeliveryKey, Ended, Next, Trigger};
use hookseal_domain::endpoint::health::{HealthRule, Sign};
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::{AppId, EndpointId, IdGenerator, MessageId, OrgId, RawId};
use hookseal_domain::message::options::MessageOptions;
use hookseal_domain::secret::Secret;
use hookseal_domain::time::Timestamp;
use hookseal_store::Store;
use hookseal_store::inspect::{
    AttemptFilter, AttemptScope, Content, MessageFilter, MessageStatusFilter,
};
use hookseal_store::page::{Order, PageRequest, PageStart};
use hookseal_store::publish::{DeliveryStart, NewDelivery, NewMessage};
use hookseal_store::seal::MasterKey;
use hookseal_store::sqlite::{SqliteOptions, SqliteStore};
use hookseal_store::statistics::{Hours, StatisticsStore};
use hookseal_store::work::FinishedAttempt;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const BEGAN: Timestamp = Timestamp::from_millis(1_795_422_000_000);
const APPLICATIONS: usize = 10;
const ENDPOINTS: usize = 10;
/// Every twentieth attempt fails.
const FAILS_EVERY: usize = 20;
/// How often each list is asked for.
const TIMES: usize = 21;

struct World {
    store: SqliteStore,
    ids: Mutex<IdGenerator>,
    apps: Vec<(AppId, Vec<EndpointId>)>,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), AnyError> {
    let mut arguments = std::env::args().skip(1);
    let messages: usize = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let directory = tempfile::tempdir_in(
        arguments
            .next()
            .map_or_else(std::env::temp_dir, PathBuf::from),
    )?;
    let path = directory.path().join("hookseal.db");
    let began = Instant::now();
    let apps = fill(&path, messages).await?;
    println!(
        "{} deliveries, each with an attempt, of {} endpoints in {:.0} s",
        messages * ENDPOINTS,
        APPLICATIONS * ENDPOINTS,
        began.elapsed().as_secs_f64()
    );
    let store = open(&path)?;
    store.begin_epoch(BEGAN).await?;
    let (app, endpoints) = apps.first().ok_or("no application")?;
    let endpoint = *endpoints.first().ok_or("no endpoint")?;
    measure(&store, *app, endpoint).await
}

fn open(path: &std::path::Path) -> Result<SqliteStore, AnyError> {
    let key = MasterKey::new(&Secret::new([7; 32]))?;
    Ok(SqliteStore::open(SqliteOptions::new(path), key)?)
}

async fn fill(
    path: &std::path::Path,
    messages: usize,
) -> Result<Vec<(AppId, Vec<EndpointId>)>, AnyError> {
    let store = open(path)?;
    store.begin_epoch(BEGAN).await?;
    let mut ids = IdGenerator::new(0, 0, None);
    let mut apps = Vec::new();
    for _ in 0..APPLICATIONS {
        let app = AppId::from(ids.next_id(BEGAN));
        let spec = ApplicationSpec {
            name: "bench".to_owned(),
            uid: None,
            throttle_rate: None,
            metadata: std::collections::BTreeMap::new(),
        };
        let application = Application {
            id: app,
            org: OrgId::from_stored([1; 20]),
            spec,
            updated_at: BEGAN,
        };
        store.create_application(application, None).await?;
        // Lists look for no endpoint.
        let endpoints = (0..ENDPOINTS).map(|_| ids.next_id(BEGAN).into());
        apps.push((app, endpoints.collect()));
    }
    let ids = Mutex::new(ids);
    let world = Arc::new(World { store, ids, apps });
    let tasks = 64;
    let running: Vec<_> = (0..tasks)
        .map(|task| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                for number in (task..messages).step_by(tasks) {
                    publish(&world, number).await?;
                }
                Ok::<_, AnyError>(())
            })
        })
        .collect();
    for task in running {
        task.await??;
    }
    world.store.flush().await?;
    Ok(world.apps.clone())
}

async fn publish(world: &World, number: usize) -> Result<(), AnyError> {
    // A message every 10 ms: a million deliveries in 17 minutes.
    let now = BEGAN.plus(Duration::from_millis(u64::try_from(number)? * 10));
    let next = || -> RawId { world.ids.lock().next_id(now) };
    let (app, endpoints) = world
        .apps
        .get(number % APPLICATIONS)
        .ok_or("no application")?;
    let id = MessageId::from(next());
    let of = if number % 1000 < APPLICATIONS {
        "rare"
    } else {
        "often"
    };
    let delivery = |endpoint: &EndpointId| NewDelivery {
        endpoint: *endpoint,
        start: DeliveryStart::Owned,
        order: None,
    };
    let message = NewMessage {
        id,
        app: *app,
        routing_version: 1,
        event_id: None,
        event_type: EventTypeName::from_stored(format!("invoice.{of}")),
        channels: vec![Channel::from_stored(of.to_owned())],
        tags: vec![of.to_owned()],
        payload: bytes::Bytes::from(vec![b'x'; 600]),
        payload_expires_at: now.plus(Duration::from_secs(90 * 86_400)),
        options: MessageOptions::default(),
        deliveries: endpoints.iter().map(delivery).collect(),
        cloud_event: None,
        step_of: None,
        idempotency: None,
        now,
    };
    world.store.accept(message).await?;
    for (at, endpoint) in endpoints.iter().enumerate() {
        let fails = (number / APPLICATIONS + at).is_multiple_of(FAILS_EVERY);
        let key = DeliveryKey {
            message: id,
            endpoint: *endpoint,
        };
        let attempt = finished(*app, key, next().into(), fails);
        world.store.record(&attempt).await?;
    }
    Ok(())
}

fn finished(
    app: AppId,
    key: DeliveryKey,
    id: hookseal_domain::id::AttemptId,
    fails: bool,
) -> FinishedAttempt {
    let ended = if fails {
        Ended::Exhausted
    } else {
        Ended::Delivered
    };
    let attempt = Attempt {
        id,
        key,
        trigger: Trigger::Publish,
        number: 1,
        outcome: if fails {
            Outcome::Retry
        } else {
            Outcome::Accepted
        },
        status_code: Some(if fails { 503 } else { 204 }),
        duration_ms: 3,
        ended: Some(ended),
        facts: AttemptFacts {
            url: "https://receiver.example.com/webhooks/incoming".to_owned(),
            response_body: Some(bytes::Bytes::from_static(b"ok")),
            ..AttemptFacts::default()
        },
    };
    let sign = Sign::of(attempt.outcome, None);
    FinishedAttempt {
        app,
        attempt,
        claim: 0,
        next: Next::End(ended),
        endpoint_gone_at: None,
        sign,
        health_rule: HealthRule::default(),
    }
}

async fn measure(store: &SqliteStore, app: AppId, endpoint: EndpointId) -> Result<(), AnyError> {
    println!(
        "| Page of 50 | rows | first ms | median ms | slowest ms |\n| --- | --- | --- | --- | --- |"
    );
    for (what, filter) in attempt_filters() {
        let ask = async || -> Result<usize, AnyError> {
            let scope = AttemptScope::Endpoint(endpoint);
            let page = store.attempts(app, scope, filter.clone(), page());
            Ok(page.await?.rows.len())
        };
        report(&format!("attempts of an endpoint, {what}"), ask).await?;
    }
    for (what, filter) in message_filters() {
        let ask = async || -> Result<usize, AnyError> {
            Ok(store
                .messages(app, filter.clone(), page())
                .await?
                .rows
                .len())
        };
        report(&format!("messages of an application, {what}"), ask).await?;
    }
    for (what, status) in [
        ("all", None),
        ("delivered", Some(MessageStatusFilter::Success)),
        ("failed", Some(MessageStatusFilter::Fail)),
        ("pending", Some(MessageStatusFilter::Pending)),
    ] {
        let ask = async || -> Result<usize, AnyError> {
            let filter = MessageFilter::default();
            let page = store.endpoint_messages(app, endpoint, filter, status, page());
            Ok(page.await?.rows.len())
        };
        report(&format!("messages of an endpoint, {what}"), ask).await?;
    }
    let ask = async || -> Result<usize, AnyError> {
        let counts = store.delivery_counts(app, endpoint, Hours::default());
        Ok(usize::try_from(counts.await?.delivered)?)
    };
    report("statistics of an endpoint", ask).await
}

async fn report(
    what: &str,
    ask: impl AsyncFn() -> Result<usize, AnyError>,
) -> Result<(), AnyError> {
    let mut times = Vec::new();
    let mut rows = 0;
    for _ in 0..TIMES {
        let began = Instant::now();
        rows = ask().await?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let first = times.first().copied().unwrap_or_default();
    times.sort_by(f64::total_cmp);
    let median = times.get(TIMES / 2).copied().unwrap_or_default();
    let slowest = times.last().copied().unwrap_or_default();
    println!("| {what} | {rows} | {first:.2} | {median:.2} | {slowest:.2} |");
    Ok(())
}

fn page<Key>() -> PageRequest<Key> {
    PageRequest {
        limit: 50,
        from: PageStart::Beginning,
        order: Order::Descending,
    }
}

fn attempt_filters() -> Vec<(&'static str, AttemptFilter)> {
    let of = |success, status_code_class| AttemptFilter {
        success,
        status_code_class,
        ..AttemptFilter::default()
    };
    let mut filters = vec![
        ("all", of(None, None)),
        ("failed", of(Some(false), None)),
        ("accepted", of(Some(true), None)),
        ("answered 5xx", of(None, Some(500))),
        ("answered 3xx (none)", of(None, Some(300))),
    ];
    filters.extend(
        message_filters()
            .into_iter()
            .skip(1)
            .map(|(what, message)| {
                let filter = AttemptFilter {
                    message,
                    ..AttemptFilter::default()
                };
                (what, filter)
            }),
    );
    filters
}

fn message_filters() -> Vec<(&'static str, MessageFilter)> {
    let all = MessageFilter {
        content: Content::With,
        ..MessageFilter::default()
    };
    let of_type = |name: &str| Some(vec![EventTypeName::from_stored(name.to_owned())]);
    vec![
        ("all", all.clone()),
        (
            "of a type of one in a hundred",
            MessageFilter {
                event_types: of_type("invoice.rare"),
                ..all.clone()
            },
        ),
        (
            "with a tag of one in a hundred",
            MessageFilter {
                tag: Some("rare".to_owned()),
                ..all.clone()
            },
        ),
        (
            "on a channel of none",
            MessageFilter {
                channel: Some(Channel::from_stored("none".to_owned())),
                ..all
            },
        ),
    ]
}
