//! Endpoints that get one delivery after the other, in the order of acceptance.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use hookseal_domain::delivery::outcome::Outcome;
use hookseal_domain::delivery::retry::RetrySchedule;
use hookseal_domain::delivery::{DeliveryKey, Ended, Pending};
use hookseal_domain::endpoint::EndpointSpec;
use hookseal_domain::endpoint::order::{OnExhausted, Order, OrderKey};
use hookseal_domain::id::{EndpointId, MessageId};
use hookseal_domain::message::options::MessageOptions;
use hookseal_engine::publish::PublishHeaders;
use hookseal_store::inspect::DeliveryStatus;
use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::reply::Reply;
use hookseal_testkit::wait::until;

use crate::world::World;

const ENDED: fn(Ended) -> DeliveryStatus = DeliveryStatus::Ended;
const BLOCKED: DeliveryStatus = DeliveryStatus::Pending(Pending::Blocked);

fn ordered(key: OrderKey, exhausted: OnExhausted) -> impl FnOnce(&mut EndpointSpec) {
    move |spec| spec.discipline.order = Order::Accepted { key, exhausted }
}

fn in_one_order(exhausted: OnExhausted) -> impl FnOnce(&mut EndpointSpec) {
    ordered(OrderKey::Endpoint, exhausted)
}

fn by_user() -> impl FnOnce(&mut EndpointSpec) {
    ordered(OrderKey::pointer("/user").unwrap(), OnExhausted::Block)
}

/// A world whose deliveries are tried twice, the second time a second later.
async fn world_of_two_attempts() -> World {
    World::with(|config| {
        config.retry_schedule = RetrySchedule::try_new(vec![Duration::from_secs(1)]).unwrap();
    })
    .await
}

fn bodies(hook: &FakeEndpoint) -> Vec<String> {
    let received = hook.received();
    let bodies = received.iter().map(|r| String::from_utf8_lossy(&r.body));
    bodies.map(std::borrow::Cow::into_owned).collect()
}

/// Publishes so many; their bodies are their numbers.
async fn publish(world: &World, numbers: std::ops::Range<usize>) -> Vec<MessageId> {
    let mut messages = Vec::new();
    for number in numbers {
        messages.push(world.publish(&number.to_string()).await);
    }
    messages
}

fn numbers(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|n| n.to_string()).collect()
}

fn delivery(message: MessageId, endpoint: EndpointId) -> DeliveryKey {
    DeliveryKey { message, endpoint }
}

async fn waits(world: &World, message: MessageId) {
    let due = world.engine.now().plus(Duration::from_secs(1));
    let waiting = DeliveryStatus::Pending(Pending::Waiting { due });
    world.status_becomes(message, waiting).await;
}

async fn delivered(world: &World, message: MessageId) {
    world.status_becomes(message, ENDED(Ended::Delivered)).await;
}

#[tokio::test]
async fn deliveries_arrive_one_after_the_other() {
    let world = World::new().await;
    let replies = (0..300).map(|n| Reply::status(200).after(Duration::from_millis(n % 3)));
    let hook = FakeEndpoint::plain(replies).await.unwrap();
    world
        .endpoint_with(&hook.url(), in_one_order(OnExhausted::Block))
        .await;
    publish(&world, 0..300).await;
    hook.receives(300).await.unwrap();
    assert_eq!(bodies(&hook), numbers(0..300));
    assert_eq!(hook.connections().opened, 1, "one at a time");
}

#[tokio::test]
async fn the_others_wait_for_one_that_fails() {
    let world = world_of_two_attempts().await;
    let hook = FakeEndpoint::plain([200, 500, 200]).await.unwrap();
    world
        .endpoint_with(&hook.url(), in_one_order(OnExhausted::Block))
        .await;
    let messages = publish(&world, 0..5).await;
    waits(&world, messages[1]).await;
    let more = publish(&world, 5..8).await;
    assert_eq!(bodies(&hook), numbers(0..2));
    world.clock.advance(Duration::from_secs(1));
    delivered(&world, more[2]).await;
    assert_eq!(bodies(&hook), numbers([0, 1, 1, 2, 3, 4, 5, 6, 7]));
}

#[tokio::test]
async fn an_exhausted_one_blocks_until_it_is_resent() {
    let world = world_of_two_attempts().await;
    let hook = FakeEndpoint::plain([500]).await.unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), in_one_order(OnExhausted::Block))
        .await;
    let messages = publish(&world, 0..3).await;
    waits(&world, messages[0]).await;
    world.clock.advance(Duration::from_secs(1));
    world.status_becomes(messages[0], BLOCKED).await;
    let heads = world
        .store
        .order_heads(world.app, endpoint, 10)
        .await
        .unwrap();
    assert_eq!((heads[0].message, heads[0].behind), (messages[0], 2));

    hook.reply_with([200]);
    let key = delivery(messages[0], endpoint);
    world.engine.resend(world.app, key, None).await.unwrap();
    delivered(&world, messages[2]).await;
    assert_eq!(bodies(&hook), numbers([0, 0, 0, 1, 2]));
}

