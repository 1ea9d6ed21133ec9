//! Taking deliveries, giving them back, holding and releasing them.

use std::time::Duration;

use hookseal_domain::delivery::{DeliveryKey, Next, Pending, Trigger};
use hookseal_store::Store;
use hookseal_store::inspect::DeliveryStatus;
use hookseal_store::publish::DeliveryStart;
use hookseal_store::work::PullLimit;

use crate::scene::{Enabled, MANY, PAYLOAD, Scene};

const SECOND: Duration = Duration::from_secs(1);

fn pending(pending: Pending) -> Option<DeliveryStatus> {
    Some(DeliveryStatus::Pending(pending))
}

pub(crate) async fn claims_what_is_due(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let nothing = store.claim_due(scene.now(), MANY).await.unwrap();
    assert_eq!(nothing, Default::default());
    let mut keys = Vec::new();
    for delay in [3, 1, 2] {
        let key = scene.owned(endpoint).await;
        let due = scene.now().plus(SECOND * delay);
        let next = Next::Retry { due, step: delay };
        scene.record(scene.finished(key, 1, next)).await;
        assert_eq!(scene.status(key).await, pending(Pending::Waiting { due }));
        keys.push(key);
    }
    let batch = store.claim_due(scene.now(), MANY).await.unwrap();
    assert_eq!(batch.deliveries, []);
    assert_eq!(batch.next_due, Some(scene.now().plus(SECOND)));
    let now = scene.now().plus(SECOND * 2);
    let batch = store.claim_due(now, MANY).await.unwrap();
    let claimed: Vec<_> = batch.deliveries.iter().map(|c| c.key).collect();
    assert_eq!(claimed, [keys[1], keys[2]], "earliest first");
    assert_eq!(batch.next_due, Some(scene.now().plus(SECOND * 3)));
    let first = &batch.deliveries[0];
    assert_eq!(first.app, scene.app);
    assert_eq!(first.trigger, Trigger::Publish);
    assert_eq!((first.attempts, first.step), (1, 1));
    assert_eq!(first.payload.as_deref(), Some(PAYLOAD.as_bytes()));
    assert_eq!(scene.status(keys[1]).await, pending(Pending::Owned));
    let again = store.claim_due(now, MANY).await.unwrap();
    assert_eq!(again.deliveries, [], "taken once");
}

pub(crate) async fn bounds_claims_by_rows_and_bytes(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    for _ in 0..6 {
        let key = scene.owned(endpoint).await;
        let due = scene.now();
        scene
            .record(scene.finished(key, 1, Next::Retry { due, step: 1 }))
            .await;
    }
    let claim = async |rows, bytes| {
        let limit = PullLimit { rows, bytes };
        let batch = store.claim_due(scene.now(), limit).await.unwrap();
        (batch.deliveries.len(), batch.next_due)
    };
    let due = Some(scene.now());
    assert_eq!(claim(2, 1 << 20).await, (2, due));
    assert_eq!(claim(9, 0).await, (1, due), "one at least");
    assert_eq!(claim(9, PAYLOAD.len() * 2).await, (2, due));
    assert_eq!(claim(9, 1 << 20).await, (1, None));
}

pub(crate) async fn pulls_the_backlog(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let (one, other) = (scene.endpoint().await, scene.endpoint().await);
    let mut messages = Vec::new();
    for _ in 0..3 {
        messages.push(scene.accept(DeliveryStart::Backlog, &[one, other]).await);
    }
    let two = PullLimit {
        rows: 2,
        bytes: 1 << 20,
    };
    let pulled = store.pull_backlog(scene.app, one, two).await.unwrap();
    let pulled: Vec<_> = pulled
        .iter()
        .map(|c| (c.key.message, c.key.endpoint))
        .collect();
    assert_eq!(
        pulled,
        [(messages[0], one), (messages[1], one)],
        "oldest first"
    );
    let rest = store.pull_backlog(scene.app, one, MANY).await.unwrap();
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].payload.as_deref(), Some(PAYLOAD.as_bytes()));
    assert_eq!((rest[0].attempts, rest[0].step), (0, 0));
    assert_eq!(store.pull_backlog(scene.app, one, MANY).await.unwrap(), []);
    assert_eq!(
        store
            .pull_backlog(scene.app, other, MANY)
            .await
            .unwrap()
            .len(),
        3
    );
}

pub(crate) async fn lists_backlogged_endpoints(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let mut endpoints = Vec::new();
    for start in [
        DeliveryStart::Backlog,
        DeliveryStart::Held,
        DeliveryStart::Backlog,
        DeliveryStart::Owned,
        DeliveryStart::Backlog,
    ] {
        let endpoint = scene.endpoint().await;
        scene.accept(start, &[endpoint]).await;
        scene.accept(start, &[endpoint]).await;
        if start == DeliveryStart::Backlog {
            endpoints.push((scene.app, endpoint));
        }
    }
    assert_eq!(store.backlogged(None, 10).await.unwrap(), endpoints);
    assert_eq!(store.backlogged(None, 2).await.unwrap(), endpoints[..2]);
    let after = Some(endpoints[1]);
    assert_eq!(store.backlogged(after, 10).await.unwrap(), endpoints[2..]);
    let after = Some(endpoints[2]);
    assert_eq!(store.backlogged(after, 10).await.unwrap(), []);
}

