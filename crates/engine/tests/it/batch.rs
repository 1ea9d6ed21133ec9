//! Endpoints that get several events in one request.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use hookseal_domain::delivery::batch::BatchRule;
use hookseal_domain::delivery::outcome::Outcome;
use hookseal_domain::delivery::priority::Priority;
use hookseal_domain::delivery::retry::RetrySchedule;
use hookseal_domain::delivery::{DeliveryKey, Ended, Pending};
use hookseal_domain::endpoint::{EndpointSpec, ParkOn};
use hookseal_domain::id::{EndpointId, MessageId};
use hookseal_domain::message::options::MessageOptions;
use hookseal_engine::config::EngineConfig;
use hookseal_store::inspect::DeliveryStatus;
use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::received::Received;
use hookseal_testkit::reply::Reply;
use hookseal_testkit::wait::until;

use crate::world::World;

const SECOND: Duration = Duration::from_secs(1);
const BACKLOG: DeliveryStatus = DeliveryStatus::Pending(Pending::Backlog);

fn ended(how: Ended) -> DeliveryStatus {
    DeliveryStatus::Ended(how)
}

fn rule(events: u16, wait: Duration) -> Option<BatchRule> {
    let wait_ms = u16::try_from(wait.as_millis()).unwrap();
    Some(BatchRule::new(events, wait_ms).unwrap())
}

/// Up to so many events, each for so long.
fn batch(events: u16, wait: Duration) -> impl FnOnce(&mut EndpointSpec) {
    move |spec| spec.discipline.batch = rule(events, wait)
}

/// A world whose deliveries are tried twice, the second time a second later.
async fn world_with(configure: impl FnOnce(&mut EngineConfig)) -> World {
    World::with(|config| {
        config.retry_schedule = RetrySchedule::try_new(vec![SECOND]).unwrap();
        configure(config);
    })
    .await
}

async fn world() -> World {
    world_with(|_| {}).await
}

/// Publishes so many; their payloads are their numbers.
async fn publish(world: &World, numbers: std::ops::Range<usize>) -> Vec<MessageId> {
    let mut messages = Vec::new();
    for number in numbers {
        messages.push(world.publish(&payload(number)).await);
    }
    messages
}

/// Not as serde would write it.
fn payload(number: usize) -> String {
    format!("{{ \"n\" :{number}}}")
}

fn events(request: &Received) -> Vec<Value> {
    serde_json::from_slice(&request.body).unwrap()
}

/// The messages of a request, in its order.
fn ids(request: &Received) -> Vec<String> {
    let id = |event: &Value| event["id"].as_str().unwrap().to_owned();
    events(request).iter().map(id).collect()
}

fn texts(messages: &[MessageId]) -> Vec<String> {
    messages.iter().map(ToString::to_string).collect()
}

/// How many events there were in each request.
fn sizes(requests: &[Received]) -> Vec<usize> {
    requests.iter().map(|one| events(one).len()).collect()
}

async fn become_all(world: &World, messages: &[MessageId], expect: DeliveryStatus) {
    for message in messages {
        world.status_becomes(*message, expect).await;
    }
}

/// Lets time pass until all have ended so.
async fn end_in_time(world: &World, messages: &[MessageId], how: Ended) {
    for message in messages {
        until("deliveries to end", async || {
            let status = world.status(*message).await;
            if status != Some(ended(how)) {
                world.clock.advance(SECOND * 10);
            }
            Ok((status == Some(ended(how))).then_some(()))
        })
        .await
        .unwrap();
    }
}

/// How many deliveries wait in memory, once it is so.
async fn waiting_in_memory(world: &World, endpoint: EndpointId, count: usize) {
    until("deliveries to wait", async || {
        let pace = world.engine.pace(endpoint).unwrap_or_default();
        Ok((pace.waiting == count && pace.in_flight == 0).then_some(()))
    })
    .await
    .unwrap();
}

fn refusing(messages: &[MessageId], status: u16) -> Reply {
    let events = messages
        .iter()
        .map(|id| json!({"id": id.to_string(), "status": status, "error": "not today"}));
    let body = json!({"events": events.collect::<Vec<_>>()});
    Reply::status(200).body(body.to_string())
}