#[tokio::test]
async fn what_expires_behind_a_blocked_one_ends_and_the_others_wait_on() {
    let world = world_of_two_attempts().await;
    let hook = FakeEndpoint::plain([500]).await.unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), in_one_order(OnExhausted::Block))
        .await;
    let first = publish(&world, 0..1).await[0];
    waits(&world, first).await;
    world.clock.advance(Duration::from_secs(1));
    world.status_becomes(first, BLOCKED).await;
    let options = MessageOptions {
        expires_at: Some(world.engine.now().plus(Duration::from_secs(60))),
        ..MessageOptions::default()
    };
    let expires = world.publish_as(options, "1").await;
    let last = publish(&world, 2..3).await[0];
    world.clock.advance(Duration::from_secs(60));
    world
        .status_becomes(expires, ENDED(Ended::MessageExpired))
        .await;
    world.status_becomes(first, BLOCKED).await;
    assert_eq!(bodies(&hook), numbers([0, 0]));
    let heads = world.store.order_heads(world.app, endpoint, 10).await;
    let heads = heads.unwrap();
    assert_eq!((heads[0].message, heads[0].behind), (first, 1));

    hook.reply_with([200]);
    let key = delivery(first, endpoint);
    world.engine.resend(world.app, key, None).await.unwrap();
    delivered(&world, last).await;
    assert_eq!(bodies(&hook), numbers([0, 0, 0, 2]));
}

#[tokio::test]
async fn an_exhausted_one_is_left_where_the_endpoint_says_so() {
    let world = world_of_two_attempts().await;
    let hook = FakeEndpoint::plain([500, 500, 200]).await.unwrap();
    world
        .endpoint_with(&hook.url(), in_one_order(OnExhausted::MoveOn))
        .await;
    let messages = publish(&world, 0..2).await;
    waits(&world, messages[0]).await;
    world.clock.advance(Duration::from_secs(1));
    delivered(&world, messages[1]).await;
    world
        .status_becomes(messages[0], ENDED(Ended::Exhausted))
        .await;
    assert_eq!(bodies(&hook), numbers([0, 0, 1]));
}

#[tokio::test]
async fn a_skipped_one_is_never_tried_again_and_the_others_go_on() {
    let world = world_of_two_attempts().await;
    let slow = Reply::status(500).after(Duration::from_millis(300));
    let hook = FakeEndpoint::plain([slow, 200.into()]).await.unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), in_one_order(OnExhausted::Block))
        .await;
    let messages = publish(&world, 0..4).await;
    hook.receives(1).await.unwrap();
    // The first is under way, the third in memory behind it.
    for message in [messages[0], messages[2]] {
        let key = delivery(message, endpoint);
        world.engine.skip(world.app, key).await.unwrap();
    }
    delivered(&world, messages[3]).await;
    assert_eq!(bodies(&hook), numbers([0, 1, 3]));
    for message in [messages[0], messages[2]] {
        let skipped = ENDED(Ended::Skipped);
        assert_eq!(world.status(message).await, Some(skipped));
    }
}

#[tokio::test]
async fn one_that_is_resent_while_it_is_tried_keeps_its_place() {
    let world = world_of_two_attempts().await;
    let slow = Reply::status(200).after(Duration::from_millis(300));
    let hook = FakeEndpoint::plain([slow, 200.into()]).await.unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), in_one_order(OnExhausted::Block))
        .await;
    let messages = publish(&world, 0..3).await;
    hook.receives(1).await.unwrap();
    for message in [messages[1], messages[0]] {
        let key = delivery(message, endpoint);
        world.engine.resend(world.app, key, None).await.unwrap();
    }
    delivered(&world, messages[2]).await;
    assert_eq!(bodies(&hook), numbers([0, 0, 1, 2]));
}

#[tokio::test]
async fn a_finished_one_that_is_resent_comes_last() {
    let world = World::new().await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), in_one_order(OnExhausted::Block))
        .await;
    let first = publish(&world, 0..1).await[0];
    delivered(&world, first).await;
    hook.reply_with([
        Reply::status(200).after(Duration::from_millis(200)),
        200.into(),
    ]);
    publish(&world, 1..3).await;
    let key = delivery(first, endpoint);
    world.engine.resend(world.app, key, None).await.unwrap();
    hook.receives(4).await.unwrap();
    assert_eq!(bodies(&hook), numbers([0, 1, 2, 0]));
}