pub(crate) async fn gives_back(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let (key, kept) = (scene.owned(endpoint).await, scene.owned(endpoint).await);
    store
        .return_to_backlog(vec![(scene.app, key)])
        .await
        .unwrap();
    assert_eq!(scene.status(key).await, pending(Pending::Backlog));
    assert_eq!(scene.status(kept).await, pending(Pending::Owned));
    store
        .return_to_backlog(vec![(scene.app, key)])
        .await
        .unwrap();
    let pulled = store.pull_backlog(scene.app, endpoint, MANY).await.unwrap();
    assert_eq!(pulled.len(), 1);
}

pub(crate) async fn holds_and_releases(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let owned = scene.owned(endpoint).await;
    scene.enable(endpoint, Enabled::No).await;
    store.hold(vec![(scene.app, owned)]).await.unwrap();
    scene.accept(DeliveryStart::Held, &[endpoint]).await;
    scene.accept(DeliveryStart::Held, &[endpoint]).await;
    assert_eq!(scene.status(owned).await, pending(Pending::Held));
    assert_eq!(store.release_held(10).await.unwrap(), []);
    scene.enable(endpoint, Enabled::Yes).await;
    let here = [(scene.app, endpoint)];
    assert_eq!(store.release_held(2).await.unwrap(), here, "in batches");
    assert_eq!(scene.status(owned).await, pending(Pending::Backlog));
    assert_eq!(store.release_held(2).await.unwrap(), here);
    assert_eq!(store.release_held(2).await.unwrap(), []);
    assert_eq!(
        store
            .pull_backlog(scene.app, endpoint, MANY)
            .await
            .unwrap()
            .len(),
        3
    );
}

pub(crate) async fn holding_after_enabling_releases(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let key = scene.owned(endpoint).await;
    scene.enable(endpoint, Enabled::No).await;
    scene.enable(endpoint, Enabled::Yes).await;
    assert_eq!(store.release_held(10).await.unwrap(), []);
    store.hold(vec![(scene.app, key)]).await.unwrap();
    assert_eq!(
        store.release_held(10).await.unwrap(),
        [(scene.app, endpoint)]
    );
    scene.enable(endpoint, Enabled::No).await;
    scene.enable(endpoint, Enabled::Yes).await;
    scene.enable(endpoint, Enabled::No).await;
    scene.accept(DeliveryStart::Held, &[endpoint]).await;
    assert_eq!(store.release_held(10).await.unwrap(), [], "disabled again");
}

pub(crate) async fn takes_back_at_a_new_epoch(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let key = scene.owned(endpoint).await;
    let due = scene.now();
    let waiting = scene.owned(endpoint).await;
    scene
        .record(scene.finished(waiting, 1, Next::Retry { due, step: 1 }))
        .await;
    let first = store.begin_epoch(scene.now()).await.unwrap();
    assert_eq!(first.taken_back, 1);
    assert_eq!(scene.status(key).await, pending(Pending::Backlog));
    assert_eq!(
        scene.status(waiting).await,
        pending(Pending::Waiting { due })
    );
    let second = store.begin_epoch(scene.now()).await.unwrap();
    assert_eq!((second.taken_back, second.epoch), (0, first.epoch + 1));
    assert_eq!(second.node, first.node);
}

pub(crate) async fn knows_the_highest_id(store: &dyn Store) {
    let none = store.begin_epoch(crate::scene::START).await.unwrap();
    assert_eq!(none.highest_id, None);
    let scene = Scene::new(store).await;
    let highest = async || store.begin_epoch(scene.now()).await.unwrap().highest_id;
    assert_eq!(highest().await, Some(scene.app.raw()));
    let endpoint = scene.endpoint().await;
    assert_eq!(highest().await, Some(endpoint.raw()));
    let message = scene.accept(DeliveryStart::Owned, &[endpoint]).await;
    assert_eq!(highest().await, Some(message.raw()));
    let key = DeliveryKey { message, endpoint };
    let next = Next::Retry {
        due: scene.now(),
        step: 1,
    };
    let finished = scene.finished(key, 1, next);
    let attempt = finished.attempt.id;
    scene.record(finished).await;
    assert_eq!(highest().await, Some(attempt.raw()));
}

pub(crate) async fn is_healthy(store: &dyn Store) {
    let _scene = Scene::new(store).await;
    store.health().await.unwrap();
    store.flush().await.unwrap();
}
