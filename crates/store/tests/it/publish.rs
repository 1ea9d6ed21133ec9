//! Accepting messages.

use std::collections::BTreeSet;

use hookseal_domain::channel::Channel;
use hookseal_domain::delivery::{DeliveryKey, Pending};
use hookseal_domain::id::{AppId, MessageId};
use hookseal_store::Store;
use hookseal_store::error::{AcceptError, ChangeError};
use hookseal_store::inspect::{DeliveryStatus, MessageFilter};
use hookseal_store::page::Order;
use hookseal_store::publish::{Accepted, DeliveryStart, NewDelivery};
use hookseal_store::reference::Reference;

use crate::scene::{PAYLOAD, Scene, days, first_page, idempotency, uid};

pub(crate) async fn accepts_a_message(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let starts = [
        (DeliveryStart::Owned, Pending::Owned),
        (DeliveryStart::Backlog, Pending::Backlog),
        (DeliveryStart::Held, Pending::Held),
    ];
    let mut endpoints = Vec::new();
    for _ in starts {
        endpoints.push(scene.endpoint().await);
    }
    let mut message = scene.message(DeliveryStart::Owned, &[]).await;
    message.deliveries = endpoints
        .iter()
        .zip(starts)
        .map(|(&endpoint, (start, _))| NewDelivery {
            endpoint,
            start,
            order: None,
        })
        .collect();
    message.event_id = Some(uid("event-1"));
    message.channels = vec![Channel::parse("eu").unwrap()];
    message.tags = vec!["a\"b".to_owned()];
    let id = message.id;
    assert_eq!(store.accept(message).await.unwrap(), Accepted::New);
    for reference in [Reference::Id(id), Reference::Uid("event-1".to_owned())] {
        let found = store.message(scene.app, &reference).await.unwrap().unwrap();
        assert_eq!(found.id, id);
        assert_eq!(found.payload.unwrap(), PAYLOAD);
        assert_eq!(found.event_id, Some(uid("event-1")));
        assert_eq!(found.channels, [Channel::parse("eu").unwrap()]);
        assert_eq!(found.tags, ["a\"b"]);
        assert_eq!(found.payload_expires_at, scene.now().plus(days(90)));
    }
    for (&endpoint, (_, pending)) in endpoints.iter().zip(starts) {
        let key = DeliveryKey {
            message: id,
            endpoint,
        };
        let expect = Some(DeliveryStatus::Pending(pending));
        assert_eq!(scene.status(key).await, expect);
    }
}

pub(crate) async fn refuses_stale_routing(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let message = scene.message(DeliveryStart::Owned, &[]).await;
    scene.endpoint().await;
    let refused = store.accept(message.clone()).await;
    assert!(
        matches!(refused, Err(AcceptError::StaleRouting)),
        "{refused:?}"
    );
    let reference = Reference::Id(message.id);
    assert_eq!(store.message(scene.app, &reference).await.unwrap(), None);
}

pub(crate) async fn refuses_unknown_applications(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let mut message = scene.message(DeliveryStart::Owned, &[]).await;
    message.app = AppId::from_raw(77);
    let refused = store.accept(message).await;
    assert!(
        matches!(refused, Err(AcceptError::UnknownApplication)),
        "{refused:?}"
    );
    let message = scene.message(DeliveryStart::Owned, &[]).await;
    store
        .delete_application(scene.app, scene.now())
        .await
        .unwrap();
    let refused = store.accept(message).await;
    assert!(
        matches!(refused, Err(AcceptError::UnknownApplication)),
        "{refused:?}"
    );
}

pub(crate) async fn repeats_by_idempotency_key(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let mut first = scene.message(DeliveryStart::Owned, &[endpoint]).await;
    first.idempotency = idempotency(1, 1, scene.now());
    let mut same = scene.message(DeliveryStart::Owned, &[endpoint]).await;
    same.idempotency = first.idempotency;
    same.routing_version = 0;
    let mut other = scene.message(DeliveryStart::Owned, &[]).await;
    other.idempotency = idempotency(1, 2, scene.now());
    let made = first.id;
    assert_eq!(store.accept(first).await.unwrap(), Accepted::New);
    let repeated = store.accept(same.clone()).await.unwrap();
    assert_eq!(repeated, Accepted::Repeated(made));
    let refused = store.accept(other).await;
    assert!(
        matches!(refused, Err(AcceptError::IdempotencyKeyReused)),
        "{refused:?}"
    );
    let messages = store
        .messages(
            scene.app,
            MessageFilter::default(),
            first_page(50, Order::Ascending),
        )
        .await
        .unwrap();
    assert_eq!(messages.rows.len(), 1);
    assert_eq!(scene.with_status(endpoint, None).await.len(), 1);
}

