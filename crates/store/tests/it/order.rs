//! Deliveries that come one after the other: taken in order, blocked, skipped, made again.

use std::time::Duration;

use hookseal_domain::delivery::{DeliveryKey, Ended, Next, Pending};
use hookseal_domain::endpoint::order::{KeyHash, OrderKey};
use hookseal_domain::id::{EndpointId, MessageId};
use hookseal_store::Store;
use hookseal_store::error::SkipError;
use hookseal_store::inspect::{DeliveryStatus, MessageStatusFilter, OrderHead};
use hookseal_store::publish::{Accepted, DeliveryStart};
use hookseal_store::work::{PullLimit, Recorded};

use crate::scene::{Enabled, MANY, Scene};

const SECOND: Duration = Duration::from_secs(1);
const BLOCKED: Option<DeliveryStatus> = Some(DeliveryStatus::Pending(Pending::Blocked));
const HEADS_MAX: usize = 50;

/// A key of this endpoint.
fn key_of(endpoint: EndpointId, value: &str) -> KeyHash {
    let key = OrderKey::pointer("/key").unwrap();
    KeyHash::of_value(endpoint, &key, value.as_bytes())
}

impl Scene<'_> {
    async fn ordered_from(
        &self,
        start: DeliveryStart,
        endpoint: EndpointId,
        key: KeyHash,
    ) -> DeliveryKey {
        let mut message = self.message(start, &[endpoint]).await;
        message.deliveries[0].order = Some(key);
        let id = message.id;
        assert_eq!(self.store.accept(message).await.unwrap(), Accepted::New);
        DeliveryKey {
            message: id,
            endpoint,
        }
    }

    async fn ordered(&self, endpoint: EndpointId, key: KeyHash) -> DeliveryKey {
        self.ordered_from(DeliveryStart::Backlog, endpoint, key)
            .await
    }

    /// So many in the endpoint's one order.
    async fn in_order<const N: usize>(&self, endpoint: EndpointId) -> [DeliveryKey; N] {
        let mut keys = [DeliveryKey {
            message: MessageId::from_raw(0),
            endpoint,
        }; N];
        for key in &mut keys {
            *key = self.ordered(endpoint, KeyHash::ENDPOINT).await;
        }
        keys
    }

    async fn pull(&self, endpoint: EndpointId, limit: PullLimit) -> Vec<DeliveryKey> {
        let pulled = self.store.pull_backlog(self.app, endpoint, limit).await;
        let pulled = pulled.unwrap();
        self.took(&pulled);
        pulled.iter().map(|one| one.key).collect()
    }

    async fn recorded(&self, key: DeliveryKey, number: u32, next: Next) -> Recorded {
        let finished = self.finished(key, number, next);
        self.store.record_in_order(&finished).await.unwrap()
    }

    async fn heads(&self, endpoint: EndpointId) -> Vec<OrderHead> {
        let heads = self.store.order_heads(self.app, endpoint, HEADS_MAX);
        heads.await.unwrap()
    }
}

pub(crate) async fn takes_in_the_order_of_acceptance(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    // Ids were made in another order than they were accepted in.
    let (mut second, mut first) = (
        scene.message(DeliveryStart::Backlog, &[endpoint]).await,
        scene.message(DeliveryStart::Backlog, &[endpoint]).await,
    );
    let ids = [first.id, second.id];
    for message in [&mut first, &mut second] {
        message.deliveries[0].order = Some(KeyHash::ENDPOINT);
    }
    store.accept(first).await.unwrap();
    store.accept(second).await.unwrap();
    let [third] = scene.in_order(endpoint).await;
    let pulled = scene.pull(endpoint, MANY).await;
    let pulled: Vec<_> = pulled.iter().map(|key| key.message).collect();
    assert_eq!(pulled, [ids[0], ids[1], third.message]);
}

pub(crate) async fn takes_nothing_past_what_is_under_way(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let two = PullLimit { rows: 4, ..MANY };
    let [a, b, c, d] = scene.in_order(endpoint).await;
    assert_eq!(scene.pull(endpoint, two).await, [a, b], "half of the limit");
    assert_eq!(scene.pull(endpoint, MANY).await, []);
    let delivered = Next::End(Ended::Delivered);
    assert_eq!(scene.recorded(a, 1, delivered).await, Recorded::Followed);
    assert_eq!(scene.pull(endpoint, MANY).await, [], "b is under way");
    let due = scene.now().plus(SECOND);
    let retry = Next::Retry { due, step: 1 };
    assert_eq!(scene.recorded(b, 1, retry).await, Recorded::Followed);
    assert_eq!(scene.pull(endpoint, MANY).await, [], "b waits");
    let batch = store.claim_due(due, MANY).await.unwrap();
    scene.took(&batch.deliveries);
    assert_eq!(batch.deliveries[0].key, b);
    let rank = batch.deliveries[0].rank.unwrap();
    assert_eq!((rank.key, rank.seq), (KeyHash::ENDPOINT, 2));
    assert_eq!(scene.pull(endpoint, MANY).await, [], "b is tried again");
    store.return_to_backlog(vec![(scene.app, b)]).await.unwrap();
    assert_eq!(scene.pull(endpoint, MANY).await, [b, c, d]);
}

