//! Looking at messages, attempts and deliveries.

use std::time::Duration;

use hookseal_domain::channel::Channel;
use hookseal_domain::delivery::{DeliveryKey, Ended, Next, Pending};
use hookseal_domain::id::{AttemptId, MessageId};
use hookseal_store::Store;
use hookseal_store::error::ChangeError;
use hookseal_store::inspect::{
    AttemptFilter, AttemptScope, Content, DeliveryStatus, MessageFilter, MessageStatusFilter,
};
use hookseal_store::page::{Order, PageRequest, PageStart};
use hookseal_store::publish::DeliveryStart;
use hookseal_store::reference::Reference;

use crate::scene::{MANY, PAYLOAD, Scene, event_type, facts, first_page, org};

const SECOND: Duration = Duration::from_secs(1);

async fn listed(scene: &Scene<'_>, filter: MessageFilter) -> Vec<MessageId> {
    let page = first_page(50, Order::Ascending);
    let found = scene.store.messages(scene.app, filter, page).await.unwrap();
    found.rows.iter().map(|message| message.id).collect()
}

async fn attempts(scene: &Scene<'_>, scope: AttemptScope, filter: AttemptFilter) -> Vec<AttemptId> {
    let page = first_page(50, Order::Ascending);
    let found = scene.store.attempts(scene.app, scope, filter, page).await;
    found.unwrap().rows.iter().map(|a| a.id).collect()
}

pub(crate) async fn finds_messages(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let id = scene.accept(DeliveryStart::Owned, &[]).await;
    let found = store
        .message(scene.app, &Reference::Id(id))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.payload.as_deref(), Some(PAYLOAD.as_bytes()));
    assert_eq!(
        (found.event_id, found.channels.len(), found.tags.len()),
        (None, 0, 0)
    );
    for unknown in [Reference::Id(scene.id()), Reference::Uid("x".to_owned())] {
        assert_eq!(store.message(scene.app, &unknown).await.unwrap(), None);
    }
    let without = MessageFilter {
        content: Content::Without,
        ..MessageFilter::default()
    };
    let page = first_page(50, Order::Ascending);
    let found = store.messages(scene.app, without, page).await.unwrap();
    assert_eq!(found.rows[0].payload, None);
}

pub(crate) async fn filters_messages(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let mut ids = Vec::new();
    for (name, channel, tag) in [("a.b", "eu", "x"), ("a.c", "us", "y"), ("a.d", "eu", "y")] {
        let mut message = scene.message(DeliveryStart::Owned, &[]).await;
        message.event_type = event_type(name);
        message.channels = ["all", channel]
            .map(|c| Channel::parse(c).unwrap())
            .to_vec();
        message.tags = vec![tag.to_owned()];
        ids.push(message.id);
        store.accept(message).await.unwrap();
        scene.later(SECOND);
    }
    let check = async |filter, expect: &[MessageId]| {
        let described = format!("{filter:?}");
        assert_eq!(listed(&scene, filter).await, expect, "{described}");
    };
    let all = MessageFilter::default;
    let channel = |name| Some(Channel::parse(name).unwrap());
    check(all(), &ids).await;
    check(
        MessageFilter {
            channel: channel("eu"),
            ..all()
        },
        &[ids[0], ids[2]],
    )
    .await;
    check(
        MessageFilter {
            channel: channel("all"),
            ..all()
        },
        &ids,
    )
    .await;
    check(
        MessageFilter {
            channel: channel("none"),
            ..all()
        },
        &[],
    )
    .await;
    check(
        MessageFilter {
            tag: Some("y".to_owned()),
            ..all()
        },
        &ids[1..],
    )
    .await;
    let types = |names: &[&str]| Some(names.iter().map(|n| event_type(n)).collect());
    check(
        MessageFilter {
            event_types: types(&["a.b", "a.d"]),
            ..all()
        },
        &[ids[0], ids[2]],
    )
    .await;
    check(
        MessageFilter {
            event_types: types(&[]),
            ..all()
        },
        &[],
    )
    .await;
    let middle = ids[1].created_at();
    check(
        MessageFilter {
            before: Some(middle),
            ..all()
        },
        &ids[..1],
    )
    .await;
    check(
        MessageFilter {
            after: Some(middle),
            ..all()
        },
        &ids[2..],
    )
    .await;
    let just_before = middle.minus(Duration::from_millis(1));
    check(
        MessageFilter {
            after: Some(just_before),
            ..all()
        },
        &ids[1..],
    )
    .await;
}

