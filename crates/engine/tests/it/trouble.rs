//! An endpoint whose TLS fails the same way each time costs one handshake per interval, holds up
//! nothing, loses nothing, and goes on when it is mended.

use std::collections::BTreeSet;
use std::time::Duration;

use hookseal_domain::delivery::breaker::{BreakerState, EndpointFailure, PauseReason};
use hookseal_domain::delivery::outcome::Outcome;
use hookseal_domain::delivery::{Ended, Pending};
use hookseal_domain::endpoint::EndpointSpec;
use hookseal_domain::endpoint::url::EndpointUrl;
use hookseal_domain::id::{AppId, EndpointId, MessageId, OrgId};
use hookseal_domain::message::options::MessageOptions;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::policy::{EndpointTransport, Pinning, TransportPolicy};
use hookseal_store::inspect::DeliveryStatus;
use hookseal_store::reference::AppRef;
use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::reply::Reply;
use hookseal_testkit::test_ca::{Leaf, LeafSpec, Speaks, TestCa, Validity};
use hookseal_testkit::wait::until;

use crate::world::World;

const INTERVAL: Duration = Duration::from_secs(60);
const OTHER_ORG: &str = "org_23rb8YdGqMT0qIzpgGwdXfHirMv";
const DELIVERED: DeliveryStatus = DeliveryStatus::Ended(Ended::Delivered);
const BACKLOG: DeliveryStatus = DeliveryStatus::Pending(Pending::Backlog);

/// A world with an endpoint whose certificate has expired.
struct Trouble {
    world: World,
    hook: FakeEndpoint,
    endpoint: EndpointId,
    good: Leaf,
}

impl Trouble {
    async fn new() -> Self {
        let ca = TestCa::new("Customer's root").unwrap();
        // One attempt at a time, so that the count is exact.
        let world = World::trusting(&ca, |config| config.in_flight_per_endpoint_max = 1).await;
        let expired = LeafSpec {
            validity: Validity::Past,
            ..LeafSpec::default()
        };
        let expired = ca.issue(&expired).unwrap();
        let hook = FakeEndpoint::tls(&expired, [200]).await.unwrap();
        let endpoint = world.endpoint(&hook.url_by_name()).await;
        Self {
            world,
            hook,
            endpoint,
            good: ca.issue(&LeafSpec::default()).unwrap(),
        }
    }

    async fn publish(&self, count: usize) -> Vec<MessageId> {
        let mut messages = Vec::new();
        for _ in 0..count {
            messages.push(self.world.publish("{}").await);
        }
        messages
    }

    async fn paused_until(&self, secs_from_start: u64) {
        let start = self.endpoint.created_at();
        let expect = start.plus(Duration::from_secs(secs_from_start));
        let mut last = None;
        let paused = until("the pause", async || {
            last = self.world.engine.breaker(self.endpoint);
            let is = matches!(last, Some(BreakerState::Paused { until, .. }) if until == expect);
            Ok(is.then_some(()))
        });
        if paused.await.is_err() {
            panic!("expected a pause until {expect}, got {last:?}");
        }
    }

    async fn statuses(&self, messages: &[MessageId]) -> Vec<Option<DeliveryStatus>> {
        let mut statuses = Vec::new();
        for message in messages {
            statuses.push(self.world.status(*message).await);
        }
        statuses
    }

    fn handshakes(&self) -> usize {
        self.hook.connections().opened
    }

    fn mend(&self) {
        self.hook.present(&self.good, Speaks::Http2).unwrap();
    }
}

