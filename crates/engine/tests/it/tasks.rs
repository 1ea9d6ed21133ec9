//! Tasks at work: what they make is delivered like everything else.

use std::time::Duration;

use hookseal_domain::channel::Channel;
use hookseal_domain::delivery::retry::RetrySchedule;
use hookseal_domain::delivery::{Ended, Trigger};
use hookseal_domain::endpoint::order::{OnExhausted, Order, OrderKey};
use hookseal_domain::endpoint::{EndpointSpec, ParkOn};
use hookseal_domain::id::{EndpointId, MessageId};
use hookseal_domain::task::{Replayed, Span, Task, TaskFailure, TaskState, TaskWork};
use hookseal_domain::time::Timestamp;
use hookseal_store::inspect::DeliveryStatus;
use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::reply::Reply;
use hookseal_testkit::wait::until;

use crate::world::World;

const ENDED: fn(Ended) -> DeliveryStatus = DeliveryStatus::Ended;

fn parks(spec: &mut EndpointSpec) {
    spec.park_on = ParkOn::parse(&[422]).unwrap();
}

impl World {
    fn so_far(&self) -> Span {
        Span {
            since: Timestamp::from_millis(0),
            until: self.engine.now(),
        }
    }

    async fn begin(&self, work: TaskWork) -> Task {
        let begun = self.engine.begin_task(self.org, work, None).await;
        begun.unwrap()
    }

    async fn replay(&self, endpoint: EndpointId, which: Replayed) -> Task {
        self.begin(TaskWork::Replay {
            app: self.app,
            endpoint,
            span: self.so_far(),
            which,
        })
        .await
    }

    /// A task, once it has ended. Time passes meanwhile.
    async fn ended(&self, task: &Task) -> Task {
        until("the task to end", async || {
            self.clock.advance(Duration::from_millis(10));
            let found = self.store.task(self.org, task.id).await?;
            Ok(found.filter(|task| task.state != TaskState::Running))
        })
        .await
        .unwrap()
    }

    /// Publishes so many, which end so.
    async fn publish_ending(&self, count: usize, how: Ended) -> Vec<MessageId> {
        let mut messages = Vec::new();
        for number in 0..count {
            messages.push(self.publish(&number.to_string()).await);
        }
        for message in &messages {
            self.status_becomes(*message, ENDED(how)).await;
        }
        messages
    }
}

#[tokio::test]
async fn what_is_recovered_has_the_whole_schedule() {
    let world = World::with(|config| {
        let steps = vec![Duration::from_secs(1)];
        config.retry_schedule = RetrySchedule::try_new(steps).unwrap();
    })
    .await;
    let hook = FakeEndpoint::plain([422]).await.unwrap();
    let endpoint = world.endpoint_with(&hook.url(), parks).await;
    let messages = world.publish_ending(1, Ended::Parked).await;
    hook.reply_with([500, 200]);
    let task = world.replay(endpoint, Replayed::Failed).await;
    let task = world.ended(&task).await;
    assert_eq!(task.state, TaskState::Finished);
    assert_eq!((task.progress.looked_at, task.progress.done), (1, 1));
    world.attempts(messages[0], 2).await;
    world.clock.advance(Duration::from_secs(1));
    world
        .status_becomes(messages[0], ENDED(Ended::Delivered))
        .await;
    let attempts = world.attempts(messages[0], 3).await;
    let attempts: Vec<_> = attempts.iter().map(|a| (a.trigger, a.number)).collect();
    let (first, again) = (Trigger::Publish, Trigger::Resend);
    assert_eq!(attempts, [(first, 1), (again, 1), (again, 2)]);
    let done = r#"hookseal_task_items_total{task="endpoint.recover",result="done"}"#;
    assert_eq!(world.metric(done), Some(1.0));
    let ended = r#"hookseal_tasks_ended_total{task="endpoint.recover",ended="finished"}"#;
    assert_eq!(world.metric(ended), Some(1.0));
}

