//! Endpoints that only fail, over the hours.

use std::time::Duration;

use serde_json::Value;

use hookseal_domain::delivery::batch::BatchRule;
use hookseal_domain::delivery::breaker::BreakerState;
use hookseal_domain::delivery::outcome::Outcome;
use hookseal_domain::delivery::retry::RetrySchedule;
use hookseal_domain::delivery::{Ended, Pending};
use hookseal_domain::endpoint::headers::EndpointHeaders;
use hookseal_domain::endpoint::health::HealthRule;
use hookseal_domain::endpoint::url::EndpointUrl;
use hookseal_domain::endpoint::{EndpointSpec, SwitchedOff};
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::{EndpointId, MessageId};
use hookseal_domain::signature::key::{KeyKind, SigningKey};
use hookseal_domain::task::{Span, TaskState};
use hookseal_domain::time::Timestamp;
use hookseal_engine::config::EngineConfig;
use hookseal_store::config::NewEndpoint;
use hookseal_store::inspect::DeliveryStatus;
use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::reply::Reply;
use hookseal_testkit::wait::until;

use crate::world::World;

const HOUR: Duration = Duration::from_hours(1);
/// A little: tasks and retries of a second go on by it.
const STEP: Duration = Duration::from_millis(200);
const MINUTE: Duration = Duration::from_mins(1);
const HELD: DeliveryStatus = DeliveryStatus::Pending(Pending::Held);
const DELIVERED: DeliveryStatus = DeliveryStatus::Ended(Ended::Delivered);
const EXHAUSTED: DeliveryStatus = DeliveryStatus::Ended(Ended::Exhausted);

/// Disables after ten hours; what failed once is tried again a second later, and then no more.
fn soon(config: &mut EngineConfig) {
    config.retry_schedule = RetrySchedule::try_new(vec![Duration::from_secs(1)]).unwrap();
    config.health_rule = HealthRule {
        disable_after: Some(HOUR * 10),
    };
}

impl World {
    /// Has the organisation told what happens to endpoints, but that they were changed.
    async fn tells(&self, like: EndpointId) -> FakeEndpoint {
        let hook = FakeEndpoint::plain([200]).await.unwrap();
        let (id, now) = (self.engine.next_id(), self.engine.now());
        let app = self.store.make_operational_application(self.org, id, now);
        let app = app.await.unwrap();
        let mut spec = self.stored_endpoint(like).await.spec;
        spec.url = EndpointUrl::parse(&hook.url()).unwrap();
        let types = ["endpoint.failing", "endpoint.disabled", "endpoint.enabled"];
        let types = types.map(|name| EventTypeName::parse(name).unwrap());
        spec.subscription.event_types = Some(types.to_vec());
        let new = NewEndpoint {
            id: self.engine.next_id(),
            app,
            spec,
            headers: EndpointHeaders::default(),
            signing_key: SigningKey::from_bytes(KeyKind::HmacSha256, &[7; 32]).unwrap(),
            now,
        };
        self.store.create_endpoint(new, None).await.unwrap();
        self.engine.application_changed(app);
        hook
    }

    /// A message whose first attempt fails, after so many hours and a minute: attempts take a little
    /// of the real time.
    async fn fails_after(&self, hours: u32) -> MessageId {
        self.clock.advance(HOUR * hours + MINUTE);
        let message = self.publish("{}").await;
        let attempts = self.attempts(message, 1).await;
        let first = attempts.first().map(|attempt| attempt.outcome);
        assert_eq!(first, Some(Outcome::Retry));
        message
    }

    async fn failing_since(&self, endpoint: EndpointId) -> Option<Timestamp> {
        self.store.flush().await.unwrap();
        self.stored_endpoint(endpoint).await.failing_since
    }

    async fn is_switched_off(&self, endpoint: EndpointId) -> bool {
        let stored = self.stored_endpoint(endpoint).await;
        matches!(stored.switched_off, Some(SwitchedOff::Failing { .. }))
    }

    /// Lets another hour pass, in which retries fail, and waits for the end.
    async fn is_disabled_in_an_hour(&self, endpoint: EndpointId) {
        self.clock.advance(HOUR + MINUTE);
        until("it to be disabled", async || {
            Ok(self.is_switched_off(endpoint).await.then_some(()))
        })
        .await
        .unwrap();
    }