#[tokio::test]
async fn a_full_batch_leaves_at_once() {
    let world = world().await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    world
        .endpoint_with(&hook.url(), batch(5, SECOND * 60))
        .await;
    let messages = publish(&world, 0..5).await;
    let request = hook.receives_one().await.unwrap();
    assert_eq!(
        ids(&request),
        texts(&messages),
        "in the order of publishing"
    );
    let first = json!({"id": messages[0].to_string(), "type": "invoice.paid",
        "timestamp": messages[0].created_at().to_string(), "data": {"n": 0}});
    assert_eq!(events(&request)[0], first);
    let text = String::from_utf8(request.body.to_vec()).unwrap();
    for number in 0..5 {
        assert!(
            text.contains(&payload(number)),
            "as it was published: {text}"
        );
    }
    become_all(&world, &messages, ended(Ended::Delivered)).await;
    for message in &messages {
        let attempts = world.attempts(*message, 1).await;
        assert_eq!((attempts.len(), attempts[0].number), (1, 1));
        assert_eq!(attempts[0].status_code, Some(200));
        let batch = attempts[0].facts.batch.as_deref();
        assert_eq!(batch, Some(request.webhook_id()));
    }
    assert_eq!(world.metric("hookseal_batches_total"), Some(1.0));
    let attempts = world.metric(r#"hookseal_attempts_total{outcome="accepted"}"#);
    assert_eq!(attempts, Some(5.0));
}

#[tokio::test]
async fn what_waits_leaves_when_the_oldest_has_waited_long_enough() {
    let world = world().await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), batch(100, SECOND * 10))
        .await;
    let first = publish(&world, 0..3).await;
    waiting_in_memory(&world, endpoint, 3).await;
    world.clock.advance(SECOND * 6);
    let second = publish(&world, 3..5).await;
    waiting_in_memory(&world, endpoint, 5).await;
    assert_eq!(hook.received().len(), 0);
    // A few milliseconds more: ids that were made at once borrow them.
    world.clock.advance(SECOND * 4 + Duration::from_millis(5));
    let request = hook.receives_one().await.unwrap();
    assert_eq!(ids(&request), texts(&[first, second].concat()));
    // One that comes later begins anew.
    let later = publish(&world, 5..6).await;
    waiting_in_memory(&world, endpoint, 1).await;
    world.clock.advance(SECOND * 9);
    assert_eq!(hook.received().len(), 1);
    world.clock.advance(SECOND * 2);
    let requests = hook.receives(2).await.unwrap();
    assert_eq!(ids(&requests[1]), texts(&later), "an array even of one");
}

#[tokio::test]
async fn without_a_wait_whatever_is_there_goes_together() {
    let world = world_with(|config| config.in_flight_per_endpoint_max = 1).await;
    let slow = Reply::status(200).after(Duration::from_millis(500));
    let hook = FakeEndpoint::plain([slow, 200.into()]).await.unwrap();
    world
        .endpoint_with(&hook.url(), batch(10, Duration::ZERO))
        .await;
    publish(&world, 0..1).await;
    hook.receives(1).await.unwrap();
    let messages = publish(&world, 1..24).await;
    become_all(&world, &messages, ended(Ended::Delivered)).await;
    assert_eq!(sizes(&hook.received()), [1, 10, 10, 3]);
}

