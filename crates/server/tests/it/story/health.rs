//! An endpoint that only fails is told of, disabled, and brought back, with kill -9 in between.

use hookseal_testkit::wait::until;
use hookseal_testkit::world::{Standing, World, string_at};
use serde_json::{Value, json};

use crate::story::operational::Told;
use crate::support::world;

#[tokio::test]
async fn what_only_fails_is_disabled_and_comes_back_though_the_server_is_killed()
-> anyhow::Result<()> {
    let mut world = world()
        .set(r#"delivery.retry_schedule=["100ms"]"#)
        .set(r#"health.disable_after="3s""#)
        .start()
        .await?;
    let types =
        json!({"eventTypes": ["endpoint.failing", "endpoint.disabled", "endpoint.enabled"]});
    let told = Told::of(&world, types).await?;
    // What the breaker does not go by.
    let hook = world.endpoint().replying([404]).await?;
    let other = world.endpoint().replying([200]).await?;
    let path = world.path(&format!("/endpoint/{}", hook.id));

    let mut lost = vec![world.publish("invoice.paid").await?];
    world.stands(&lost[0], &hook.id, Standing::Fail).await?;
    let fails = world.api.get(&path).await?.expect(200)?;
    let since = string_at(&fails, "failingSince")?;
    assert_eq!(fails.get("disabledReason"), None, "{fails}");
    let first = fails_until(&world, &told, &mut lost, Some(50)).await?;
    assert_eq!(first["type"], "endpoint.failing");
    assert_eq!(first["data"]["failSince"], *since);
    world.server.kill()?;
    world.server.start_again().await?;
    let disabled = fails_until(&world, &told, &mut lost, None).await?;
    assert_eq!(
        disabled["data"],
        json!({"appId": world.app, "appUid": null, "endpointId": hook.id, "endpointUid": null,
            "trigger": "automatic", "reason": "failing", "failSince": since})
    );
    let notices = told.received()?;
    assert!(notices.iter().any(|event| event["data"]["percent"] == 90));

    let shown = world.api.get(&path).await?.expect(200)?;
    assert_eq!(
        (
            &shown["disabled"],
            &shown["disabledReason"],
            &shown["failingSince"]
        ),
        (&json!(true), &json!("failing"), &json!(since))
    );
    let held = world.publish("invoice.paid").await?;
    world.stands(&held, &other.id, Standing::Success).await?;
    world.stands(&held, &hook.id, Standing::Pending).await?;

    hook.reply_with([200]);
    let enable = format!("{path}/enable");
    let enabled = json!({"recoverSince": "2020-01-01T00:00:00Z"});
    let enabled = world.api.post(&enable, &enabled).await?.expect(200)?;
    world.server.kill()?;
    world.server.start_again().await?;
    assert_eq!(enabled["endpoint"]["disabled"], false);
    assert_eq!(enabled["endpoint"].get("disabledReason"), None);
    assert_eq!(enabled["task"]["task"], "endpoint.recover");
    lost.push(held);
    for message in &lost {
        world.stands(message, &hook.id, Standing::Success).await?;
    }
    let shown = world.api.get(&path).await?.expect(200)?;
    assert_eq!(shown["disabled"], false);
    assert_eq!(shown.get("failingSince"), None);
    until("it to be told", async || {
        let enabled = |event: &Value| event["type"] == "endpoint.enabled";
        Ok(told.received()?.iter().any(enabled).then_some(()))
    })
    .await?;
    Ok(())
}

/// Publishes until the notice of this percentage is told, or without one that the endpoint is disabled.
async fn fails_until(
    world: &World,
    told: &Told,
    published: &mut Vec<String>,
    percent: Option<u32>,
) -> anyhow::Result<Value> {
    until("it to be told", async || {
        published.push(world.publish("invoice.paid").await?);
        let mut events = told.received()?.into_iter();
        Ok(events.find(|event| match percent {
            Some(percent) => event["data"]["percent"] == percent,
            None => event["type"] == "endpoint.disabled",
        }))
    })
    .await
}
