//! What a message says of its deliveries: when they begin and end, and how urgent they are.

use std::time::Duration;

use hookseal_domain::delivery::priority::Priority;
use hookseal_domain::delivery::{DeliveryKey, Ended, Next, Pending, Trigger};
use hookseal_domain::message::options::MessageOptions;
use hookseal_store::Store;
use hookseal_store::error::ResendError;
use hookseal_store::inspect::DeliveryStatus;
use hookseal_store::publish::DeliveryStart;
use hookseal_store::reference::MessageRef;
use hookseal_store::retention::RetentionPolicy;
use hookseal_store::work::PullLimit;

use crate::scene::{Enabled, MANY, PAYLOAD, Scene, days};

const MINUTE: Duration = Duration::from_secs(60);

/// Accepts a message that says something of its deliveries.
async fn accept(
    scene: &Scene<'_>,
    key: hookseal_domain::id::EndpointId,
    start: DeliveryStart,
    options: MessageOptions,
) -> DeliveryKey {
    let mut message = scene.message(start, &[key]).await;
    message.options = options;
    let id = message.id;
    scene.store.accept(message).await.unwrap();
    DeliveryKey {
        message: id,
        endpoint: key,
    }
}

fn expiring(scene: &Scene<'_>, after: Duration) -> MessageOptions {
    MessageOptions {
        expires_at: Some(scene.now().plus(after)),
        ..MessageOptions::default()
    }
}

fn of_class(priority: Priority) -> MessageOptions {
    MessageOptions {
        priority,
        ..MessageOptions::default()
    }
}

pub(crate) async fn keeps_what_is_said(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let options = MessageOptions {
        deliver_at: Some(scene.now().plus(MINUTE)),
        expires_at: Some(scene.now().plus(MINUTE * 2)),
        priority: Priority::Bulk,
    };
    let said = accept(&scene, endpoint, DeliveryStart::Backlog, options).await;
    let plain = scene.owned(endpoint).await;
    for (key, expect) in [(said, options), (plain, MessageOptions::default())] {
        let named = MessageRef::Id(key.message);
        let found = store.message(scene.app, &named).await;
        assert_eq!(found.unwrap().unwrap().options, expect);
    }
    // Forgotten with the message, of which nothing stays that another one could inherit.
    let policy = RetentionPolicy {
        history: days(1),
        batch_rows: 100,
    };
    let retained = store.retain(scene.now().plus(days(2)), policy).await;
    assert_eq!(retained.unwrap().messages, 2);
    let named = MessageRef::Id(said.message);
    let found = store.message(scene.app, &named).await;
    assert_eq!(found.unwrap(), None);
}

pub(crate) async fn begins_when_it_is_said(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let due = scene.now().plus(MINUTE);
    let options = MessageOptions {
        deliver_at: Some(due),
        ..MessageOptions::default()
    };
    let key = accept(&scene, endpoint, DeliveryStart::Waiting { due }, options).await;
    let waiting = DeliveryStatus::Pending(Pending::Waiting { due });
    assert_eq!(scene.status(key).await, Some(waiting));
    let batch = store.claim_due(scene.now(), MANY).await.unwrap();
    assert_eq!((batch.deliveries.len(), batch.next_due), (0, Some(due)));
    let batch = store.claim_due(due, MANY).await.unwrap();
    let first = &batch.deliveries[0];
    assert_eq!((first.key, first.attempts, first.step), (key, 0, 0));
    assert_eq!(first.trigger, Trigger::Publish);
    assert_eq!(first.payload.as_deref(), Some(PAYLOAD.as_bytes()));
}

pub(crate) async fn takes_what_has_expired(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let options = expiring(&scene, MINUTE);
    let in_memory = accept(&scene, endpoint, DeliveryStart::Owned, options).await;
    let later = expiring(&scene, MINUTE * 2);
    let later = accept(&scene, endpoint, DeliveryStart::Backlog, later).await;
    let due = scene.now().plus(days(1));
    let mut expect = Vec::new();
    for start in [
        DeliveryStart::Backlog,
        DeliveryStart::Held,
        DeliveryStart::Waiting { due },
    ] {
        expect.push(accept(&scene, endpoint, start, options).await);
    }
    let retried = accept(&scene, endpoint, DeliveryStart::Owned, options).await;
    let next = Next::Retry { due, step: 1 };
    scene.record(scene.finished(retried, 1, next)).await;
    expect.push(retried);
    scene.accept(DeliveryStart::Backlog, &[endpoint]).await;

    assert_eq!(store.claim_expired(scene.now(), 9).await.unwrap(), []);
    let now = scene.now().plus(MINUTE);
    let mut taken = store.claim_expired(now, 3).await.unwrap();
    assert_eq!(taken.len(), 3, "no more than asked for");
    taken.extend(store.claim_expired(now, 9).await.unwrap());
    scene.took(&taken);
    let mut keys: Vec<_> = taken.iter().map(|one| one.key).collect();
    keys.sort();
    expect.sort();
    assert_eq!(keys, expect, "not {in_memory:?} or {later:?}");
    for one in &taken {
        assert_eq!(
            (one.expires_at, one.payload.as_ref()),
            (options.expires_at, None)
        );
        scene.end(one.key, Ended::MessageExpired).await;
        let ended = DeliveryStatus::Ended(Ended::MessageExpired);
        assert_eq!(scene.status(one.key).await, Some(ended));
    }
    assert_eq!(store.claim_expired(now, 9).await.unwrap(), []);
}

pub(crate) async fn refuses_to_resend_what_has_expired(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let options = MessageOptions {
        priority: Priority::High,
        ..expiring(&scene, MINUTE)
    };
    let key = accept(&scene, endpoint, DeliveryStart::Owned, options).await;
    scene.end(key, Ended::Exhausted).await;
    store
        .resend(scene.app, key, None, scene.now(), None)
        .await
        .unwrap();
    let pulled = store.pull_backlog(scene.app, endpoint, MANY).await.unwrap();
    assert_eq!(pulled[0].class, Priority::High);
    assert_eq!(pulled[0].expires_at, options.expires_at, "still");
    scene.took(&pulled);
    scene.end(key, Ended::Exhausted).await;
    let now = scene.now().plus(MINUTE);
    let refused = store.resend(scene.app, key, None, now, None).await;
    assert!(
        matches!(refused, Err(ResendError::MessageExpired)),
        "{refused:?}"
    );
    scene.enable(endpoint, Enabled::No).await;
    let refused = store.resend(scene.app, key, None, now, None).await;
    assert!(
        matches!(refused, Err(ResendError::MessageExpired)),
        "{refused:?}"
    );
}

pub(crate) async fn pulls_each_class_by_its_weight(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    for class in [Priority::Bulk, Priority::Normal, Priority::High] {
        for _ in 0..30 {
            accept(&scene, endpoint, DeliveryStart::Backlog, of_class(class)).await;
        }
    }
    let pull = async |rows| {
        let limit = PullLimit {
            rows,
            bytes: 1 << 20,
        };
        let pulled = store
            .pull_backlog(scene.app, endpoint, limit)
            .await
            .unwrap();
        Priority::ALL.map(|class| pulled.iter().filter(|one| one.class == class).count())
    };
    assert_eq!(pull(21).await, [16, 4, 1]);
    assert_eq!(
        pull(21).await,
        [14, 6, 1],
        "what one leaves goes to the others"
    );
    assert_eq!(pull(21).await, [0, 20, 1]);
    assert_eq!(pull(99).await, [0, 0, 27], "all that there is");
}