pub(crate) async fn forgets_idempotency_keys(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let mut first = scene.message(DeliveryStart::Owned, &[]).await;
    first.idempotency = idempotency(1, 1, scene.now());
    store.accept(first).await.unwrap();
    scene.later(std::time::Duration::from_hours(12));
    let mut again = scene.message(DeliveryStart::Owned, &[]).await;
    again.idempotency = idempotency(1, 2, scene.now());
    assert_eq!(store.accept(again).await.unwrap(), Accepted::New);
}

pub(crate) async fn remembers_other_requests(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let now = scene.now();
    let request = |key, body| idempotency(key, body, now).unwrap();
    let earlier = store.earlier_request(request(1, 1), now).await;
    assert_eq!(earlier.unwrap(), None);
    store.remember_request(request(1, 1), 7).await.unwrap();
    let earlier = store.earlier_request(request(1, 1), now).await;
    assert_eq!(earlier.unwrap(), Some(7));
    let other = store.earlier_request(request(1, 2), now).await;
    assert!(
        matches!(other, Err(ChangeError::IdempotencyKeyReused)),
        "{other:?}"
    );
    scene.later(std::time::Duration::from_hours(12));
    let forgotten = store.earlier_request(request(1, 2), scene.now()).await;
    assert_eq!(forgotten.unwrap(), None);
}

pub(crate) async fn keeps_event_ids_unique(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let mut first = scene.message(DeliveryStart::Owned, &[]).await;
    first.event_id = Some(uid("event-1"));
    let mut second = scene.message(DeliveryStart::Owned, &[endpoint]).await;
    second.event_id = first.event_id.clone();
    second.idempotency = idempotency(1, 1, scene.now());
    store.accept(first.clone()).await.unwrap();
    let refused = store.accept(second.clone()).await;
    assert!(
        matches!(refused, Err(AcceptError::EventIdTaken)),
        "{refused:?}"
    );
    assert_eq!(
        scene.with_status(endpoint, None).await,
        [],
        "nothing is left of it"
    );
    second.event_id = Some(uid("event-2"));
    assert_eq!(store.accept(second).await.unwrap(), Accepted::New);
    // Another application may have the same.
    first.app = scene.application(crate::scene::org(), None).await;
    first.id = scene.id();
    first.routing_version = scene.version(first.app).await;
    assert_eq!(store.accept(first).await.unwrap(), Accepted::New);
}

pub(crate) async fn resolves_equal_requests_at_the_same_time(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let mut message = scene.message(DeliveryStart::Owned, &[]).await;
    message.idempotency = idempotency(1, 1, scene.now());
    let twice = || {
        let mut message = message.clone();
        message.id = scene.id();
        store.accept(message)
    };
    let (a, b, c) = tokio::join!(twice(), twice(), twice());
    let answers = [a.unwrap(), b.unwrap(), c.unwrap()];
    let new = answers.iter().filter(|a| **a == Accepted::New).count();
    assert_eq!(new, 1, "{answers:?}");
}

pub(crate) async fn accepts_concurrently_exactly_once(store: &dyn Store) {
    const TASKS: usize = 64;
    const EACH: usize = 20;
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let template = scene.message(DeliveryStart::Owned, &[endpoint]).await;
    let accept = async || {
        let mut accepted = Vec::new();
        for _ in 0..EACH {
            let mut message = template.clone();
            message.id = scene.id();
            let id = message.id;
            assert_eq!(store.accept(message).await.unwrap(), Accepted::New);
            accepted.push(id);
        }
        accepted
    };
    let mut accepted: BTreeSet<MessageId> = BTreeSet::new();
    let mut running: Vec<_> = (0..TASKS).map(|_| Box::pin(accept())).collect();
    for batch in join_all(&mut running).await {
        accepted.extend(batch);
    }
    assert_eq!(accepted.len(), TASKS * EACH);
    let mut stored = Vec::new();
    let mut page = first_page(250, Order::Ascending);
    loop {
        let filter = MessageFilter::default();
        let found = store
            .endpoint_messages(scene.app, endpoint, filter, None, page.clone())
            .await
            .unwrap();
        stored.extend(found.rows.iter().map(|row| row.message.id));
        if found.done {
            break;
        }
        page.from = hookseal_store::page::PageStart::After(*stored.last().unwrap());
    }
    assert_eq!(stored, accepted.into_iter().collect::<Vec<_>>());
}

/// Runs all at once.
async fn join_all<F: Future + Unpin>(running: &mut [F]) -> Vec<F::Output> {
    let mut outputs: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut all = true;
        for (future, output) in running.iter_mut().zip(&mut outputs) {
            if output.is_none() {
                match std::pin::Pin::new(future).poll(context) {
                    std::task::Poll::Ready(ready) => *output = Some(ready),
                    std::task::Poll::Pending => all = false,
                }
            }
        }
        if all {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
