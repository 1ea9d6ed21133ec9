//! A server that sends nothing before the receiver has said that it wants it, and is killed meanwhile.

use hookseal_testkit::reply::Reply;
use hookseal_testkit::world::{Standing, string_at};
use serde_json::json;

use crate::support::world;

#[tokio::test]
async fn nothing_goes_before_the_callback_though_the_server_is_killed() -> anyhow::Result<()> {
    let mut world = world()
        .set("endpoints.require_verification=true")
        .set("server.public_url=https://hooks.example")
        .start()
        .await?;
    let replies = [Reply::status(405), Reply::status(200)];
    let hook = world.endpoint().over_tls().replying(replies).await?;
    let message = world.publish("invoice.paid").await?;
    let path = world.path(&format!("/endpoint/{}", hook.id));
    let body = json!({"method": "cloudevents"});
    let asked = world.api.post(&format!("{path}/verify"), &body).await?;
    assert_eq!(asked.expect(200)?["state"], "pending");

    world.server.kill()?;
    world.server.start_again().await?;
    let endpoint = world.api.get(&path).await?.expect(200)?;
    assert_eq!(endpoint["verification"]["state"], "pending");
    assert_eq!(endpoint["verification"]["withheld"], true);
    let later = world.publish("invoice.paid").await?;
    for message in [&message, &later] {
        let standing = world.standing(message, &hook.id).await?;
        assert_eq!(standing, Standing::Pending);
    }
    let received = hook.received();
    assert_eq!(received.len(), 1, "the question and nothing else");
    assert_eq!(received[0].method, "OPTIONS");

    let callback = received[0].header("webhook-request-callback");
    let callback = callback.trim_start_matches("https://hooks.example");
    let anybody = world.api.with_token(None);
    let granted = anybody.get(callback).await?.expect(200)?;
    assert_eq!(granted, json!({"verified": true}));
    for message in [&message, &later] {
        world.stands(message, &hook.id, Standing::Success).await?;
    }
    let delivered = hook.receives(3).await?;
    assert_eq!(
        delivered[1].header("webhook-request-origin"),
        "hooks.example"
    );
    let endpoint = world.api.get(&path).await?.expect(200)?;
    assert_eq!(string_at(&endpoint["verification"], "state")?, "verified");
    Ok(())
}
