//! Forgetting.

use std::time::Duration;

use hookseal_domain::delivery::{DeliveryKey, Ended, Next};
use hookseal_domain::endpoint::order::KeyHash;
use hookseal_domain::time::Timestamp;
use hookseal_store::Store;
use hookseal_store::inspect::DeliveryStatus;
use hookseal_store::publish::{Accepted, DeliveryStart};
use hookseal_store::reference::Reference;
use hookseal_store::retention::{Retained, RetentionPolicy};

use crate::scene::{MANY, Scene, days, idempotency};

const POLICY: RetentionPolicy = RetentionPolicy {
    history: Duration::from_secs(90 * 86_400),
    batch_rows: 1000,
};

async fn all(store: &dyn Store, now: Timestamp, policy: RetentionPolicy) -> Retained {
    let mut sum = Retained::default();
    loop {
        let batch = store.retain(now, policy).await.unwrap();
        sum.payloads += batch.payloads;
        sum.messages += batch.messages;
        sum.idempotency_records += batch.idempotency_records;
        if !batch.more {
            return sum;
        }
    }
}

pub(crate) async fn forgets_history(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let old = scene.owned(endpoint).await;
    scene.end(old, Ended::Delivered).await;
    let mut keyed = scene.message(DeliveryStart::Owned, &[]).await;
    keyed.idempotency = idempotency(1, 1, scene.now());
    store.accept(keyed).await.unwrap();
    let nothing = all(store, scene.later(Duration::from_hours(1)), POLICY).await;
    assert_eq!(nothing, Retained::default());
    scene.later(days(89));
    let young = scene.owned(endpoint).await;
    scene.end(young, Ended::Delivered).await;
    let forgotten = all(store, scene.later(days(2)), POLICY).await;
    assert_eq!(forgotten.messages, 2);
    assert_eq!(forgotten.idempotency_records, 1);
    let gone = store.message(scene.app, &Reference::Id(old.message)).await;
    assert_eq!(gone.unwrap(), None);
    assert_eq!(scene.attempts(old.message).await, 0);
    assert_eq!(scene.status(old).await, None);
    let left = scene.with_status(endpoint, None).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].0, young.message);
    assert_eq!(scene.attempts(young.message).await, 1);
}

pub(crate) async fn forgets_what_was_skipped_untried(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let mut message = scene.message(DeliveryStart::Backlog, &[endpoint]).await;
    message.deliveries[0].order = Some(KeyHash::ENDPOINT);
    let key = DeliveryKey {
        message: message.id,
        endpoint,
    };
    store.accept(message).await.unwrap();
    store.skip(scene.app, key, scene.now()).await.unwrap();
    let skipped = DeliveryStatus::Ended(Ended::Skipped);
    assert_eq!(scene.status(key).await, Some(skipped));
    let one = RetentionPolicy {
        batch_rows: 1,
        ..POLICY
    };
    let forgotten = all(store, scene.later(days(91)), one).await;
    assert_eq!(forgotten.messages, 1);
    assert_eq!(scene.status(key).await, None, "nothing is left of it");
}

pub(crate) async fn forgets_in_small_batches(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let mut endpoints = Vec::new();
    for _ in 0..5 {
        endpoints.push(scene.endpoint().await);
    }
    for _ in 0..4 {
        let message = scene.accept(DeliveryStart::Owned, &endpoints).await;
        for &endpoint in &endpoints {
            let key = hookseal_domain::delivery::DeliveryKey { message, endpoint };
            scene.end(key, Ended::Delivered).await;
        }
    }
    let now = scene.later(days(91));
    let policy = RetentionPolicy {
        batch_rows: 6,
        ..POLICY
    };
    let mut batches = 0;
    let mut messages = 0;
    loop {
        let batch = store.retain(now, policy).await.unwrap();
        batches += 1;
        messages += batch.messages;
        if !batch.more {
            break;
        }
        assert!(batches < 100, "it ends");
    }
    assert_eq!(messages, 4);
    assert!(batches >= 7, "44 rows, 6 at a time: {batches}");
    assert_eq!(scene.with_status(endpoints[0], None).await, []);
}