pub(crate) async fn takes_the_rest_after_a_restart(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let [a, b, c] = scene.in_order(endpoint).await;
    assert_eq!(scene.pull(endpoint, MANY).await, [a, b, c]);
    scene.recorded(a, 1, Next::End(Ended::Delivered)).await;
    store.begin_epoch(scene.now()).await.unwrap();
    assert_eq!(scene.pull(endpoint, MANY).await, [b, c]);
}

pub(crate) async fn keys_do_not_wait_for_each_other(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let (x, y) = (key_of(endpoint, "x"), key_of(endpoint, "y"));
    let x1 = scene.ordered(endpoint, x).await;
    let x2 = scene.ordered(endpoint, x).await;
    let first = PullLimit { rows: 1, ..MANY };
    assert_eq!(scene.pull(endpoint, first).await, [x1]);
    let y1 = scene.ordered(endpoint, y).await;
    let free = scene.accept(DeliveryStart::Backlog, &[endpoint]).await;
    let free = DeliveryKey {
        message: free,
        endpoint,
    };
    assert_eq!(scene.pull(endpoint, MANY).await, [y1, free]);
    scene.recorded(x1, 1, Next::Block).await;
    assert_eq!(scene.pull(endpoint, MANY).await, []);
    assert_eq!(
        scene.status(x2).await,
        Some(DeliveryStatus::Pending(Pending::Backlog))
    );
}

pub(crate) async fn one_key_does_not_fill_a_pull(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    for _ in 0..100 {
        scene.ordered(endpoint, key_of(endpoint, "x")).await;
    }
    let y = scene.ordered(endpoint, key_of(endpoint, "y")).await;
    let pulled = scene.pull(endpoint, MANY).await;
    assert!(
        pulled.len() < 100 && pulled.contains(&y),
        "{}",
        pulled.len()
    );
}

pub(crate) async fn many_stuck_keys_hide_nothing(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    for stuck in 0..600 {
        let key = key_of(endpoint, &stuck.to_string());
        scene.ordered_from(DeliveryStart::Held, endpoint, key).await;
    }
    for free in 0..3 {
        let free = scene
            .ordered(endpoint, key_of(endpoint, &format!("free {free}")))
            .await;
        assert_eq!(scene.pull(endpoint, MANY).await, [free]);
    }
}

pub(crate) async fn a_blocked_head_waits_for_a_resend(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let [a, b] = scene.in_order(endpoint).await;
    scene.pull(endpoint, MANY).await;
    assert_eq!(scene.recorded(a, 3, Next::Block).await, Recorded::Followed);
    store.return_to_backlog(vec![(scene.app, b)]).await.unwrap();
    assert_eq!(scene.status(a).await, BLOCKED);
    let failed = scene
        .with_status(endpoint, Some(MessageStatusFilter::Fail))
        .await;
    assert_eq!(failed.len(), 1, "it needs somebody");
    assert_eq!(scene.with_status(endpoint, None).await.len(), 2);
    assert_eq!(scene.pull(endpoint, MANY).await, []);
    let order = Some(KeyHash::ENDPOINT);
    let resent = store.resend(scene.app, a, order, scene.now(), None);
    resent.await.unwrap();
    let pulled = store.pull_backlog(scene.app, endpoint, MANY).await.unwrap();
    let pulled: Vec<_> = pulled.iter().map(|one| (one.key, one.attempts)).collect();
    assert_eq!(pulled, [(a, 0), (b, 0)], "at its old place");
}

pub(crate) async fn a_finished_one_is_resent_at_the_end(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let [a, b] = scene.in_order(endpoint).await;
    scene.pull(endpoint, PullLimit { rows: 1, ..MANY }).await;
    scene.recorded(a, 1, Next::End(Ended::Delivered)).await;
    let order = Some(KeyHash::ENDPOINT);
    let resent = store.resend(scene.app, a, order, scene.now(), None);
    resent.await.unwrap();
    assert_eq!(scene.pull(endpoint, MANY).await, [b, a]);
}