#[tokio::test]
async fn an_expired_certificate_costs_one_handshake_per_interval() {
    let trouble = Trouble::new().await;
    let messages = trouble.publish(10).await;
    trouble.paused_until(60).await;
    let state = trouble.world.engine.breaker(trouble.endpoint).unwrap();
    let pause = state.pause().unwrap();
    assert_eq!(pause.reason, PauseReason::TlsFailure);
    let expired = EndpointFailure::Tls(TlsFailure::PeerExpired);
    assert_eq!(pause.failure, expired);

    for (minute, handshakes) in (1..=4_u64).zip(4..) {
        trouble
            .world
            .clock
            .advance(INTERVAL - Duration::from_millis(1));
        // What is published meanwhile waits with the others.
        trouble.world.publish("{}").await;
        assert_eq!(trouble.handshakes(), handshakes - 1, "not before its time");
        trouble.world.clock.advance(Duration::from_millis(1));
        trouble.paused_until(60 * (minute + 1)).await;
        assert_eq!(trouble.handshakes(), handshakes);
    }
    let paused = trouble
        .world
        .metric(r#"hookseal_lanes_paused{reason="tls_failure"}"#);
    assert_eq!(paused, Some(1.0));

    trouble.world.store.flush().await.unwrap();
    // Those that were tried failed and wait for a long step, the others lost nothing.
    let mut attempts = 0;
    for message in &messages {
        let made = trouble.world.attempts(*message, 0).await;
        attempts += made.len();
        let status = trouble.world.status(*message).await;
        match made.first() {
            Some(attempt) => {
                assert_eq!(attempt.outcome, Outcome::NotTrusted);
                assert_eq!(attempt.facts.tls_failure, Some(TlsFailure::PeerExpired));
                let waiting = matches!(
                    status,
                    Some(DeliveryStatus::Pending(Pending::Waiting { .. }))
                );
                assert!(waiting, "{status:?}");
            }
            None => assert_eq!(status, Some(BACKLOG)),
        }
    }
    assert_eq!(attempts, 7);
    assert_eq!(trouble.hook.connections().application_bytes, 0);
}

#[tokio::test]
async fn a_mended_endpoint_goes_on_within_one_interval() {
    let trouble = Trouble::new().await;
    let messages = trouble.publish(50).await;
    trouble.paused_until(60).await;
    trouble.mend();
    trouble.world.clock.advance(INTERVAL);
    trouble.hook.receives(47).await.unwrap();
    let state = trouble.world.engine.breaker(trouble.endpoint).unwrap();
    assert_eq!(state, BreakerState::default());
    // The three that had failed come at their own time.
    trouble.world.clock.advance(Duration::from_secs(1800));
    for message in messages {
        trouble.world.status_becomes(message, DELIVERED).await;
    }
    assert_eq!(trouble.hook.received().len(), 50, "each of them once");
}

/// What changes of a paused endpoint.
#[derive(Clone, Copy, Debug)]
enum Changed {
    Url,
    OwnPolicy,
    DefaultPolicy,
    Enabled,
}

#[tokio::test]
async fn a_change_of_how_it_is_sent_to_ends_the_pause_at_once() {
    for changed in [
        Changed::Url,
        Changed::OwnPolicy,
        Changed::DefaultPolicy,
        Changed::Enabled,
    ] {
        let trouble = Trouble::new().await;
        trouble.publish(20).await;
        trouble.paused_until(60).await;
        trouble.mend();
        let (world, endpoint) = (&trouble.world, trouble.endpoint);
        let special = TransportPolicy {
            pinning: Some(Pinning::Report),
            ..TransportPolicy::default()
        };
        match changed {
            Changed::Url => {
                let url = format!("{}?moved", trouble.hook.url_by_name());
                let url = EndpointUrl::parse(&url).unwrap();
                world.update_endpoint(endpoint, |spec| spec.url = url).await;
            }
            Changed::OwnPolicy => {
                let transport = EndpointTransport {
                    own: special,
                    ..EndpointTransport::default()
                };
                world.set_transport(endpoint, transport).await;
            }
            Changed::DefaultPolicy => world.put_policy("default", special).await,
            Changed::Enabled => {
                world
                    .update_endpoint(endpoint, |spec| spec.disabled = true)
                    .await;
                until("the pause's end", async || {
                    let breaker = world.engine.breaker(endpoint);
                    Ok((breaker == Some(BreakerState::default())).then_some(()))
                })
                .await
                .unwrap();
                world
                    .update_endpoint(endpoint, |spec| spec.disabled = false)
                    .await;
                world.engine.backlog_changed(world.app, endpoint);
            }
        }
        let received = trouble.hook.receives(17).await;
        assert!(received.is_ok(), "{changed:?}");
    }
}

#[tokio::test]
async fn changes_of_other_things_leave_the_pause_alone() {
    let trouble = Trouble::new().await;
    trouble.publish(10).await;
    trouble.paused_until(60).await;
    let world = &trouble.world;
    let engine = &world.engine;
    engine.application_changed(engine.next_id::<AppId>());
    engine.organisation_changed(OrgId::parse(OTHER_ORG).unwrap());
    // Of its own application and organisation, but not how it is sent to.
    let describe = |spec: &mut EndpointSpec| spec.description = "Changed".to_owned();
    world.update_endpoint(trouble.endpoint, describe).await;
    let other = FakeEndpoint::plain([200]).await.unwrap();
    let other = world.endpoint(&other.url()).await;
    world.update_endpoint(other, describe).await;
    let special = TransportPolicy {
        pinning: Some(Pinning::Report),
        ..TransportPolicy::default()
    };
    world.put_policy("nobodys", special).await;
    engine
        .routing(world.org, &AppRef::Id(world.app))
        .await
        .unwrap();

    for (minute, handshakes) in (1..=3_u64).zip(4..) {
        world.clock.advance(INTERVAL);
        trouble.paused_until(60 * (minute + 1)).await;
        assert_eq!(trouble.handshakes(), handshakes, "one in an interval");
        world.update_endpoint(other, describe).await;
    }
}

#[tokio::test]
async fn an_endpoint_that_is_deleted_in_a_pause_ends_its_deliveries() {
    let trouble = Trouble::new().await;
    let messages = trouble.publish(10).await;
    trouble.paused_until(60).await;
    let world = &trouble.world;
    let now = world.engine.now();
    world.store.flush().await.unwrap();
    let deleted = world
        .store
        .delete_endpoint(world.app, trouble.endpoint, now);
    deleted.await.unwrap();
    world.engine.application_changed(world.app);
    world.clock.advance(Duration::from_secs(1800));
    for message in messages {
        until("the delivery's end", async || {
            let attempts = world.attempts(message, 1).await;
            let ended = attempts.last().and_then(|attempt| attempt.ended);
            Ok((ended == Some(Ended::EndpointDeleted)).then_some(()))
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn a_stop_in_a_pause_is_prompt_and_loses_nothing() {
    let trouble = Trouble::new().await;
    let messages = trouble.publish(20).await;
    trouble.paused_until(60).await;
    let report = trouble.world.engine.shutdown(Duration::from_secs(10)).await;
    assert_eq!(report.cut_off, 0);
    let statuses = trouble.statuses(&messages).await;
    let waiting = statuses.iter().filter(|status| **status == Some(BACKLOG));
    assert_eq!(waiting.count(), 17);
    trouble.mend();
    let Trouble { world, hook, .. } = trouble;
    let world = world.restart().await;
    hook.receives(17).await.unwrap();
    drop(world);
}

#[tokio::test]
async fn a_paused_endpoint_takes_no_memory_from_others() {
    let trouble = Trouble::new().await;
    trouble.publish(60).await;
    trouble.paused_until(60).await;
    let other = FakeEndpoint::plain([200]).await.unwrap();
    trouble.world.endpoint(&other.url()).await;
    trouble.paused_until(60).await;
    trouble.world.publish("{}").await;
    other.receives(1).await.unwrap();
    trouble.world.clock.advance(Duration::from_secs(5));
    until("the window to be empty", async || {
        let bytes = trouble.world.metric("hookseal_window_bytes");
        Ok((bytes == Some(0.0)).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn nothing_is_lost_while_a_certificate_comes_and_goes() {
    let ca = TestCa::new("Customer's root").unwrap();
    let world = World::trusting(&ca, |config| config.window_deliveries_max = 8).await;
    let good = ca.issue(&LeafSpec::default()).unwrap();
    let expired = ca.issue(&LeafSpec {
        validity: Validity::Past,
        ..LeafSpec::default()
    });
    let expired = expired.unwrap();
    // Each answer ends its connection, so that each attempt makes a handshake.
    let once = Reply::status(200).header("connection", "close");
    let hook = FakeEndpoint::tls(&good, [once]).await.unwrap();
    let endpoint = world.endpoint(&hook.url_by_name()).await;
    let mut published = BTreeSet::new();
    for round in 0..12 {
        let leaf = if round % 3 == 0 { &good } else { &expired };
        hook.present(leaf, Speaks::Http1).unwrap();
        for _ in 0..15 {
            published.insert(world.publish("{}").await.to_string());
        }
        if round % 4 == 3 {
            world.engine.application_changed(world.app);
        }
        world.clock.advance(Duration::from_secs(45));
    }
    hook.present(&good, Speaks::Http1).unwrap();
    let mut received = BTreeSet::new();
    until("all deliveries", async || {
        world.clock.advance(Duration::from_secs(60));
        received = hook
            .received()
            .iter()
            .map(|r| r.webhook_id().to_owned())
            .collect();
        Ok((received.len() == published.len()).then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(received, published);
    assert_eq!(hook.received().len(), published.len(), "each of them once");
    let state = world.engine.breaker(endpoint);
    assert!(
        state.is_none_or(|state| state == BreakerState::default()),
        "{state:?}"
    );
}

#[tokio::test]
async fn a_pause_without_anything_waiting_is_forgotten() {
    let trouble = Trouble::new().await;
    trouble.publish(3).await;
    trouble.paused_until(60).await;
    // Nothing waits, so that nothing tries.
    trouble.world.clock.advance(INTERVAL);
    trouble.world.clock.advance(INTERVAL * 3);
    until("the lane to be forgotten", async || {
        trouble.world.clock.advance(Duration::from_secs(5));
        Ok(trouble
            .world
            .engine
            .breaker(trouble.endpoint)
            .is_none()
            .then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(trouble.handshakes(), 3);
    trouble.mend();
    let message = trouble.world.publish("{}").await;
    trouble.world.status_becomes(message, DELIVERED).await;
}

#[tokio::test]
async fn what_expires_behind_a_pause_ends_without_an_attempt() {
    let trouble = Trouble::new().await;
    let messages = trouble.publish(5).await;
    trouble.paused_until(60).await;
    let handshakes = trouble.handshakes();
    let world = &trouble.world;
    let options = MessageOptions {
        expires_at: Some(world.engine.now().plus(Duration::from_secs(10))),
        ..MessageOptions::default()
    };
    let message = world.publish_as(options, "{}").await;
    world.status_becomes(message, BACKLOG).await;
    // Long enough for the sweeper, and still within the pause.
    world.clock.advance(Duration::from_secs(30));
    let expired = DeliveryStatus::Ended(Ended::MessageExpired);
    world.status_becomes(message, expired).await;
    let attempts = world.attempts(message, 1).await;
    assert_eq!(attempts[0].outcome, Outcome::Unsendable);
    assert_eq!((attempts.len(), trouble.handshakes()), (1, handshakes));
    let paused = world.engine.breaker(trouble.endpoint).unwrap().pause();
    assert!(
        paused.is_some(),
        "what expires says nothing of the endpoint"
    );
    // In the backlog, or in memory if the pause began while it was published.
    let last = world.status(messages[4]).await;
    assert!(matches!(last, Some(DeliveryStatus::Pending(_))), "{last:?}");
}

#[tokio::test]
async fn a_probe_that_panics_is_followed_by_another() {
    let trouble = Trouble::new().await;
    trouble.publish(5).await;
    trouble.paused_until(60).await;
    trouble.world.random.panic_next();
    trouble.world.clock.advance(INTERVAL);
    trouble.paused_until(120).await;
    trouble.mend();
    trouble.world.clock.advance(INTERVAL);
    until("the endpoint to get its deliveries", async || {
        let breaker = trouble.world.engine.breaker(trouble.endpoint);
        Ok((breaker == Some(BreakerState::default())).then_some(()))
    })
    .await
    .unwrap();
    assert!(!trouble.hook.received().is_empty());
}