#[tokio::test]
async fn only_those_that_the_receiver_refuses_come_again() {
    let world = world().await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), |spec| {
            batch(6, SECOND * 30)(spec);
            spec.park_on = ParkOn::parse(&[422]).unwrap();
        })
        .await;
    let messages = publish(&world, 0..5).await;
    waiting_in_memory(&world, endpoint, 5).await;
    let [one, two, three, gone, parked] = messages[..] else {
        panic!("five");
    };
    let said = json!({"events": [
        {"id": one.to_string(), "status": 200},
        {"id": two.to_string(), "status": 503, "error": "later"},
        {"id": gone.to_string(), "status": 410},
        {"id": parked.to_string(), "status": 422, "error": "no such user"},
    ]});
    hook.reply_with([Reply::status(200).body(said.to_string()), 200.into()]);
    let six = publish(&world, 5..6).await[0];
    become_all(&world, &[one, three, six], ended(Ended::Delivered)).await;
    world.status_becomes(parked, ended(Ended::Parked)).await;
    let due = world.engine.now().plus(SECOND);
    let waiting = DeliveryStatus::Pending(Pending::Waiting { due });
    become_all(&world, &[two, gone], waiting).await;
    let stored = world.stored_endpoint(endpoint).await;
    assert_eq!(stored.switched_off, None, "410 was about the event");

    let refused = world.attempts(two, 1).await.remove(0);
    assert_eq!(refused.outcome, Outcome::Retry);
    assert_eq!(refused.status_code, Some(503));
    let kept = refused.facts.response_body.unwrap();
    let kept: Value = serde_json::from_slice(&kept).unwrap();
    assert_eq!(kept["error"], "later");

    // They are due together, and wait for others again.
    world.clock.advance(SECOND);
    waiting_in_memory(&world, endpoint, 2).await;
    world.clock.advance(SECOND * 30);
    become_all(&world, &[two, gone], ended(Ended::Delivered)).await;
    let requests = hook.received();
    assert_eq!(requests.len(), 2);
    assert_eq!(ids(&requests[1]), texts(&[two, gone]));
    assert_ne!(requests[0].webhook_id(), requests[1].webhook_id());
    assert_eq!(world.attempts(two, 2).await[1].number, 2);
}

#[tokio::test]
async fn what_comes_again_goes_together_with_what_is_new() {
    let world = world().await;
    let hook = FakeEndpoint::plain([500, 200]).await.unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), batch(3, SECOND * 30))
        .await;
    let failed = publish(&world, 0..3).await;
    for message in &failed {
        let attempt = world.attempts(*message, 1).await.remove(0);
        assert_eq!(attempt.outcome, Outcome::Retry, "the answer is of all");
    }
    world.update_endpoint(endpoint, batch(5, SECOND * 30)).await;
    world.clock.advance(SECOND);
    waiting_in_memory(&world, endpoint, 3).await;
    let new = publish(&world, 3..5).await;
    let all = [failed, new].concat();
    become_all(&world, &all, ended(Ended::Delivered)).await;
    let requests = hook.received();
    assert_eq!(ids(&requests[1]), texts(&all));
    let status = world.metric(r#"hookseal_deliveries_ended_total{ended="delivered"}"#);
    assert_eq!(status, Some(5.0));
}

#[tokio::test]
async fn an_answer_that_says_nothing_of_events_accepts_all() {
    let world = world().await;
    for body in ["", "ok", "{\"events\": \"fine\"}", "{\"events\": [{}, 7]}"] {
        let hook = FakeEndpoint::plain([Reply::status(202).body(body)]).await;
        let hook = hook.unwrap();
        let endpoint = world.endpoint_with(&hook.url(), batch(2, SECOND)).await;
        let messages = publish(&world, 0..2).await;
        hook.receives(1).await.unwrap();
        become_all(&world, &messages, ended(Ended::Delivered)).await;
        let disable = |spec: &mut EndpointSpec| spec.disabled = true;
        world.update_endpoint(endpoint, disable).await;
        let delete = world
            .store
            .delete_endpoint(world.app, endpoint, world.engine.now());
        delete.await.unwrap();
        world.engine.application_changed(world.app);
    }
}