pub(crate) async fn skips(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let [a, b, c, d] = scene.in_order(endpoint).await;
    scene.pull(endpoint, PullLimit { rows: 1, ..MANY }).await;
    store.skip(scene.app, a, scene.now()).await.unwrap();
    store.skip(scene.app, c, scene.now()).await.unwrap();
    let skipped = Some(DeliveryStatus::Ended(Ended::Skipped));
    assert_eq!(scene.status(a).await, skipped);
    let listed = |status| scene.with_status(endpoint, Some(status));
    assert_eq!(listed(MessageStatusFilter::Cancelled).await.len(), 2);
    assert_eq!(listed(MessageStatusFilter::Fail).await, []);
    assert_eq!(scene.pull(endpoint, MANY).await, [b, d]);
    // The attempt that was under way.
    let due = scene.now();
    for next in [Next::Retry { due, step: 1 }, Next::End(Ended::Delivered)] {
        assert_eq!(scene.recorded(a, 1, next).await, Recorded::Overtaken);
        assert_eq!(scene.status(a).await, skipped);
    }
    assert_eq!(scene.attempts(a.message).await, 2);
    store.skip(scene.app, a, scene.now()).await.unwrap();
    let ended = store.skip(scene.app, b, scene.now());
    ended.await.unwrap();
    store
        .resend(scene.app, b, None, scene.now(), None)
        .await
        .unwrap();
    let resent = store.skip(scene.app, b, scene.now()).await;
    assert!(matches!(resent, Err(SkipError::NotInOrder)), "no order");
    let free = scene.accept(DeliveryStart::Backlog, &[endpoint]).await;
    let free = DeliveryKey {
        message: free,
        endpoint,
    };
    let refused = store.skip(scene.app, free, scene.now()).await;
    assert!(matches!(refused, Err(SkipError::NotInOrder)), "no order");
    let other = scene.application(crate::scene::other_org(), None).await;
    let refused = store.skip(other, b, scene.now()).await;
    assert!(matches!(refused, Err(SkipError::NotInOrder)), "not theirs");
}

pub(crate) async fn an_older_attempt_does_not_move_a_resent_head(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let [a, b] = scene.in_order(endpoint).await;
    scene.pull(endpoint, MANY).await;
    let resent = store.resend(scene.app, a, None, scene.now(), None);
    resent.await.unwrap();
    let delivered = Next::End(Ended::Delivered);
    assert_eq!(scene.recorded(a, 1, delivered).await, Recorded::Overtaken);
    store.return_to_backlog(vec![(scene.app, b)]).await.unwrap();
    assert_eq!(scene.pull(endpoint, MANY).await, [a, b]);
}

pub(crate) async fn what_is_held_holds_up_the_rest(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    scene.enable(endpoint, Enabled::No).await;
    let key = KeyHash::ENDPOINT;
    let held = scene.ordered_from(DeliveryStart::Held, endpoint, key).await;
    let [after] = scene.in_order(endpoint).await;
    assert_eq!(scene.pull(endpoint, MANY).await, []);
    scene.enable(endpoint, Enabled::Yes).await;
    store.release_held(1).await.unwrap();
    assert_eq!(scene.pull(endpoint, MANY).await, [held, after]);
}

pub(crate) async fn a_blocked_one_ends_with_its_payload_or_endpoint(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let (endpoint, deleted) = (scene.endpoint().await, scene.endpoint().await);
    let [a] = scene.in_order(endpoint).await;
    let [b] = scene.in_order(deleted).await;
    for (key, endpoint) in [(a, endpoint), (b, deleted)] {
        scene.pull(endpoint, MANY).await;
        scene.recorded(key, 3, Next::Block).await;
    }
    store.expunge_message(scene.app, a.message).await.unwrap();
    let pulled = store.pull_backlog(scene.app, endpoint, MANY).await.unwrap();
    assert_eq!((pulled[0].key, &pulled[0].payload), (a, &None));
    let now = scene.now();
    store
        .delete_endpoint(scene.app, deleted, now)
        .await
        .unwrap();
    store.release_held(10).await.unwrap();
    assert_eq!(scene.pull(deleted, MANY).await, [b]);
}

pub(crate) async fn shows_the_heads(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let (x, y, z) = (
        key_of(endpoint, "x"),
        key_of(endpoint, "y"),
        key_of(endpoint, "z"),
    );
    assert_eq!(scene.heads(endpoint).await, []);
    let blocked = scene.ordered(endpoint, x).await;
    scene.pull(endpoint, MANY).await;
    scene.recorded(blocked, 2, Next::Block).await;
    let waiting = scene.ordered(endpoint, y).await;
    scene.pull(endpoint, MANY).await;
    let due = scene.now().plus(SECOND);
    scene
        .recorded(waiting, 1, Next::Retry { due, step: 1 })
        .await;
    let ready = scene.ordered(endpoint, z).await;
    for _ in 0..3 {
        scene.ordered(endpoint, x).await;
    }
    let head = |key: DeliveryKey, state, attempts, behind| OrderHead {
        message: key.message,
        state,
        attempts,
        behind,
    };
    let expect = [
        head(blocked, Pending::Blocked, 2, 3),
        head(waiting, Pending::Waiting { due }, 1, 0),
        head(ready, Pending::Backlog, 0, 0),
    ];
    assert_eq!(scene.heads(endpoint).await, expect);
    let first = store.order_heads(scene.app, endpoint, 1).await.unwrap();
    assert_eq!(first, expect[..1]);
}
