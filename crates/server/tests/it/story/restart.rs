//! What a stop and a start leave untouched.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use hookseal_testkit::hostile_endpoint::{HostileEndpoint, Hostility};
use hookseal_testkit::reply::Reply;
use hookseal_testkit::wait::until;
use hookseal_testkit::world::{Standing, World, string_at};
use http::Method;
use serde_json::json;

use crate::support::attempt::timeline;
use crate::support::load::Load;
use crate::support::world;

#[tokio::test]
async fn pending_retries_go_on_after_a_restart() -> anyhow::Result<()> {
    let mut world = world()
        .set(r#"delivery.retry_schedule=["2s"]"#)
        .start()
        .await?;
    let hook = world.endpoint().over_tls().replying([500, 200]).await?;
    let message = world.publish("invoice.paid").await?;
    world.attempted(&message, 1).await?;

    let status = world.server.stop().await?;
    assert!(status.success(), "{status}");
    assert_eq!(hook.received().len(), 1);
    world.server.start_again().await?;

    world.stands(&message, &hook.id, Standing::Success).await?;
    insta::assert_snapshot!(timeline(&world, &message).await?, @r"
    retry 500
    accepted 200
    ");
    Ok(())
}

/// The receiver is slow, so that the stop finds attempts in flight, a backlog and requests on their way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graceful_stop_under_load_loses_nothing() -> anyhow::Result<()> {
    let mut world = world().start().await?;
    let slow = Reply::status(200).after(Duration::from_millis(20));
    let hook = world.endpoint().replying([slow]).await?;
    let load = Load::start(&world, 4);

    hook.receives(50).await?;
    let status = world.server.stop().await?;
    assert!(status.success(), "{status}");
    world.server.start_again().await?;
    let acknowledged = load.stop().await?;

    assert!(
        acknowledged.len() > 50,
        "{} acknowledged",
        acknowledged.len()
    );
    let (requests, messages) = until("all that was acknowledged arrives", async || {
        let received = hook.received();
        let arrived: BTreeSet<_> = received.iter().map(|r| r.webhook_id().to_owned()).collect();
        Ok(acknowledged
            .is_subset(&arrived)
            .then_some((received.len(), arrived.len())))
    })
    .await?;
    assert_eq!(requests, messages, "some arrived twice");
    Ok(())
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_receiver_that_hangs() -> anyhow::Result<()> {
    let mut world = world()
        .set("delivery.timeout=60s")
        .set("server.shutdown_timeout=1s")
        .start()
        .await?;
    let hostile = HostileEndpoint::plain(Hostility::StallBeforeHeaders).await?;
    let endpoint = world.subscribe(&hostile.url(), &json!({})).await?;
    let message = world.publish("invoice.paid").await?;
    let called = async |times| {
        let what = format!("the receiver is called {times} times");
        until(&what, async || {
            Ok((hostile.connections() >= times).then_some(()))
        })
        .await
    };
    called(1).await?;

    let status = world.server.stop().await?;
    assert!(status.success(), "{status}");
    world.server.start_again().await?;

    // What was handed back is tried again at once.
    called(2).await?;
    assert_eq!(
        world.standing(&message, &endpoint).await?,
        Standing::Sending
    );
    Ok(())
}

#[tokio::test]
async fn held_deliveries_wait_through_a_restart() -> anyhow::Result<()> {
    let mut world = world().start().await?;
    let hook = world
        .endpoint()
        .with(json!({"disabled": true}))
        .replying([200])
        .await?;
    let message = world.publish("invoice.paid").await?;
    world.server.kill()?;
    world.server.start_again().await?;
    world.stands(&message, &hook.id, Standing::Pending).await?;
    assert_eq!(hook.received().len(), 0);

    let path = world.path(&format!("/endpoint/{}", hook.id));
    world
        .api
        .patch(&path, &json!({"disabled": false}))
        .await?
        .expect(200)?;
    world.stands(&message, &hook.id, Standing::Success).await?;
    Ok(())
}

#[tokio::test]
async fn a_publish_is_repeated_safely_across_a_kill() -> anyhow::Result<()> {
    let mut world = world().start().await?;
    let hook = world.endpoint().replying([200]).await?;
    let body = Bytes::from_static(br#"{"eventType":"invoice.paid","payload":{"id":42}}"#);
    let publish = async |world: &World| {
        let (path, key) = (world.path("/msg"), [("idempotency-key", "once")]);
        let sent = world
            .api
            .send(Method::POST, &path, &key, body.clone())
            .await?;
        string_at(&sent.expect(202)?, "id")
    };
    let first = publish(&world).await?;
    world.stands(&first, &hook.id, Standing::Success).await?;
    world.server.kill()?;
    world.server.start_again().await?;
    assert_eq!(publish(&world).await?, first);

    // What comes later has come, and the repeated one has not.
    let later = world.publish("invoice.paid").await?;
    world.stands(&later, &hook.id, Standing::Success).await?;
    let ids: BTreeSet<_> = hook
        .received()
        .iter()
        .map(|r| r.webhook_id().to_owned())
        .collect();
    assert_eq!(ids, BTreeSet::from([first, later]));
    Ok(())
}