    /// Whether it failed now for the first time, or a moment ago.
    async fn began_to_fail(&self, endpoint: EndpointId) -> bool {
        let since = self.failing_since(endpoint).await;
        since.is_some_and(|since| self.engine.now().since(since) < MINUTE)
    }

    /// Lets time pass, so much at a time, until a delivery stands so.
    async fn comes_to(&self, message: MessageId, expect: DeliveryStatus, step: Duration) {
        let reached = until("the delivery", async || {
            let is = self.status(message).await == Some(expect);
            if !is {
                self.clock.advance(step);
            }
            Ok(is.then_some(()))
        });
        reached.await.unwrap();
    }
}

/// The last of so many events.
async fn hears(told: &FakeEndpoint, count: usize) -> Value {
    let received = told.receives(count).await.unwrap();
    assert_eq!(received.len(), count);
    serde_json::from_slice(&received.last().unwrap().body).unwrap()
}

#[tokio::test]
async fn an_endpoint_that_only_fails_is_told_of_and_then_disabled() {
    let world = World::with(soon).await;
    // What the breaker does not go by.
    let hook = FakeEndpoint::plain([404]).await.unwrap();
    let endpoint = world.endpoint(&hook.url()).await;
    let told = world.tells(endpoint).await;
    world.fails_after(0).await;
    assert!(world.began_to_fail(endpoint).await);
    let since = world.failing_since(endpoint).await.unwrap();
    world.fails_after(4).await;
    world.fails_after(1).await;
    let event = hears(&told, 1).await;
    assert_eq!(event["type"], "endpoint.failing");
    assert_eq!(event["data"]["percent"], 50);
    assert_eq!(event["data"]["failSince"], since.to_string());
    let end = event["data"]["disableAt"].as_str().unwrap();
    let end = Timestamp::parse_rfc3339(end).unwrap();
    assert!(end >= since.plus(HOUR * 10), "{end}");

    let world = world.restart_with(soon).await;
    world.fails_after(4).await;
    assert_eq!(hears(&told, 2).await["data"]["percent"], 90);
    let last = world.fails_after(0).await;
    assert!(!world.is_switched_off(endpoint).await);
    let world = world.restart_with(soon).await;
    world.is_disabled_in_an_hour(endpoint).await;
    let event = hears(&told, 3).await;
    assert_eq!(event["type"], "endpoint.disabled");
    assert_eq!(event["data"]["trigger"], "automatic");
    assert_eq!(event["data"]["reason"], "failing");
    let disabled = "hookseal_endpoints_disabled_total{reason=\"failing\"}";
    assert_eq!(world.metric(disabled), Some(1.0));
    world.status_becomes(last, EXHAUSTED).await;

    // From now on it gets nothing, and nothing is lost.
    let held = world.publish("{}").await;
    world.status_becomes(held, HELD).await;
    let world = world.restart_with(soon).await;
    world.status_becomes(held, HELD).await;
    hook.reply_with([200]);
    let enable = |spec: &mut EndpointSpec| spec.disabled = false;
    world.update_endpoint(endpoint, enable).await;
    world.engine.backlog_changed(world.app, endpoint);
    world.status_becomes(held, DELIVERED).await;
    assert_eq!(hears(&told, 4).await["type"], "endpoint.enabled");
    assert_eq!(world.failing_since(endpoint).await, None);
    assert!(!world.is_switched_off(endpoint).await);
}

#[tokio::test]
async fn a_success_makes_it_begin_anew() {
    let world = World::with(soon).await;
    let hook = FakeEndpoint::plain([404]).await.unwrap();
    let endpoint = world.endpoint(&hook.url()).await;
    let told = world.tells(endpoint).await;
    world.fails_after(0).await;
    world.fails_after(9).await;
    assert_eq!(hears(&told, 1).await["data"]["percent"], 50);
    hook.reply_with([200]);
    let message = world.publish("{}").await;
    world.status_becomes(message, DELIVERED).await;
    assert_eq!(world.failing_since(endpoint).await, None);
    hook.reply_with([404]);
    world.fails_after(1).await;
    assert!(world.began_to_fail(endpoint).await);
    let again = world.failing_since(endpoint).await.unwrap();
    world.fails_after(4).await;
    assert!(!world.is_switched_off(endpoint).await);
    world.fails_after(1).await;
    let event = hears(&told, 2).await;
    assert_eq!(event["data"]["failSince"], again.to_string());
}

