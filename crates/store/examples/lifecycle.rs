//! Measures the embedded store: durable accepts and whole lifecycles per second, with the CPU they
//! take. Must be run with `--release`. Arguments: tasks, messages per task, directory.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use hookseal_domain::application::{Application, ApplicationSpec};
use hookseal_domain::delivery::attempt::{Attempt, AttemptFacts};
use hookseal_domain::delivery::outcome::Outcome;
use hookseal_domain::delivery::{DeliveryKey, Ended, Next, Trigger};
use hookseal_domain::endpoint::health::{HealthRule, Sign};
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::{AppId, EndpointId, IdGenerator, MessageId, OrgId};
use hookseal_domain::message::options::MessageOptions;
use hookseal_domain::secret::Secret;
use hookseal_domain::time::Timestamp;
use hookseal_store::Store;
use hookseal_store::publish::{DeliveryStart, NewDelivery, NewMessage};
use hookseal_store::seal::MasterKey;
use hookseal_store::sqlite::{SqliteOptions, SqliteStore};
use hookseal_store::work::FinishedAttempt;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

struct World {
    store: SqliteStore,
    ids: Mutex<IdGenerator>,
    began: Instant,
    app: AppId,
}

const BEGAN: Timestamp = Timestamp::from_millis(1_795_422_000_000);

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), AnyError> {
    let mut arguments = std::env::args().skip(1);
    let tasks: usize = arguments.next().map_or(Ok(64), |text| text.parse())?;
    let each: usize = arguments.next().map_or(Ok(2000), |text| text.parse())?;
    let directory = tempfile::tempdir_in(
        arguments
            .next()
            .map_or_else(std::env::temp_dir, PathBuf::from),
    )?;
    let options = SqliteOptions::new(directory.path().join("hookseal.db"));
    let store = SqliteStore::open(options, MasterKey::new(&Secret::new([7; 32]))?)?;
    store.begin_epoch(BEGAN).await?;
    let mut ids = IdGenerator::new(0, 0, None);
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
    let world = Arc::new(World {
        store,
        ids: Mutex::new(ids),
        began: Instant::now(),
        app,
    });
    println!("tasks {tasks}, messages {}", tasks * each);
    measure("accepts", &world, tasks, each, false).await?;
    measure("lifecycles", &world, tasks, each, true).await?;
    for entry in std::fs::read_dir(directory.path())? {
        let entry = entry?;
        println!(
            "{:?} {} KiB",
            entry.file_name(),
            entry.metadata()?.len() / 1024
        );
    }
    Ok(())
}

async fn measure(
    what: &str,
    world: &Arc<World>,
    tasks: usize,
    each: usize,
    whole: bool,
) -> Result<(), AnyError> {
    let (began, cpu) = (Instant::now(), cpu_time()?);
    let running: Vec<_> = (0..tasks)
        .map(|_| tokio::spawn(task(Arc::clone(world), each, whole)))
        .collect();
    let mut waits = Vec::new();
    for task in running {
        waits.extend(task.await??);
    }
    world.store.flush().await?;
    let (took, cpu) = (began.elapsed(), cpu_time()?.saturating_sub(cpu));
    waits.sort_unstable();
    let at = |share: usize| waits.get(waits.len() * share / 100).copied();
    let count = u32::try_from(waits.len())?;
    println!(
        "{what}: {:.0}/s, {:.1} us CPU each, accept p50 {:?} p99 {:?}",
        f64::from(count) / took.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / f64::from(count),
        at(50).unwrap_or_default(),
        at(99).unwrap_or_default(),
    );
    Ok(())
}

async fn task(world: Arc<World>, each: usize, whole: bool) -> Result<Vec<Duration>, AnyError> {
    let event_type = EventTypeName::from_stored("invoice.paid".to_owned());
    let endpoint = EndpointId::from_raw(world.app.raw() + 1);
    let payload = bytes::Bytes::from(vec![b'x'; 600]);
    let mut waits = Vec::with_capacity(each);
    for _ in 0..each {
        let now = BEGAN.plus(world.began.elapsed());
        let id = MessageId::from(world.ids.lock().next_id(now));
        let start = DeliveryStart::Owned;
        let message = NewMessage {
            id,
            app: world.app,
            routing_version: 1,
            event_id: None,
            event_type: event_type.clone(),
            channels: Vec::new(),
            tags: Vec::new(),
            payload: payload.clone(),
            payload_expires_at: now.plus(Duration::from_secs(90 * 86_400)),
            options: MessageOptions::default(),
            deliveries: vec![NewDelivery {
                endpoint,
                start,
                order: None,
            }],
            idempotency: None,
            cloud_event: None,
            step_of: None,
            now,
        };
        let asked = Instant::now();
        world.store.accept(message).await?;
        waits.push(asked.elapsed());
        if whole {
            let finished = finished(&world, id, endpoint, now);
            world.store.record(&finished).await?;
        }
    }
    Ok(waits)
}

fn finished(
    world: &World,
    message: MessageId,
    endpoint: EndpointId,
    now: Timestamp,
) -> FinishedAttempt {
    let attempt = Attempt {
        id: world.ids.lock().next_id(now).into(),
        key: DeliveryKey { message, endpoint },
        trigger: Trigger::Publish,
        number: 1,
        outcome: Outcome::Accepted,
        status_code: Some(204),
        duration_ms: 3,
        ended: Some(Ended::Delivered),
        facts: AttemptFacts {
            url: "https://receiver.example.com/webhooks/incoming".to_owned(),
            response_body: Some(bytes::Bytes::from_static(b"ok")),
            ..AttemptFacts::default()
        },
    };
    FinishedAttempt {
        app: world.app,
        attempt,
        claim: 0,
        next: Next::End(Ended::Delivered),
        endpoint_gone_at: None,
        sign: Sign::Works,
        health_rule: HealthRule::default(),
    }
}

/// User and system time of this process so far, in ticks of 10 ms.
fn cpu_time() -> Result<Duration, AnyError> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Ok(Duration::from_millis(ticks * 10))
}
