//! Endpoints that park, are gone, disabled or deleted.

use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::world::{Hook, Standing, World};
use serde_json::{Value, json};

use crate::support::attempt::timeline;
use crate::support::world;

#[tokio::test]
async fn gone_disables_and_enabling_releases_what_was_held() -> anyhow::Result<()> {
    let world = world().start().await?;
    let hook = world.endpoint().replying([410, 200]).await?;

    let refused = world.publish("invoice.paid").await?;
    world.stands(&refused, &hook.id, Standing::Fail).await?;
    insta::assert_snapshot!(timeline(&world, &refused).await?, @"gone 410");
    assert_eq!(endpoint(&world, &hook).await?["disabled"], true);

    let held = [
        world.publish("invoice.paid").await?,
        world.publish("invoice.paid").await?,
    ];
    for message in &held {
        world.stands(message, &hook.id, Standing::Pending).await?;
    }
    assert_eq!(hook.received().len(), 1);

    set_disabled(&world, &hook, false).await?;
    for message in &held {
        world.stands(message, &hook.id, Standing::Success).await?;
    }
    assert_eq!(hook.received().len(), 3);
    assert_eq!(world.standing(&refused, &hook.id).await?, Standing::Fail);
    Ok(())
}

#[tokio::test]
async fn a_disabled_endpoint_holds_its_retries_too() -> anyhow::Result<()> {
    let world = world()
        .set(r#"delivery.retry_schedule=["1s"]"#)
        .start()
        .await?;
    let hook = world.endpoint().replying([500, 200]).await?;
    let other = world.endpoint().replying([200]).await?;

    let message = world.publish("invoice.paid").await?;
    world.attempted(&message, 2).await?;
    set_disabled(&world, &hook, true).await?;
    let later = world.publish("invoice.paid").await?;
    world.stands(&later, &other.id, Standing::Success).await?;
    world.stands(&message, &hook.id, Standing::Pending).await?;
    assert_eq!(hook.received().len(), 1);

    set_disabled(&world, &hook, false).await?;
    world.stands(&message, &hook.id, Standing::Success).await?;
    world.stands(&later, &hook.id, Standing::Success).await?;
    Ok(())
}

#[tokio::test]
async fn a_status_of_park_on_parks_at_once() -> anyhow::Result<()> {
    let world = world().start().await?;
    let hook = world
        .endpoint()
        .with(json!({"parkOn": [422]}))
        .replying([422, 200])
        .await?;
    let other = world.endpoint().replying([422, 200]).await?;

    let message = world.publish("invoice.paid").await?;

    world.stands(&message, &hook.id, Standing::Fail).await?;
    world.stands(&message, &other.id, Standing::Success).await?;
    assert_eq!(hook.received().len(), 1);
    assert_eq!(other.received().len(), 2);
    let failed = world.path(&format!("/endpoint/{}/msg?status=2", hook.id));
    let failed = world.api.get(&failed).await?.expect(200)?;
    assert_eq!(failed["data"][0]["id"], *message);

    let resend = world.path(&format!("/msg/{message}/endpoint/{}/resend", hook.id));
    world.api.post(&resend, &json!({})).await?.expect(202)?;
    world.stands(&message, &hook.id, Standing::Success).await?;
    Ok(())
}

#[tokio::test]
async fn deliveries_of_a_deleted_endpoint_end() -> anyhow::Result<()> {
    let world = world()
        .set(r#"delivery.retry_schedule=["300ms"]"#)
        .start()
        .await?;
    let hook = world.endpoint().replying([500]).await?;
    let other = world.endpoint().replying([500, 200]).await?;

    let message = world.publish("invoice.paid").await?;
    hook.receives(1).await?;
    let path = world.path(&format!("/endpoint/{}", hook.id));
    world.api.delete(&path).await?.expect(204)?;
    world.api.get(&path).await?.expect(404)?;

    // The other one's retry was due at the same time.
    world.stands(&message, &other.id, Standing::Success).await?;
    assert_eq!(hook.received().len(), 1);
    let resend = world.path(&format!("/msg/{message}/endpoint/{}/resend", hook.id));
    world.api.post(&resend, &json!({})).await?.expect(404)?;
    Ok(())
}

#[tokio::test]
async fn a_retry_goes_where_the_endpoint_is_now() -> anyhow::Result<()> {
    let world = world()
        .set(r#"delivery.retry_schedule=["1s"]"#)
        .start()
        .await?;
    let hook = world.endpoint().replying([500]).await?;
    let moved = FakeEndpoint::plain([200]).await?;

    let message = world.publish("invoice.paid").await?;
    world.attempted(&message, 1).await?;
    let path = world.path(&format!("/endpoint/{}", hook.id));
    let changed = json!({"url": moved.url()});
    world.api.patch(&path, &changed).await?.expect(200)?;

    world.stands(&message, &hook.id, Standing::Success).await?;
    assert_eq!((hook.received().len(), moved.received().len()), (1, 1));
    let attempts = world.attempts(&message).await?;
    assert_eq!(attempts[0]["url"], hook.url());
    assert_eq!(attempts[1]["url"], moved.url());
    Ok(())
}

#[tokio::test]
async fn a_connection_is_kept_until_the_endpoint_changes() -> anyhow::Result<()> {
    let world = world().start().await?;
    let hook = world.endpoint().over_tls().replying([200]).await?;
    for count in 1..=3 {
        let message = world.publish("invoice.paid").await?;
        world.stands(&message, &hook.id, Standing::Success).await?;
        assert_eq!(hook.receives(count).await?[count - 1].connection, 0);
    }
    let path = world.path(&format!("/endpoint/{}", hook.id));
    let changed = json!({"url": format!("{}?v=2", hook.url())});
    world.api.patch(&path, &changed).await?.expect(200)?;
    world.publish("invoice.paid").await?;
    let received = hook.receives(4).await?;
    assert_eq!(
        (received[3].connection, received[3].path.as_str()),
        (1, "/hook?v=2")
    );
    Ok(())
}

#[tokio::test]
async fn a_forgotten_payload_is_not_sent_any_more() -> anyhow::Result<()> {
    let world = world()
        .set(r#"delivery.retry_schedule=["500ms"]"#)
        .start()
        .await?;
    let hook = world.endpoint().replying([500]).await?;
    let message = world.publish("invoice.paid").await?;
    world.attempted(&message, 1).await?;
    let content = world.path(&format!("/msg/{message}/content"));
    let forgotten = world.api.delete(&content).await?;
    assert!(forgotten.status.is_success(), "{forgotten}");

    world.stands(&message, &hook.id, Standing::Fail).await?;
    insta::assert_snapshot!(timeline(&world, &message).await?, @r"
    retry 500
    unsendable
    ");
    // Its retry would have been due before this one's.
    let other = world.publish("invoice.paid").await?;
    world.stands(&other, &hook.id, Standing::Fail).await?;
    let received = hook.received();
    assert_eq!(
        received
            .iter()
            .filter(|r| r.webhook_id() == message)
            .count(),
        1
    );
    Ok(())
}

#[tokio::test]
async fn what_is_held_ends_with_its_payload_or_its_endpoint() -> anyhow::Result<()> {
    let world = world().start().await?;
    let disabled = json!({"disabled": true});
    let hook = world.endpoint().with(disabled).replying([200]).await?;
    let message = world.publish("invoice.paid").await?;
    world.stands(&message, &hook.id, Standing::Pending).await?;
    let content = world.path(&format!("/msg/{message}/content"));
    let forgotten = world.api.delete(&content).await?;
    assert!(forgotten.status.is_success(), "{forgotten}");
    world.stands(&message, &hook.id, Standing::Fail).await?;

    let message = world.publish("invoice.paid").await?;
    let path = world.path(&format!("/endpoint/{}", hook.id));
    world.api.delete(&path).await?.expect(204)?;
    let ended = world.attempted(&message, 1).await?;
    assert_eq!(ended[0]["ended"], "endpoint_deleted");
    assert_eq!(hook.received().len(), 0);
    Ok(())
}

async fn endpoint(world: &World, hook: &Hook) -> anyhow::Result<Value> {
    let path = world.path(&format!("/endpoint/{}", hook.id));
    world.api.get(&path).await?.expect(200)
}

async fn set_disabled(world: &World, hook: &Hook, disabled: bool) -> anyhow::Result<()> {
    let path = world.path(&format!("/endpoint/{}", hook.id));
    let patch = json!({"disabled": disabled});
    let endpoint = world.api.patch(&path, &patch).await?.expect(200)?;
    anyhow::ensure!(endpoint["disabled"] == disabled, "{endpoint}");
    Ok(())
}
