//! Results, resends and what deleting does to what is unfinished.

use std::time::Duration;

use hookseal_domain::delivery::{DeliveryKey, Ended, Next, Pending, Trigger};
use hookseal_domain::endpoint::SwitchedOff;
use hookseal_domain::id::{EndpointId, MessageId};
use hookseal_store::Store;
use hookseal_store::error::ResendError;
use hookseal_store::inspect::DeliveryStatus;
use hookseal_store::publish::DeliveryStart;
use hookseal_store::reference::Reference;

use crate::scene::{Enabled, MANY, Scene, facts, idempotency};

const SECOND: Duration = Duration::from_secs(1);

const DELIVERED: Option<DeliveryStatus> = Some(DeliveryStatus::Ended(Ended::Delivered));
const BACKLOG: Option<DeliveryStatus> = Some(DeliveryStatus::Pending(Pending::Backlog));
const OWNED: Option<DeliveryStatus> = Some(DeliveryStatus::Pending(Pending::Owned));

pub(crate) async fn records_an_end(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    for ended in [
        Ended::Delivered,
        Ended::Exhausted,
        Ended::Parked,
        Ended::Gone,
        Ended::EndpointDeleted,
        Ended::PayloadExpired,
    ] {
        let key = scene.owned(endpoint).await;
        let finished = scene.finished(key, 1, Next::End(ended));
        let attempt = finished.attempt.clone();
        scene.record(finished).await;
        assert_eq!(scene.status(key).await, Some(DeliveryStatus::Ended(ended)));
        let found = store
            .attempt(scene.app, key.message, attempt.id)
            .await
            .unwrap();
        assert_eq!(found, Some(attempt));
    }
    assert_eq!(store.begin_epoch(scene.now()).await.unwrap().taken_back, 0);
}

pub(crate) async fn records_a_retry(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let key = scene.owned(endpoint).await;
    let due = scene.later(Duration::from_secs(5));
    scene
        .record(scene.finished(key, 1, Next::Retry { due, step: 1 }))
        .await;
    let claimed = store.claim_due(due, MANY).await.unwrap().deliveries;
    assert_eq!((claimed[0].attempts, claimed[0].step), (1, 1));
    scene.took(&claimed);
    scene
        .record(scene.finished(key, 2, Next::End(Ended::Delivered)))
        .await;
    assert_eq!(scene.status(key).await, DELIVERED);
    assert_eq!(scene.attempts(key.message).await, 2);
}

pub(crate) async fn records_once(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let key = scene.owned(endpoint).await;
    let due = scene.now();
    let finished = scene.finished(key, 1, Next::Retry { due, step: 1 });
    scene.record(finished.clone()).await;
    scene.record(finished.clone()).await;
    assert_eq!(scene.attempts(key.message).await, 1);
    store.claim_due(due, MANY).await.unwrap();
    scene.record(finished).await;
    assert_eq!(
        scene.status(key).await,
        OWNED,
        "an old result changes nothing"
    );
}

pub(crate) async fn fences_by_epoch(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let (ended, retried) = (scene.owned(endpoint).await, scene.owned(endpoint).await);
    store.begin_epoch(scene.now()).await.unwrap();
    scene.end(ended, Ended::Delivered).await;
    let due = scene.now();
    scene
        .record(scene.finished(retried, 1, Next::Retry { due, step: 1 }))
        .await;
    for key in [ended, retried] {
        assert_eq!(scene.status(key).await, BACKLOG);
        assert_eq!(scene.attempts(key.message).await, 1, "the attempt is kept");
    }
}

pub(crate) async fn switches_off_a_gone_endpoint(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let key = scene.owned(endpoint).await;
    let before = scene.version(scene.app).await;
    let mut finished = scene.finished(key, 1, Next::End(Ended::Gone));
    let at = scene.now();
    finished.endpoint_gone_at = Some(at);
    scene.record(finished).await;
    let reference = Reference::Id(endpoint);
    let found = store
        .endpoint(scene.app, &reference)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.switched_off, Some(SwitchedOff::Gone { at }));
    let routing = store.routing_of(scene.app).await.unwrap().unwrap();
    assert!(routing.version > before);
    assert!(routing.destinations[0].disabled);
}