#[tokio::test]
async fn what_is_recovered_keeps_the_pace() {
    let world = World::new().await;
    let hook = FakeEndpoint::plain([422]).await.unwrap();
    let endpoint = world.endpoint_with(&hook.url(), parks).await;
    world.publish_ending(30, Ended::Parked).await;
    hook.reply_with([200]);
    world
        .update_endpoint(endpoint, |spec| spec.throttle_rate = Some(10))
        .await;
    let began = world.engine.now();
    let task = world.replay(endpoint, Replayed::Failed).await;
    until("all of them", async || {
        world.clock.advance(Duration::from_millis(10));
        Ok((hook.received().len() >= 60).then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(world.ended(&task).await.progress.done, 30);
    let delivered = r#"hookseal_deliveries_ended_total{ended="delivered"}"#;
    until("their results", async || {
        Ok((world.metric(delivered) == Some(30.0)).then_some(()))
    })
    .await
    .unwrap();
    world.store.flush().await.unwrap();
    let attempts = world.began_at(endpoint).await;
    let again: Vec<_> = attempts.into_iter().filter(|at| *at >= began).collect();
    let again = &again[again.len() - 30..];
    let second = Duration::from_secs(1);
    for (number, at) in again.iter().enumerate() {
        let within = again[number..]
            .iter()
            .take_while(|other| other.since(*at) < second);
        // In windows of less than four seconds a slot more may be used that was left.
        assert!(within.count() <= 12, "after {:?}", at.since(began));
    }
}

#[tokio::test]
async fn what_is_recovered_comes_in_order() {
    let world = World::new().await;
    let hook = FakeEndpoint::plain([422]).await.unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), |spec| {
            parks(spec);
            spec.discipline.order = Order::Accepted {
                key: OrderKey::pointer("/k").unwrap(),
                exhausted: OnExhausted::Block,
            };
        })
        .await;
    let mut messages = Vec::new();
    for number in 0..20 {
        messages.push(world.publish(&format!(r#"{{"k":1,"n":{number}}}"#)).await);
    }
    for message in &messages {
        world.status_becomes(*message, ENDED(Ended::Parked)).await;
    }
    let replies = (0..20).map(|n| Reply::status(200).after(Duration::from_millis(n % 3)));
    hook.reply_with(replies);
    world.replay(endpoint, Replayed::Failed).await;
    let received = hook.receives(40).await.unwrap();
    let ids: Vec<_> = received[20..].iter().map(|r| r.webhook_id()).collect();
    let expect: Vec<_> = messages.iter().map(ToString::to_string).collect();
    assert_eq!(ids, expect);
}

#[tokio::test]
async fn only_what_is_subscribed_was_missed() {
    let world = World::new().await;
    let on = |channel: &str| Some(Channel::parse(channel).unwrap());
    for channel in [on("eu"), on("us"), on("eu"), None] {
        world.try_publish_to("{}", channel).await.unwrap();
    }
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), |spec| {
            spec.subscription.channels = on("eu").map(|channel| vec![channel]);
        })
        .await;
    let task = world.replay(endpoint, Replayed::Missing).await;
    let task = world.ended(&task).await;
    assert_eq!((task.progress.looked_at, task.progress.done), (4, 2));
    hook.receives(2).await.unwrap();
    let again = world.replay(endpoint, Replayed::Missing).await;
    assert_eq!(world.ended(&again).await.progress.done, 0);
}

#[tokio::test]
async fn what_is_cancelled_is_not_sent() {
    let world = World::new().await;
    let slow = Reply::status(200).after(Duration::from_millis(300));
    let hook = FakeEndpoint::plain([slow]).await.unwrap();
    let endpoint = world.endpoint(&hook.url()).await;
    // Some are being tried, some are in memory, some only rows.
    let mut messages = Vec::new();
    for number in 0..100 {
        messages.push(world.publish(&number.to_string()).await);
    }
    hook.receives(1).await.unwrap();
    let span = world.so_far();
    let task = world
        .begin(TaskWork::Cancel {
            app: world.app,
            endpoint,
            span,
        })
        .await;
    let task = world.ended(&task).await;
    let sent = hook.received().len();
    let skipped = Ended::Skipped;
    world.status_becomes(messages[99], ENDED(skipped)).await;
    let done = usize::try_from(task.progress.done).unwrap();
    assert!(done >= 100 - sent, "{done} cancelled, {sent} sent");
    let marker = world.publish("marker").await;
    world.status_becomes(marker, ENDED(Ended::Delivered)).await;
    let received = hook.received();
    // Those under way when it was cancelled: as many as the endpoint gets at a time.
    assert!(received.len() <= sent + 4 + 1, "{} sent", received.len());
    let ended = r#"hookseal_deliveries_ended_total{ended="skipped"}"#;
    assert_eq!(
        world.metric(ended),
        Some(f64::from(u32::try_from(task.progress.done).unwrap()))
    );
}

#[tokio::test]
async fn a_task_goes_on_in_the_next_process() {
    let world = World::new().await;
    let hook = FakeEndpoint::plain([422]).await.unwrap();
    let endpoint = world.endpoint_with(&hook.url(), parks).await;
    world.publish_ending(3, Ended::Parked).await;
    hook.reply_with([200]);
    world.engine.shutdown(Duration::ZERO).await;
    let task = world.replay(endpoint, Replayed::Failed).await;
    let world = world.restart().await;
    assert_eq!(world.ended(&task).await.progress.done, 3);
    hook.receives(6).await.unwrap();
}

#[tokio::test]
async fn a_task_ends_with_its_endpoint() {
    let world = World::new().await;
    let hook = FakeEndpoint::plain([422]).await.unwrap();
    let endpoint = world.endpoint_with(&hook.url(), parks).await;
    world.publish_ending(1, Ended::Parked).await;
    let (app, now) = (world.app, world.engine.now());
    world
        .store
        .delete_endpoint(app, endpoint, now)
        .await
        .unwrap();
    world.engine.application_changed(app);
    let task = world.replay(endpoint, Replayed::Failed).await;
    let ended = world.ended(&task).await;
    let why = TaskState::Failed(TaskFailure::EndpointDeleted);
    assert_eq!(ended.state, why);
}
