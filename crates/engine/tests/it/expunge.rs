//! What was expunged is not sent, wherever it waits.

use std::time::Duration;

use hookseal_domain::delivery::batch::BatchRule;
use hookseal_domain::id::{EndpointId, MessageId};
use hookseal_domain::task::{Span, TaskWork};
use hookseal_domain::time::Timestamp;
use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::wait::until;

use crate::world::World;

const MINUTE: Duration = Duration::from_secs(60);

/// An endpoint whose events wait for a minute in memory, and so many of them.
async fn waiting(world: &World, hook: &FakeEndpoint, events: usize) -> Vec<MessageId> {
    let rule = BatchRule::new(100, 60_000).unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), |spec| spec.discipline.batch = Some(rule))
        .await;
    let mut messages = Vec::new();
    for number in 0..events {
        messages.push(world.publish(&number.to_string()).await);
    }
    in_memory(world, endpoint, events).await;
    messages
}

async fn in_memory(world: &World, endpoint: EndpointId, count: usize) {
    until("deliveries to wait in memory", async || {
        let pace = world.engine.pace(endpoint).unwrap_or_default();
        Ok((pace.waiting == count).then_some(()))
    })
    .await
    .unwrap();
}

async fn ends_unsent(world: &World, message: MessageId) {
    let attempt = world.attempts(message, 1).await.remove(0);
    let reason = attempt.facts.reason.unwrap();
    assert_eq!(reason, "The payload is not kept any more");
}

#[tokio::test]
async fn a_message_that_waits_in_memory_is_not_sent() {
    let world = World::new().await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let messages = waiting(&world, &hook, 2).await;
    let expunge = world.engine.expunge_message(world.app, messages[0]);
    expunge.await.unwrap();
    world.clock.advance(MINUTE);
    let request = hook.receives_one().await.unwrap();
    let body = String::from_utf8(request.body.to_vec()).unwrap();
    assert!(!body.contains(&messages[0].to_string()), "{body}");
    assert!(body.contains(&messages[1].to_string()), "{body}");
    ends_unsent(&world, messages[0]).await;
}

#[tokio::test]
async fn nothing_of_an_application_is_sent_whose_contents_were_expunged() {
    let world = World::new().await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let messages = waiting(&world, &hook, 5).await;
    let span = Span {
        since: Timestamp::from_millis(0),
        until: world.engine.now(),
    };
    let app = world.app;
    let work = TaskWork::Expunge { app, span };
    let begun = world.engine.begin_task(world.org, work, None).await;
    begun.unwrap();
    for message in messages {
        ends_unsent(&world, message).await;
    }
    assert!(hook.received().is_empty());
}