pub(crate) async fn a_late_gone_leaves_a_changed_endpoint_alone(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let key = scene.owned(endpoint).await;
    let began_at = scene.now();
    scene.later(SECOND);
    scene.enable(endpoint, Enabled::Yes).await;
    let mut finished = scene.finished(key, 1, Next::End(Ended::Gone));
    finished.endpoint_gone_at = Some(began_at);
    scene.record(finished).await;
    assert_eq!(
        scene.status(key).await,
        Some(DeliveryStatus::Ended(Ended::Gone))
    );
    let routing = store.routing_of(scene.app).await.unwrap().unwrap();
    assert!(!routing.destinations[0].disabled);
}

pub(crate) async fn resends(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let key = scene.owned(endpoint).await;
    scene.end(key, Ended::Exhausted).await;
    let request = idempotency(9, 9, scene.now());
    let now = scene.now();
    store
        .resend(scene.app, key, None, now, request)
        .await
        .unwrap();
    assert_eq!(scene.status(key).await, BACKLOG);
    let pulled = store.pull_backlog(scene.app, endpoint, MANY).await.unwrap();
    scene.took(&pulled);
    assert_eq!(pulled[0].trigger, Trigger::Resend);
    assert_eq!((pulled[0].attempts, pulled[0].step), (0, 0));
    let mut finished = scene.finished(key, 1, Next::End(Ended::Delivered));
    finished.attempt.trigger = Trigger::Resend;
    scene.record(finished).await;
    assert_eq!(scene.status(key).await, DELIVERED);
    store
        .resend(scene.app, key, None, now, request)
        .await
        .unwrap();
    assert_eq!(scene.status(key).await, DELIVERED, "the same request, once");
    let other = idempotency(9, 8, scene.now());
    let refused = store.resend(scene.app, key, None, now, other).await;
    assert!(
        matches!(refused, Err(ResendError::IdempotencyKeyReused)),
        "{refused:?}"
    );
}

pub(crate) async fn resending_begins_anew(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let (waiting, owned) = (scene.owned(endpoint).await, scene.owned(endpoint).await);
    let due = scene.now().plus(Duration::from_hours(9));
    scene
        .record(scene.finished(waiting, 3, Next::Retry { due, step: 3 }))
        .await;
    for key in [waiting, owned] {
        store
            .resend(scene.app, key, None, scene.now(), None)
            .await
            .unwrap();
        assert_eq!(scene.status(key).await, BACKLOG);
    }
    // What was in memory is fenced off.
    scene.end(owned, Ended::Exhausted).await;
    assert_eq!(scene.status(owned).await, BACKLOG);
    let pulled = store.pull_backlog(scene.app, endpoint, MANY).await.unwrap();
    let begun: Vec<_> = pulled.iter().map(|c| (c.attempts, c.step)).collect();
    assert_eq!(begun, [(0, 0), (0, 0)]);
    let none = store.claim_due(due, MANY).await.unwrap();
    assert_eq!(none, Default::default(), "not due any more");
}

/// An attempt that began before a resend ends after it.
pub(crate) async fn late_results_leave_a_resent_delivery_alone(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let due = scene.now();
    let retry = Next::Retry { due, step: 1 };
    for late in [
        Next::End(Ended::Exhausted),
        Next::End(Ended::Delivered),
        retry,
    ] {
        let key = scene.owned(endpoint).await;
        // Of the acceptance, of a claim, and of a claim before the delivery ended and was resent.
        for round in 1..4 {
            let older = scene.finished(key, 1, late);
            let resend = async || {
                let now = scene.later(SECOND);
                store.resend(scene.app, key, None, now, None).await.unwrap();
                let pulled = store.pull_backlog(scene.app, endpoint, MANY).await.unwrap();
                assert_eq!(pulled.len(), 1);
                scene.took(&pulled);
            };
            resend().await;
            if round == 3 {
                scene.end(key, Ended::Exhausted).await;
                resend().await;
            }
            let attempts = scene.attempts(key.message).await;
            scene.record(older).await;
            assert_eq!(scene.status(key).await, OWNED, "{late:?} {round}");
            assert_eq!(scene.attempts(key.message).await, attempts + 1, "kept");
        }
        scene.record(scene.finished(key, 1, retry)).await;
        let claimed = store.claim_due(due, MANY).await.unwrap().deliveries;
        scene.took(&claimed);
        scene.end(key, Ended::Delivered).await;
        assert_eq!(scene.status(key).await, DELIVERED, "its own result counts");
    }
}