pub(crate) async fn forgets_payloads_early(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let mut message = scene.message(DeliveryStart::Held, &[endpoint]).await;
    message.payload_expires_at = scene.now().plus(days(5));
    let id = message.id;
    store.accept(message).await.unwrap();
    scene.accept(DeliveryStart::Owned, &[]).await;
    assert_eq!(
        all(store, scene.later(days(4)), POLICY).await,
        Retained::default()
    );
    let forgotten = all(store, scene.later(days(1)), POLICY).await;
    assert_eq!((forgotten.payloads, forgotten.messages), (1, 0));
    let found = store.message(scene.app, &Reference::Id(id)).await.unwrap();
    assert_eq!(found.unwrap().payload, None);
    let pulled = store.pull_backlog(scene.app, endpoint, MANY).await.unwrap();
    assert_eq!(pulled[0].payload, None, "held ones come up to end");
    assert_eq!(all(store, scene.now(), POLICY).await, Retained::default());
}

pub(crate) async fn forgets_payloads_of_a_long_history(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let policy = RetentionPolicy {
        history: days(365),
        batch_rows: 2,
    };
    let mut ids = Vec::new();
    for number in 0..6 {
        let mut message = scene.message(DeliveryStart::Owned, &[]).await;
        if number == 2 {
            message.payload_expires_at = scene.now().plus(days(5));
        }
        ids.push(message.id);
        store.accept(message).await.unwrap();
        scene.later(days(1));
    }
    let payloads = async || {
        let mut there = Vec::new();
        for id in &ids {
            let found = store.message(scene.app, &Reference::Id(*id)).await.unwrap();
            there.push(found.unwrap().payload.is_some());
        }
        there
    };
    let now = scene.later(days(86));
    assert_eq!(all(store, now, policy).await.payloads, 3);
    assert_eq!(payloads().await, [false, false, false, true, true, true]);
    let now = scene.later(days(9));
    assert_eq!(all(store, now, policy).await.payloads, 3);
    let now = scene.later(days(365));
    assert_eq!(all(store, now, policy).await.messages, 6);
    // Everything is forgotten; what comes then is forgotten in its time too.
    let id = scene.accept(DeliveryStart::Owned, &[]).await;
    let now = scene.later(days(91));
    assert_eq!(all(store, now, policy).await.payloads, 1);
    let found = store.message(scene.app, &Reference::Id(id)).await.unwrap();
    assert_eq!(found.unwrap().payload, None);
}

/// The batch that forgets the last message has no room to see that it was the last.
pub(crate) async fn forgets_payloads_after_a_full_batch(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let policy = RetentionPolicy {
        history: days(365),
        batch_rows: 1,
    };
    for _ in 0..2 {
        scene.accept(DeliveryStart::Owned, &[]).await;
    }
    let now = scene.later(days(91));
    assert_eq!(all(store, now, policy).await.payloads, 2);
    let now = scene.later(days(365));
    for _ in 0..2 {
        assert_eq!(store.retain(now, policy).await.unwrap().messages, 1);
    }
    scene.accept(DeliveryStart::Owned, &[]).await;
    let now = scene.later(days(91));
    assert_eq!(all(store, now, policy).await.payloads, 1);
}

pub(crate) async fn forgets_unfinished_deliveries(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    for start in [
        DeliveryStart::Held,
        DeliveryStart::Owned,
        DeliveryStart::Backlog,
    ] {
        scene.accept(start, &[endpoint]).await;
    }
    let now = scene.later(days(91));
    assert_eq!(all(store, now, POLICY).await.messages, 3);
    assert_eq!(store.backlogged(None, 9).await.unwrap(), []);
    assert_eq!(store.begin_epoch(now).await.unwrap().taken_back, 0);
    let mut message = scene.message(DeliveryStart::Owned, &[]).await;
    message.idempotency = idempotency(1, 1, now);
    assert_eq!(store.accept(message).await.unwrap(), Accepted::New);
}

pub(crate) async fn late_results_leave_nothing(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let key = scene.owned(endpoint).await;
    let late = scene.finished(key, 1, Next::End(Ended::Delivered));
    all(store, scene.later(days(91)), POLICY).await;
    scene.record(late).await;
    assert_eq!(scene.attempts(key.message).await, 0);
    assert_eq!(scene.with_status(endpoint, None).await, []);
}