#[tokio::test]
async fn all_of_a_large_batch_can_be_refused_one_by_one() {
    let world = world_with(|config| {
        config.window_deliveries_max = 2000;
        config.window_bytes_max = 8 << 20;
    })
    .await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), batch(1000, SECOND * 60))
        .await;
    let messages = publish(&world, 0..1000).await;
    // They left; which ones those are was not known before.
    let request = hook.receives_one().await.unwrap();
    assert_eq!(events(&request).len(), 1000);
    world
        .status_becomes(messages[999], ended(Ended::Delivered))
        .await;

    let again = |id: &MessageId| format!(r#"{{"id":"{id}","status":500}}"#);
    let all: Vec<_> = messages.iter().map(again).collect();
    let said = format!(r#"{{"events":[{}]}}"#, all.join(","));
    assert!(said.len() > 50_000, "{}", said.len());
    let cut_off = format!("{said}{}", " ".repeat(80_000));
    hook.reply_with([
        Reply::status(200).body(said),
        Reply::status(200).body(cut_off[..cut_off.len() - 1].replace("]}", "  ")),
        200.into(),
    ]);
    for message in &messages {
        let key = DeliveryKey {
            message: *message,
            endpoint,
        };
        world.engine.resend(world.app, key, None).await.unwrap();
    }
    hook.receives(2).await.unwrap();
    let due = world.engine.now().plus(SECOND);
    let waiting = DeliveryStatus::Pending(Pending::Waiting { due });
    become_all(&world, &[messages[0], messages[999]], waiting).await;
    world.clock.advance(SECOND);
    // The last bytes of what it says then are not read.
    hook.receives(3).await.unwrap();
    for message in [messages[0], messages[999]] {
        let attempt = world.attempts(message, 3).await.remove(2);
        assert_eq!(
            (attempt.outcome, attempt.status_code),
            (Outcome::Retry, Some(200))
        );
        assert!(
            attempt
                .facts
                .reason
                .unwrap()
                .contains("not all of its answer")
        );
    }
}

#[tokio::test]
async fn a_receiver_that_fails_fails_for_all() {
    let world = world().await;
    let hook = FakeEndpoint::plain([Reply::status(503).header("retry-after", "5")]).await;
    let hook = hook.unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), batch(3, SECOND * 60))
        .await;
    let messages = publish(&world, 0..3).await;
    let due = world.engine.now().plus(SECOND);
    let waiting = DeliveryStatus::Pending(Pending::Waiting { due });
    become_all(&world, &messages, waiting).await;
    let pushed_back = world.engine.pace(endpoint).unwrap().push_back.unwrap();
    let until = world.engine.now().plus(SECOND * 5);
    assert_eq!(pushed_back.until, until, "the endpoint is left alone");
    hook.reply_with([410]);
    end_in_time(&world, &messages, Ended::Gone).await;
    let stored = world.stored_endpoint(endpoint).await;
    assert!(stored.switched_off.is_some());
    assert_eq!(sizes(&hook.received()), [3, 3]);
}

#[tokio::test]
async fn the_urgent_takes_along_whatever_waits() {
    let world = world().await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), batch(10, SECOND * 60))
        .await;
    let mut messages = publish(&world, 0..2).await;
    waiting_in_memory(&world, endpoint, 2).await;
    let urgent = MessageOptions {
        priority: Priority::High,
        ..MessageOptions::default()
    };
    messages.push(world.publish_as(urgent, "{}").await);
    let request = hook.receives_one().await.unwrap();
    assert_eq!(ids(&request), texts(&messages));
}

#[tokio::test]
async fn what_would_expire_leaves_before() {
    let world = world().await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), batch(10, SECOND * 60))
        .await;
    let until = |after| MessageOptions {
        expires_at: Some(world.engine.now().plus(after)),
        ..MessageOptions::default()
    };
    let long = world.publish("{}").await;
    let short = world.publish_as(until(SECOND * 5), "{}").await;
    waiting_in_memory(&world, endpoint, 2).await;
    world.clock.advance(SECOND * 4);
    let request = hook.receives_one().await.unwrap();
    assert_eq!(ids(&request), texts(&[long, short]));

    // What nobody came to in time is left out.
    let long = world.publish("{}").await;
    let short = world.publish_as(until(SECOND * 5), "{}").await;
    waiting_in_memory(&world, endpoint, 2).await;
    world.clock.advance(SECOND * 60);
    world.status_becomes(long, ended(Ended::Delivered)).await;
    world
        .status_becomes(short, ended(Ended::MessageExpired))
        .await;
    let attempt = world.attempts(short, 1).await.remove(0);
    assert_eq!(attempt.outcome, Outcome::Unsendable);
    assert_eq!(attempt.facts.batch, None);
    assert_eq!(ids(&hook.received()[1]), texts(&[long]));
}