pub(crate) async fn pages_messages(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(scene.accept(DeliveryStart::Owned, &[]).await);
    }
    let page = async |from| {
        let page = PageRequest {
            limit: 2,
            from,
            order: Order::Descending,
        };
        let found = store
            .messages(scene.app, MessageFilter::default(), page)
            .await
            .unwrap();
        let ids: Vec<_> = found.rows.iter().map(|m| m.id).collect();
        (ids, found.done)
    };
    assert_eq!(
        page(PageStart::Beginning).await,
        (vec![all[4], all[3]], false)
    );
    assert_eq!(
        page(PageStart::After(all[3])).await,
        (vec![all[2], all[1]], false)
    );
    assert_eq!(page(PageStart::After(all[1])).await, (vec![all[0]], true));
    assert_eq!(
        page(PageStart::Before(all[0])).await,
        (vec![all[2], all[1]], false)
    );
    assert_eq!(page(PageStart::Before(all[4])).await, (vec![], true));
}

pub(crate) async fn expunges_payloads(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let held = scene.accept(DeliveryStart::Held, &[endpoint]).await;
    let key = scene.owned(endpoint).await;
    let due = scene.now().plus(Duration::from_hours(9));
    scene
        .record(scene.finished(key, 1, Next::Retry { due, step: 1 }))
        .await;
    for message in [held, key.message] {
        store.expunge_message(scene.app, message).await.unwrap();
        let found = store
            .message(scene.app, &Reference::Id(message))
            .await
            .unwrap();
        assert_eq!(found.unwrap().payload, None);
    }
    // What is unfinished comes up, without anything to deliver.
    let pulled = store.pull_backlog(scene.app, endpoint, MANY).await.unwrap();
    let payloads: Vec<_> = pulled.iter().map(|c| c.payload.clone()).collect();
    assert_eq!(payloads, [None, None]);
    let missing = store.expunge_message(scene.app, scene.id()).await;
    assert!(matches!(missing, Err(ChangeError::NotFound)), "{missing:?}");
}

pub(crate) async fn finds_attempts(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let key = scene.owned(endpoint).await;
    let finished = scene.finished(key, 1, Next::End(Ended::Delivered));
    let attempt = finished.attempt.clone();
    scene.record(finished).await;
    let message = key.message;
    let found = store.attempt(scene.app, message, attempt.id).await.unwrap();
    assert_eq!(found, Some(attempt.clone()));
    let elsewhere = scene.application(org(), None).await;
    for (app, message, id) in [
        (elsewhere, message, attempt.id),
        (scene.app, scene.id(), attempt.id),
        (scene.app, message, scene.id()),
    ] {
        assert_eq!(store.attempt(app, message, id).await.unwrap(), None);
    }
}

