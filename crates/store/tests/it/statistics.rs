//! What the counters say, against what happened.

use std::time::Duration;

use hookseal_domain::delivery::outcome::Outcome;
use hookseal_domain::delivery::{Ended, Next, Trigger};
use hookseal_domain::id::EndpointId;
use hookseal_domain::time::Timestamp;
use hookseal_store::Store;
use hookseal_store::inspect::AttemptFilter;
use hookseal_store::publish::DeliveryStart;
use hookseal_store::retention::RetentionPolicy;
use hookseal_store::statistics::{AttemptCounts, EndpointCounts, Hours, Precision};
use hookseal_store::work::FinishedAttempt;

use crate::scene::{Enabled, MANY, Scene, days, event_type, org};

/// Delivered, failed, skipped, pending, sending.
async fn deliveries(scene: &Scene<'_>, endpoint: EndpointId, hours: Hours) -> [u64; 5] {
    let counts = scene.store.delivery_counts(scene.app, endpoint, hours);
    let counts = counts.await.unwrap();
    assert_eq!(counts.precision, Precision::Exact);
    [
        counts.delivered,
        counts.failed,
        counts.skipped,
        counts.pending,
        counts.sending,
    ]
}

async fn attempts(scene: &Scene<'_>, endpoint: EndpointId, filter: AttemptFilter) -> u64 {
    let counted = scene.store.attempt_count(scene.app, endpoint, filter);
    counted.await.unwrap().count
}

fn between(since: Timestamp, until: Timestamp) -> Hours {
    Hours {
        since: Some(since),
        until: Some(until),
    }
}

pub(crate) async fn counts_deliveries(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let first_hour = scene.now();
    for ended in [Ended::Delivered, Ended::Delivered, Ended::Exhausted] {
        let key = scene.owned(endpoint).await;
        scene.end(key, ended).await;
    }
    scene.owned(endpoint).await;
    scene.accept(DeliveryStart::Backlog, &[endpoint]).await;
    scene.accept(DeliveryStart::Held, &[endpoint]).await;
    let all = Hours::default();
    assert_eq!(deliveries(&scene, endpoint, all).await, [2, 1, 0, 2, 1]);

    let second_hour = scene.later(Duration::from_hours(1));
    let key = scene.owned(endpoint).await;
    scene.end(key, Ended::Parked).await;
    let second = between(second_hour, second_hour.plus(Duration::from_secs(1)));
    let first = between(first_hour, first_hour.plus(Duration::from_secs(1)));
    assert_eq!(deliveries(&scene, endpoint, second).await, [0, 1, 0, 0, 0]);
    assert_eq!(deliveries(&scene, endpoint, first).await, [2, 1, 0, 2, 1]);
    let other = scene.endpoint().await;
    assert_eq!(deliveries(&scene, other, all).await, [0; 5]);
}

pub(crate) async fn counts_a_resent_one_where_it_ended_last(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let key = scene.owned(endpoint).await;
    scene.end(key, Ended::Exhausted).await;
    scene.later(Duration::from_hours(2));
    let resend = store.resend(scene.app, key, None, scene.now(), None);
    resend.await.unwrap();
    let claimed = store.pull_backlog(scene.app, endpoint, MANY).await.unwrap();
    scene.took(&claimed);
    let mut finished = scene.finished(key, 2, Next::End(Ended::Delivered));
    finished.attempt.trigger = Trigger::Resend;
    scene.record(finished.clone()).await;
    let all = Hours::default();
    assert_eq!(deliveries(&scene, endpoint, all).await, [1, 0, 0, 0, 0]);
    // The same result once more.
    scene.record(finished).await;
    assert_eq!(deliveries(&scene, endpoint, all).await, [1, 0, 0, 0, 0]);
    assert_eq!(
        attempts(&scene, endpoint, AttemptFilter::default()).await,
        2
    );
}

pub(crate) async fn counts_attempts(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let codes = [Some(200), Some(201), Some(500), Some(503), Some(404), None];
    for code in codes {
        let key = scene.owned(endpoint).await;
        let accepted = code.is_some_and(|code| code < 300);
        let ended = if accepted {
            Ended::Delivered
        } else {
            Ended::Exhausted
        };
        let mut finished: FinishedAttempt = scene.finished(key, 1, Next::End(ended));
        finished.attempt.status_code = code;
        finished.attempt.outcome = if accepted {
            Outcome::Accepted
        } else {
            Outcome::Retry
        };
        scene.record(finished).await;
    }
    let of = |success, status_code_class| AttemptFilter {
        success,
        status_code_class,
        ..AttemptFilter::default()
    };
    for (success, class, expect) in [
        (None, None, 6),
        (Some(true), None, 2),
        (Some(false), None, 4),
        (None, Some(500), 2),
        (None, Some(200), 2),
        (Some(false), Some(0), 1),
        (Some(true), Some(500), 0),
        (Some(false), Some(200), 0),
    ] {
        let counted = attempts(&scene, endpoint, of(success, class)).await;
        assert_eq!(counted, expect, "{success:?} {class:?}");
    }
    let mut filter = of(Some(true), None);
    filter.message.event_types = Some(vec![event_type("invoice.paid")]);
    assert_eq!(attempts(&scene, endpoint, filter.clone()).await, 2);
    filter.message.event_types = Some(vec![event_type("other")]);
    assert_eq!(attempts(&scene, endpoint, filter).await, 0);
    let by_type = store.attempts_by_event_type(scene.app, Hours::default());
    let by_type = by_type.await.unwrap();
    let counts = AttemptCounts {
        accepted: 2,
        failed: 4,
    };
    assert_eq!(
        by_type.into_iter().collect::<Vec<_>>(),
        [(event_type("invoice.paid"), counts)]
    );
}

pub(crate) async fn counts_endpoints(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let counts = async || {
        let EndpointCounts { active, disabled } = store.endpoint_counts(org()).await.unwrap();
        [active, disabled]
    };
    assert_eq!(counts().await, [0, 0]);
    let (one, two) = (scene.endpoint().await, scene.endpoint().await);
    assert_eq!(counts().await, [2, 0]);
    scene.enable(one, Enabled::No).await;
    scene.enable(one, Enabled::No).await;
    assert_eq!(counts().await, [1, 1]);
    let key = scene.owned(two).await;
    let mut gone = scene.finished(key, 1, Next::End(Ended::Gone));
    gone.endpoint_gone_at = Some(scene.now());
    scene.record(gone).await;
    assert_eq!(counts().await, [0, 2]);
    scene.enable(two, Enabled::Yes).await;
    assert_eq!(counts().await, [1, 1]);
    let delete = store.delete_endpoint(scene.app, one, scene.now());
    delete.await.unwrap();
    assert_eq!(counts().await, [1, 0]);
    let delete = store.delete_application(scene.app, scene.now());
    delete.await.unwrap();
    assert_eq!(counts().await, [0, 0]);
}

pub(crate) async fn forgets_counters(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let key = scene.owned(endpoint).await;
    scene.end(key, Ended::Delivered).await;
    let policy = RetentionPolicy {
        history: days(1),
        batch_rows: 100,
    };
    let all = Hours::default();
    store.retain(scene.now(), policy).await.unwrap();
    assert_eq!(deliveries(&scene, endpoint, all).await, [1, 0, 0, 0, 0]);
    let later = scene.later(days(2));
    store.retain(later, policy).await.unwrap();
    assert_eq!(deliveries(&scene, endpoint, all).await, [0; 5]);
    let by_type = store.attempts_by_event_type(scene.app, all).await.unwrap();
    assert!(by_type.is_empty());
}