#[tokio::test]
async fn an_endpoint_that_is_changed_while_they_wait_gets_them_as_it_is_then() {
    let world = world().await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), batch(10, SECOND * 60))
        .await;
    let messages = publish(&world, 0..3).await;
    waiting_in_memory(&world, endpoint, 3).await;
    world
        .update_endpoint(endpoint, |spec| spec.disabled = true)
        .await;
    let held = DeliveryStatus::Pending(Pending::Held);
    become_all(&world, &messages, held).await;
    world
        .update_endpoint(endpoint, |spec| spec.disabled = false)
        .await;
    world.engine.backlog_changed(world.app, endpoint);
    waiting_in_memory(&world, endpoint, 3).await;
    world
        .update_endpoint(endpoint, |spec| spec.discipline.batch = None)
        .await;
    become_all(&world, &messages, ended(Ended::Delivered)).await;
    let requests = hook.received();
    let each: BTreeSet<_> = requests
        .iter()
        .map(|one| one.webhook_id().to_owned())
        .collect();
    assert_eq!(each, texts(&messages).into_iter().collect(), "one by one");
    for request in &requests {
        assert!(request.body.starts_with(b"{ \"n\""), "not as an array");
    }
}

#[tokio::test]
async fn a_deleted_endpoint_ends_what_waits() {
    let world = world().await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), batch(10, SECOND * 60))
        .await;
    let messages = publish(&world, 0..3).await;
    waiting_in_memory(&world, endpoint, 3).await;
    let delete = world
        .store
        .delete_endpoint(world.app, endpoint, world.engine.now());
    delete.await.unwrap();
    world.engine.application_changed(world.app);
    for message in messages {
        let attempt = world.attempts(message, 1).await.remove(0);
        assert_eq!(attempt.ended, Some(Ended::EndpointDeleted));
    }
    assert_eq!(hook.received().len(), 0);
}

#[tokio::test]
async fn what_is_resent_while_it_waits_comes_once() {
    let world = world().await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), batch(10, SECOND * 60))
        .await;
    let messages = publish(&world, 0..2).await;
    waiting_in_memory(&world, endpoint, 2).await;
    let key = DeliveryKey {
        message: messages[0],
        endpoint,
    };
    for _ in 0..5 {
        world.engine.resend(world.app, key, None).await.unwrap();
        waiting_in_memory(&world, endpoint, 2).await;
    }
    world.clock.advance(SECOND * 60);
    become_all(&world, &messages, ended(Ended::Delivered)).await;
    assert_eq!(sizes(&hook.received()), [2]);
}

#[tokio::test]
async fn a_pause_gives_up_what_waits() {
    let world = world_with(|config| config.in_flight_per_endpoint_max = 1).await;
    let hook = FakeEndpoint::plain([500]).await.unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), batch(2, SECOND * 60))
        .await;
    // Each failure is one of the endpoint, however many events there were.
    let mut failed = 0;
    let breaker = || world.engine.breaker(endpoint);
    while breaker().is_none_or(|breaker| breaker.pause().is_none()) {
        publish(&world, 0..2).await;
        failed += 1;
        hook.receives(failed).await.unwrap();
        waiting_in_memory(&world, endpoint, 0).await;
        assert!(failed < 50);
    }
    let waiting = publish(&world, 0..1).await;
    assert_eq!(world.status(waiting[0]).await, Some(BACKLOG));
    hook.reply_with([200]);
    world.clock.advance(SECOND * 60);
    end_in_time(&world, &waiting, Ended::Delivered).await;
    assert_eq!(breaker().and_then(|breaker| breaker.pause()), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_beside_the_first_after_a_pause_does_not_wait_for_ever() {
    let world = world_with(|config| {
        config.in_flight_per_endpoint_max = 1;
        config.retry_schedule = RetrySchedule::try_new(Vec::new()).unwrap();
    })
    .await;
    let hook = FakeEndpoint::plain([500]).await.unwrap();
    let endpoint = world.endpoint_with(&hook.url(), batch(10, SECOND)).await;
    let breaker = || world.engine.breaker(endpoint);
    while breaker().is_none_or(|breaker| breaker.pause().is_none()) {
        let failed = publish(&world, 0..1).await;
        end_in_time(&world, &failed, Ended::Exhausted).await;
    }
    hook.reply_with([Reply::status(200).after(SECOND / 20)]);
    world.clock.advance(SECOND * 60);
    // Both find that one may try, and the second comes while the first does.
    let (one, other) = (payload(1), payload(2));
    let (one, other) = tokio::join!(world.publish(&one), world.publish(&other));
    end_in_time(&world, &[one, other], Ended::Delivered).await;
}

#[tokio::test]
async fn a_new_process_goes_on_with_what_waited() {
    let world = world().await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), batch(10, SECOND * 60))
        .await;
    let messages = publish(&world, 0..7).await;
    waiting_in_memory(&world, endpoint, 7).await;
    let world = world.restart().await;
    waiting_in_memory(&world, endpoint, 7).await;
    assert_eq!(hook.received().len(), 0, "a stop sends nothing");
    world.clock.advance(SECOND * 60);
    become_all(&world, &messages, ended(Ended::Delivered)).await;
    assert_eq!(sizes(&hook.received()), [7]);
}