pub(crate) async fn filters_attempts(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let (one, other) = (scene.endpoint().await, scene.endpoint().await);
    let message = {
        let mut message = scene.message(DeliveryStart::Owned, &[one, other]).await;
        message.tags = vec!["x".to_owned()];
        let id = message.id;
        store.accept(message).await.unwrap();
        id
    };
    let untagged = scene.owned(one).await;
    let mut ids = Vec::new();
    let due = scene.now();
    let retry = Next::Retry { due, step: 1 };
    let end = Next::End(Ended::Delivered);
    for (key, next, status_code) in [
        (
            DeliveryKey {
                message,
                endpoint: one,
            },
            end,
            Some(204),
        ),
        (
            DeliveryKey {
                message,
                endpoint: other,
            },
            retry,
            Some(503),
        ),
        (untagged, retry, None),
    ] {
        let mut finished = scene.finished(key, 1, next);
        finished.attempt.status_code = status_code;
        ids.push(finished.attempt.id);
        scene.record(finished).await;
        scene.later(SECOND);
    }
    let all = AttemptFilter::default;
    let (of_one, of_message) = (AttemptScope::Endpoint(one), AttemptScope::Message(message));
    let check = async |scope, filter, expect: &[AttemptId]| {
        let described = format!("{scope:?} {filter:?}");
        assert_eq!(attempts(&scene, scope, filter).await, expect, "{described}");
    };
    check(of_one, all(), &[ids[0], ids[2]]).await;
    check(of_message, all(), &ids[..2]).await;
    check(
        of_message,
        AttemptFilter {
            success: Some(true),
            ..all()
        },
        &ids[..1],
    )
    .await;
    check(
        of_message,
        AttemptFilter {
            success: Some(false),
            ..all()
        },
        &ids[1..2],
    )
    .await;
    let class = |class| AttemptFilter {
        status_code_class: Some(class),
        ..all()
    };
    check(of_message, class(500), &ids[1..2]).await;
    check(of_message, class(200), &ids[..1]).await;
    check(of_one, class(0), &ids[2..]).await;
    check(
        of_message,
        AttemptFilter {
            endpoint: Some(other),
            ..all()
        },
        &ids[1..2],
    )
    .await;
    let message_filter = |message| AttemptFilter { message, ..all() };
    let tag = MessageFilter {
        tag: Some("x".to_owned()),
        ..MessageFilter::default()
    };
    check(of_one, message_filter(tag), &ids[..1]).await;
    let after = Some(ids[0].created_at());
    let after = MessageFilter {
        after,
        ..MessageFilter::default()
    };
    check(of_one, message_filter(after), &ids[2..]).await;
}

pub(crate) async fn expunges_responses(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let key = scene.owned(endpoint).await;
    let finished = scene.finished(key, 1, Next::End(Ended::Delivered));
    let id = finished.attempt.id;
    scene.record(finished).await;
    store
        .expunge_attempt(scene.app, key.message, id)
        .await
        .unwrap();
    let found = store
        .attempt(scene.app, key.message, id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.facts.response_body, None);
    assert_eq!(found.facts.url, facts().url, "the rest stays");
    let missing = store
        .expunge_attempt(scene.app, key.message, scene.id())
        .await;
    assert!(matches!(missing, Err(ChangeError::NotFound)), "{missing:?}");
}

pub(crate) async fn merges_by_endpoint(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let mut expect = Vec::new();
    let due = scene.now().plus(Duration::from_hours(1));
    for round in 0..3 {
        for kind in 0..6 {
            let (message, status) = match kind {
                0 => (
                    DeliveryStart::Backlog,
                    DeliveryStatus::Pending(Pending::Backlog),
                ),
                1 => (DeliveryStart::Held, DeliveryStatus::Pending(Pending::Held)),
                2 => (
                    DeliveryStart::Owned,
                    DeliveryStatus::Pending(Pending::Owned),
                ),
                3 => (
                    DeliveryStart::Owned,
                    DeliveryStatus::Pending(Pending::Waiting { due }),
                ),
                4 => (
                    DeliveryStart::Owned,
                    DeliveryStatus::Ended(Ended::Delivered),
                ),
                _ => (DeliveryStart::Owned, DeliveryStatus::Ended(Ended::Parked)),
            };
            let message = scene.accept(message, &[endpoint]).await;
            let key = DeliveryKey { message, endpoint };
            match status {
                DeliveryStatus::Ended(ended) => scene.end(key, ended).await,
                DeliveryStatus::Pending(Pending::Waiting { due }) => {
                    let next = Next::Retry { due, step: 1 };
                    scene.record(scene.finished(key, round + 1, next)).await;
                }
                DeliveryStatus::Pending(_) => {}
            }
            expect.insert(0, (message, status));
        }
    }
    assert_eq!(scene.with_status(endpoint, None).await, expect);
    let check = async |filter, wanted: fn(&DeliveryStatus) -> bool| {
        let expect: Vec<_> = expect.iter().copied().filter(|(_, s)| wanted(s)).collect();
        assert_eq!(scene.with_status(endpoint, Some(filter)).await, expect);
    };
    check(MessageStatusFilter::Success, |s| {
        *s == DeliveryStatus::Ended(Ended::Delivered)
    })
    .await;
    check(MessageStatusFilter::Fail, |s| {
        *s == DeliveryStatus::Ended(Ended::Parked)
    })
    .await;
    check(MessageStatusFilter::Sending, |s| {
        *s == DeliveryStatus::Pending(Pending::Owned)
    })
    .await;
    check(
        MessageStatusFilter::Pending,
        |s| matches!(s, DeliveryStatus::Pending(p) if *p != Pending::Owned),
    )
    .await;
    let mut page = first_page(4, Order::Descending);
    let mut walked = Vec::new();
    loop {
        let filter = MessageFilter::default();
        let found = store
            .endpoint_messages(scene.app, endpoint, filter, None, page.clone())
            .await
            .unwrap();
        walked.extend(found.rows.iter().map(|row| (row.message.id, row.status)));
        if found.done {
            break;
        }
        page.from = PageStart::After(walked.last().unwrap().0);
    }
    assert_eq!(walked, expect);
    page.from = PageStart::Before(expect[5].0);
    let found = store
        .endpoint_messages(scene.app, endpoint, MessageFilter::default(), None, page)
        .await
        .unwrap();
    let back: Vec<_> = found.rows.iter().map(|row| row.message.id).collect();
    let ids: Vec<_> = expect[1..5].iter().map(|(id, _)| *id).collect();
    assert_eq!((back, found.done), (ids, false));
}

