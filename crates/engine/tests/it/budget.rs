//! What a node does with few permits and much to do, and where pace, push-back and breaker meet.

use std::time::Duration;

use hookseal_domain::channel::Channel;
use hookseal_domain::delivery::Ended;
use hookseal_domain::delivery::breaker::PauseReason;
use hookseal_domain::delivery::priority::Priority;
use hookseal_domain::endpoint::EndpointSpec;
use hookseal_domain::message::options::MessageOptions;
use hookseal_store::inspect::DeliveryStatus;
use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::reply::Reply;
use hookseal_testkit::wait::until;

use crate::world::World;

const SECOND: Duration = Duration::from_secs(1);

/// Endpoints of each class: enough for some to wait while one is served.
const LANES: usize = 3;

/// How many were of each class, of those in the order of [`Priority::ALL`].
fn counts(bodies: &[String]) -> [usize; 3] {
    Priority::ALL.map(|class| bodies.iter().filter(|body| *body == class.as_str()).count())
}

fn bodies(hook: &FakeEndpoint) -> Vec<String> {
    let received = hook.received();
    let bodies = received
        .iter()
        .map(|one| String::from_utf8_lossy(&one.body));
    bodies
        .map(|body| body.trim_matches('"').to_owned())
        .collect()
}

#[tokio::test]
async fn classes_share_a_single_permit_by_weight_and_none_waits_for_ever() {
    let world = World::with(|config| config.in_flight_max = 1).await;
    let prompt = Reply::status(200).after(Duration::from_millis(5));
    let hook = FakeEndpoint::plain([prompt]).await.unwrap();
    let channel = |class: Priority, lane| {
        let name = format!("{}-{lane}", class.as_str());
        Channel::parse(&name).unwrap()
    };
    // Disabled until all is there, so that nothing is served because it came first.
    let mut endpoints = Vec::new();
    for class in Priority::ALL {
        for lane in 0..LANES {
            let channels = Some(vec![channel(class, lane)]);
            let disabled = |spec: &mut EndpointSpec| {
                spec.subscription.channels = channels;
                spec.disabled = true;
            };
            endpoints.push(world.endpoint_with(&hook.url(), disabled).await);
        }
    }
    let wanted = [40, 16, 8];
    let mut total = 0;
    for (class, each) in Priority::ALL.into_iter().zip(wanted) {
        for _ in 0..each {
            for lane in 0..LANES {
                let options = MessageOptions {
                    priority: class,
                    ..MessageOptions::default()
                };
                let body = format!("\"{}\"", class.as_str());
                let channel = Some(channel(class, lane));
                world.publish_on(options, &body, channel).await;
                total += 1;
            }
        }
    }
    for endpoint in endpoints {
        let enable = |spec: &mut EndpointSpec| spec.disabled = false;
        world.update_endpoint(endpoint, enable).await;
        world.engine.backlog_changed(world.app, endpoint);
    }
    // A round of 21 turns until all of them wait, then two while all have something left.
    let from = hook.received().len() + 21;
    hook.receives(from + 42).await.unwrap();
    let already = counts(&bodies(&hook)[..from]);
    let [high, normal, bulk] = counts(&bodies(&hook)[from..from + 42]);
    let left = wanted.map(|each| each * LANES);
    for (left, gone) in left
        .into_iter()
        .zip([high, normal, bulk].iter().zip(already))
    {
        assert!(left > gone.0 + gone.1, "{already:?} went before");
    }
    assert!((28..=36).contains(&high), "{high} {normal} {bulk}");
    assert!((6..=10).contains(&normal), "{high} {normal} {bulk}");
    assert!((1..=4).contains(&bulk), "{high} {normal} {bulk}");
    hook.receives(total).await.unwrap();
    assert_eq!(counts(&bodies(&hook)), left);
}

#[tokio::test]
async fn a_paced_endpoint_that_only_pushes_back_is_paused_and_goes_on_at_its_pace() {
    let world = World::new().await;
    let busy = Reply::status(503).header("retry-after", "3");
    let hook = FakeEndpoint::plain([busy]).await.unwrap();
    let endpoint = world
        .endpoint_with(&hook.url(), |spec| spec.throttle_rate = Some(1))
        .await;
    let mut messages = Vec::new();
    for _ in 0..40 {
        messages.push(world.publish("{}").await);
    }
    let pause = || world.engine.breaker(endpoint).and_then(|now| now.pause());
    until("the breaker to pause it", async || {
        world.clock.advance(SECOND);
        Ok(pause().is_some().then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(pause().unwrap().reason, PauseReason::PushBack);
    let refused = hook.received().len();
    assert!(
        (5..=35).contains(&refused),
        "one in three seconds: {refused}"
    );
    let paused_at = world.engine.now();

    hook.reply_with([200]);
    for message in &messages {
        until("all to be delivered", async || {
            let status = world.status(*message).await;
            let done = status == Some(DeliveryStatus::Ended(Ended::Delivered));
            if !done {
                world.clock.advance(SECOND * 2);
            }
            Ok(done.then_some(()))
        })
        .await
        .unwrap();
    }
    assert_eq!(pause(), None);
    let began = world.began_at(endpoint).await;
    let gaps = began.windows(2).map(|pair| pair[1].since(pair[0]));
    assert!(gaps.clone().all(|gap| gap >= SECOND), "{began:?}");
    let after = began.iter().filter(|at| **at > paused_at).count();
    assert_eq!(after, 40, "each once: {refused} were refused before");
}