#[tokio::test]
async fn a_process_that_dies_with_a_batch_under_way_sends_it_again() {
    let world = world().await;
    let never = Reply::status(200).after(SECOND * 100);
    let hook = FakeEndpoint::plain([never, 200.into()]).await.unwrap();
    world
        .endpoint_with(&hook.url(), batch(3, SECOND * 60))
        .await;
    let messages = publish(&world, 0..3).await;
    hook.receives(1).await.unwrap();
    let world = world.restart().await;
    end_in_time(&world, &messages, Ended::Delivered).await;
    let requests = hook.received();
    assert_eq!(requests.len(), 2);
    for request in &requests {
        assert_eq!(ids(request), texts(&messages));
    }
}

#[tokio::test]
async fn a_batch_that_panics_comes_again() {
    let world = world().await;
    let hook = FakeEndpoint::plain([500, 200]).await.unwrap();
    let endpoint = world.endpoint_with(&hook.url(), batch(3, SECOND)).await;
    world.random.panic_next();
    let messages = publish(&world, 0..3).await;
    for message in &messages {
        let attempt = world.attempts(*message, 1).await.remove(0);
        assert_eq!(attempt.outcome, Outcome::Internal);
    }
    world.clock.advance(SECOND);
    become_all(&world, &messages, ended(Ended::Delivered)).await;
    waiting_in_memory(&world, endpoint, 0).await;
}

#[tokio::test]
async fn what_finds_no_room_does_not_wait_for_what_can_not_come() {
    let world = world_with(|config| config.window_deliveries_max = 8).await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    world
        .endpoint_with(&hook.url(), batch(100, SECOND * 60))
        .await;
    let messages = publish(&world, 0..50).await;
    until("all but the last few", async || {
        let sent: usize = sizes(&hook.received()).into_iter().sum();
        Ok((sent >= 40).then_some(()))
    })
    .await
    .unwrap();
    end_in_time(&world, &messages, Ended::Delivered).await;
    let sizes = sizes(&hook.received());
    assert!(sizes.iter().all(|size| (1..=8).contains(size)), "{sizes:?}");
    assert_eq!(sizes.iter().sum::<usize>(), 50);
}

#[tokio::test]
async fn a_rate_counts_requests() {
    let world = world().await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), |spec| {
            batch(2, SECOND * 60)(spec);
            spec.throttle_rate = Some(1);
        })
        .await;
    let messages = publish(&world, 0..6).await;
    hook.receives(1).await.unwrap();
    for count in 2..=3 {
        waiting_in_memory(&world, endpoint, 8 - 2 * count).await;
        world.clock.advance(SECOND * 2);
        hook.receives(count).await.unwrap();
    }
    become_all(&world, &messages, ended(Ended::Delivered)).await;
    assert_eq!(sizes(&hook.received()), [2, 2, 2]);
}

#[tokio::test]
async fn a_refused_event_is_a_dead_letter_in_the_end() {
    let world = world().await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let endpoint = world.endpoint_with(&hook.url(), batch(9, SECOND)).await;
    let messages = publish(&world, 0..2).await;
    waiting_in_memory(&world, endpoint, 2).await;
    hook.reply_with([refusing(&messages[..1], 500)]);
    end_in_time(&world, &messages[..1], Ended::Exhausted).await;
    end_in_time(&world, &messages[1..], Ended::Delivered).await;
    assert_eq!(sizes(&hook.received()), [2, 1]);
}