pub(crate) async fn lists_destinations(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let mut endpoints = Vec::new();
    for _ in 0..4 {
        endpoints.push(scene.endpoint().await);
    }
    let message = scene.accept(DeliveryStart::Owned, &endpoints[..3]).await;
    let key = DeliveryKey {
        message,
        endpoint: endpoints[1],
    };
    scene.end(key, Ended::Parked).await;
    let page = first_page(2, Order::Ascending);
    let first = store
        .destinations(scene.app, message, page.clone())
        .await
        .unwrap();
    let rows: Vec<_> = first
        .rows
        .iter()
        .map(|d| (d.endpoint.id, d.status))
        .collect();
    let owned = DeliveryStatus::Pending(Pending::Owned);
    let parked = DeliveryStatus::Ended(Ended::Parked);
    assert_eq!(rows, [(endpoints[0], owned), (endpoints[1], parked)]);
    assert!(!first.done);
    let page = PageRequest {
        from: PageStart::After(endpoints[1]),
        ..page
    };
    let second = store.destinations(scene.app, message, page).await.unwrap();
    assert_eq!((second.rows.len(), second.done), (1, true));
    assert_eq!(second.rows[0].endpoint.id, endpoints[2]);
}

pub(crate) async fn keeps_applications_apart(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let key = scene.owned(endpoint).await;
    let finished = scene.finished(key, 1, Next::End(Ended::Delivered));
    let attempt = finished.attempt.id;
    scene.record(finished).await;
    let other = scene.application(org(), None).await;
    let message = key.message;
    let up = Order::Ascending;
    let reference = Reference::Id(message);
    assert_eq!(store.message(other, &reference).await.unwrap(), None);
    let filter = MessageFilter::default;
    let found = store.messages(other, filter(), first_page(9, up)).await;
    assert_eq!(found.unwrap().rows, []);
    let found = store.endpoint_messages(other, endpoint, filter(), None, first_page(9, up));
    assert_eq!(found.await.unwrap().rows, []);
    let found = store.destinations(other, message, first_page(9, up)).await;
    assert_eq!(found.unwrap().rows, []);
    for scope in [
        AttemptScope::Endpoint(endpoint),
        AttemptScope::Message(message),
    ] {
        let filter = AttemptFilter::default();
        let found = store
            .attempts(other, scope, filter, first_page(9, up))
            .await;
        assert_eq!(found.unwrap().rows, []);
    }
    assert!(store.expunge_message(other, message).await.is_err());
    assert!(
        store
            .expunge_attempt(other, message, attempt)
            .await
            .is_err()
    );
    assert!(
        store
            .delete_endpoint(other, endpoint, scene.now())
            .await
            .is_err()
    );
    assert!(
        store
            .resend(other, key, None, scene.now(), None)
            .await
            .is_err()
    );
}