#[tokio::test]
async fn probes_of_the_breaker_count_and_what_waits_is_held() {
    let world = World::with(|config| {
        soon(config);
        // Nothing is exhausted: all of it waits for the endpoint.
        config.retry_schedule = RetrySchedule::default();
    })
    .await;
    let hook = FakeEndpoint::plain([500]).await.unwrap();
    let endpoint = world.endpoint(&hook.url()).await;
    let mut messages = Vec::new();
    for _ in 0..20 {
        messages.push(world.publish("{}").await);
    }
    let paused = || {
        let state = world.engine.breaker(endpoint);
        matches!(state, Some(BreakerState::Paused { .. }))
    };
    let pauses = async || {
        until("a pause", async || Ok(paused().then_some(())))
            .await
            .unwrap();
    };
    pauses().await;
    let before = hook.received().len();
    for _ in 0..12 {
        world.clock.advance(HOUR);
        let off = until("a probe", async || {
            let off = world.is_switched_off(endpoint).await;
            Ok((off || paused()).then_some(off))
        });
        if off.await.unwrap() {
            break;
        }
    }
    until("it to be disabled", async || {
        let off = world.is_switched_off(endpoint).await;
        if !off {
            world.clock.advance(HOUR / 4);
        }
        Ok(off.then_some(()))
    })
    .await
    .unwrap();
    let probes = hook.received().len() - before;
    assert!((3..100).contains(&probes), "{probes} probes");
    for message in &messages {
        world.comes_to(*message, HELD, HOUR).await;
    }
    hook.reply_with([200]);
    let enabled = world
        .engine
        .enable_endpoint(world.org, (world.app, endpoint), None, None);
    assert!(enabled.await.unwrap().task.is_none());
    for message in messages {
        world.comes_to(message, DELIVERED, MINUTE).await;
    }
}

#[tokio::test]
async fn enabling_brings_back_what_failed_though_the_process_ends() {
    let world = World::with(soon).await;
    let hook = FakeEndpoint::plain([404]).await.unwrap();
    let endpoint = world.endpoint(&hook.url()).await;
    let since = world.engine.now();
    let mut failed = vec![world.fails_after(0).await];
    for hours in [5, 4] {
        failed.push(world.fails_after(hours).await);
    }
    world.is_disabled_in_an_hour(endpoint).await;
    let held = world.publish("{}").await;
    world.status_becomes(held, HELD).await;
    hook.reply_with([200]);
    let span = Span {
        since,
        until: world.engine.now(),
    };
    let key = (world.app, endpoint);
    let enabled = world
        .engine
        .enable_endpoint(world.org, key, Some(span), None);
    let enabled = enabled.await.unwrap();
    assert_eq!(enabled.endpoint.switched_off, None);
    let task = enabled.task.unwrap();
    let world = world.restart_with(soon).await;
    world.comes_to(held, DELIVERED, STEP).await;
    for message in failed {
        world.comes_to(message, DELIVERED, STEP).await;
    }
    until("the task to end", async || {
        world.clock.advance(Duration::from_millis(100));
        let found = world.store.task(world.org, task.id).await?.unwrap();
        Ok((found.state == TaskState::Finished).then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(world.failing_since(endpoint).await, None);
}

#[tokio::test]
async fn one_event_of_a_batch_that_arrives_is_enough() {
    let world = World::with(soon).await;
    let hook = FakeEndpoint::plain([500]).await.unwrap();
    let batch = |spec: &mut EndpointSpec| {
        spec.discipline.batch = Some(BatchRule::new(2, 60_000).unwrap());
    };
    let endpoint = world.endpoint_with(&hook.url(), batch).await;
    let (one, _) = (world.publish("{}").await, world.publish("{}").await);
    world.attempts(one, 1).await;
    assert!(world.began_to_fail(endpoint).await);
    world.clock.advance(HOUR);
    hook.receives(2).await.unwrap();
    world.status_becomes(one, EXHAUSTED).await;
    let (one, other) = (world.publish("{}").await, world.publish("{}").await);
    let said = serde_json::json!({"events": [{"id": one.to_string(), "status": 500}]});
    hook.reply_with([Reply::status(200).body(said.to_string())]);
    world.status_becomes(other, DELIVERED).await;
    assert_eq!(world.failing_since(endpoint).await, None);
}
