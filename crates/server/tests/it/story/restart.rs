//! What a stop and a start leave untouched.

use std::collections::BTreeSet;
use std::time::Duration;

use hookseal_testkit::reply::Reply;
use hookseal_testkit::wait::until;
use hookseal_testkit::world::Standing;

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
    until("all that was acknowledged arrives", async || {
        let received = hook.received();
        let arrived: BTreeSet<_> = received.iter().map(|r| r.webhook_id().to_owned()).collect();
        Ok(acknowledged.is_subset(&arrived).then_some(()))
    })
    .await
}