#[tokio::test]
async fn keys_do_not_wait_for_each_other() {
    let world = world_of_two_attempts().await;
    let hook = FakeEndpoint::plain([500, 200]).await.unwrap();
    world.endpoint_with(&hook.url(), by_user()).await;
    let body = |user: &str, n: usize| format!(r#"{{"user": "{user}", "n": {n}}}"#);
    let a0 = world.publish(&body("a", 0)).await;
    waits(&world, a0).await;
    let a1 = world.publish(&body("a", 1)).await;
    let b0 = world.publish(&body("b", 0)).await;
    let none = world.publish("{}").await;
    delivered(&world, b0).await;
    delivered(&world, none).await;
    let backlog = DeliveryStatus::Pending(Pending::Backlog);
    assert_eq!(world.status(a1).await, Some(backlog));
    world.clock.advance(Duration::from_secs(1));
    delivered(&world, a1).await;
    let of_a: Vec<_> = bodies(&hook)
        .into_iter()
        .filter(|body| body.contains(r#""a""#))
        .collect();
    assert_eq!(of_a, [body("a", 0), body("a", 0), body("a", 1)]);
}

#[tokio::test]
async fn a_header_can_be_the_key() {
    let world = world_of_two_attempts().await;
    let hook = FakeEndpoint::plain([500, 200]).await.unwrap();
    let key = OrderKey::header("X-Customer").unwrap();
    world
        .endpoint_with(&hook.url(), ordered(key, OnExhausted::Block))
        .await;
    let publish = async |body: &str, customer: &'static str| {
        let value = HeaderValue::from_static(customer);
        let headers = HeaderMap::from_iter([("x-customer".parse().unwrap(), value)]);
        let published = world
            .publish_with(body, None, PublishHeaders::new(headers))
            .await;
        published.unwrap().id
    };
    let first = publish("1", "a").await;
    waits(&world, first).await;
    publish("2", "a").await;
    let other = publish("3", "b").await;
    delivered(&world, other).await;
    assert_eq!(bodies(&hook), numbers([1, 3]));
}

#[tokio::test]
async fn what_was_accepted_before_keeps_what_it_had() {
    let world = world_of_two_attempts().await;
    let hook = FakeEndpoint::plain([500, 200]).await.unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), in_one_order(OnExhausted::Block))
        .await;
    let before = publish(&world, 0..2).await;
    waits(&world, before[0]).await;
    world
        .update_endpoint(endpoint, |spec| spec.discipline.order = Order::Any)
        .await;
    let after = publish(&world, 2..3).await;
    delivered(&world, after[0]).await;
    assert_eq!(bodies(&hook), numbers([0, 2]));
    world.clock.advance(Duration::from_secs(1));
    delivered(&world, before[1]).await;
    assert_eq!(bodies(&hook), numbers([0, 2, 0, 1]));
}

#[tokio::test]
async fn an_attempt_that_panics_holds_up_nobody_for_ever() {
    let world = world_of_two_attempts().await;
    let hook = FakeEndpoint::plain([500, 200]).await.unwrap();
    world
        .endpoint_with(&hook.url(), in_one_order(OnExhausted::Block))
        .await;
    // What comes after the first answer draws bits.
    world.random.panic_next();
    let messages = publish(&world, 0..3).await;
    waits(&world, messages[0]).await;
    assert_eq!(bodies(&hook), numbers([0]));
    world.clock.advance(Duration::from_secs(1));
    delivered(&world, messages[2]).await;
    assert_eq!(bodies(&hook), numbers([0, 0, 1, 2]));
    let attempts = world.attempts(messages[0], 2).await;
    let outcomes: Vec<_> = attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [Outcome::Internal, Outcome::Accepted]);
}

#[tokio::test]
async fn a_new_process_goes_on_in_order() {
    let world = World::new().await;
    let slow = Reply::status(200).after(Duration::from_millis(300));
    let hook = FakeEndpoint::plain([slow, 200.into()]).await.unwrap();
    world
        .endpoint_with(&hook.url(), in_one_order(OnExhausted::Block))
        .await;
    publish(&world, 0..100).await;
    hook.receives(1).await.unwrap();
    let world = world.restart().await;
    let last = publish(&world, 100..101).await[0];
    delivered(&world, last).await;
    let mut bodies = bodies(&hook);
    bodies.dedup();
    assert_eq!(bodies, numbers(0..101));
}

#[tokio::test]
async fn a_disabled_endpoint_goes_on_in_order() {
    let world = World::new().await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), in_one_order(OnExhausted::Block))
        .await;
    world
        .update_endpoint(endpoint, |spec| spec.disabled = true)
        .await;
    publish(&world, 0..3).await;
    world
        .update_endpoint(endpoint, |spec| spec.disabled = false)
        .await;
    world.engine.backlog_changed(world.app, endpoint);
    publish(&world, 3..5).await;
    hook.receives(5).await.unwrap();
    assert_eq!(bodies(&hook), numbers(0..5));
}

#[tokio::test]
async fn nothing_overtakes_what_finds_no_room() {
    let world = World::with(|config| {
        config.window_deliveries_max = 2;
        config.window_bytes_max = 4000;
    })
    .await;
    let slow = (0..60).map(|n| Reply::status(200).after(Duration::from_millis(n % 4)));
    let hook = FakeEndpoint::plain(slow).await.unwrap();
    world
        .endpoint_with(&hook.url(), in_one_order(OnExhausted::Block))
        .await;
    let body = |n: usize| format!(r#"{{"n": {n}, "x": "{}"}}"#, "y".repeat(n % 7 * 400));
    for n in 0..60 {
        world.publish(&body(n)).await;
    }
    until("all", async || {
        Ok((hook.received().len() >= 60).then_some(()))
    })
    .await
    .unwrap();
    let expect: Vec<_> = (0..60).map(body).collect();
    assert_eq!(bodies(&hook), expect);
}