pub(crate) async fn refuses_to_resend(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let key = scene.owned(endpoint).await;
    scene.end(key, Ended::Delivered).await;
    let resend = async |key| store.resend(scene.app, key, None, scene.now(), None).await;
    let no_message = DeliveryKey {
        message: MessageId::from_raw(5),
        endpoint,
    };
    let no_endpoint = DeliveryKey {
        endpoint: EndpointId::from_raw(5),
        ..key
    };
    for key in [no_message, no_endpoint] {
        let refused = resend(key).await;
        assert!(matches!(refused, Err(ResendError::NotFound)), "{refused:?}");
    }
    scene.enable(endpoint, Enabled::No).await;
    let refused = resend(key).await;
    assert!(
        matches!(refused, Err(ResendError::EndpointDisabled)),
        "{refused:?}"
    );
    scene.enable(endpoint, Enabled::Yes).await;
    store.expunge_message(scene.app, key.message).await.unwrap();
    let refused = resend(key).await;
    assert!(
        matches!(refused, Err(ResendError::PayloadGone)),
        "{refused:?}"
    );
    store
        .delete_endpoint(scene.app, endpoint, scene.now())
        .await
        .unwrap();
    let refused = resend(key).await;
    assert!(matches!(refused, Err(ResendError::NotFound)), "{refused:?}");
}

pub(crate) async fn brings_up_what_waits_for_a_deleted_endpoint(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let waiting = scene.owned(endpoint).await;
    let due = scene.now().plus(Duration::from_hours(9));
    scene
        .record(scene.finished(waiting, 1, Next::Retry { due, step: 1 }))
        .await;
    scene.accept(DeliveryStart::Held, &[endpoint]).await;
    store
        .delete_endpoint(scene.app, endpoint, scene.now())
        .await
        .unwrap();
    let here = [(scene.app, endpoint)];
    assert_eq!(store.release_held(1).await.unwrap(), here);
    assert_eq!(store.release_held(9).await.unwrap(), here);
    assert_eq!(store.release_held(9).await.unwrap(), []);
    assert_eq!(store.backlogged(None, 9).await.unwrap(), here);
    let pulled = store.pull_backlog(scene.app, endpoint, MANY).await.unwrap();
    assert_eq!(pulled.len(), 2);
    scene.took(&pulled);
    let mut finished = scene.finished(waiting, 2, Next::End(Ended::EndpointDeleted));
    finished.attempt.facts = facts();
    scene.record(finished).await;
    assert_eq!(scene.attempts(waiting.message).await, 2);
}

pub(crate) async fn brings_up_what_waits_for_a_deleted_application(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let (one, other) = (scene.endpoint().await, scene.endpoint().await);
    let message = scene.accept(DeliveryStart::Held, &[one, other]).await;
    store
        .delete_application(scene.app, scene.now())
        .await
        .unwrap();
    assert!(store.routing_of(scene.app).await.unwrap().is_none());
    let released = store.release_held(9).await.unwrap();
    assert_eq!(released, [(scene.app, one), (scene.app, other)]);
    for endpoint in [one, other] {
        let pulled = store.pull_backlog(scene.app, endpoint, MANY).await.unwrap();
        assert_eq!(pulled.len(), 1);
        scene.took(&pulled);
        scene
            .end(DeliveryKey { message, endpoint }, Ended::EndpointDeleted)
            .await;
    }
    assert_eq!(scene.attempts(message).await, 2);
    assert_eq!(store.begin_epoch(scene.now()).await.unwrap().taken_back, 0);
}
