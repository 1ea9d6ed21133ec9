//! Several events arrive in one signed request, and each comes to its own end.

use hookseal_testkit::received::Received;
use hookseal_testkit::reply::Reply;
use hookseal_testkit::world::{Standing, World, string_at};
use serde_json::{Value, json};

use crate::story::delivery::signed;
use crate::support::attempt::timeline;
use crate::support::world;

const BATCH_OF_3: &str = r#"{"batch": {"maxEvents": 3, "maxWaitMs": 60000}}"#;

#[tokio::test]
async fn events_arrive_together_and_only_what_is_refused_comes_again() -> anyhow::Result<()> {
    let world = world()
        .set(r#"delivery.retry_schedule=["1s"]"#)
        .start()
        .await?;
    let batch = serde_json::from_str(BATCH_OF_3)?;
    let hook = world
        .endpoint()
        .over_tls()
        .with(batch)
        .replying([200])
        .await?;

    let payloads = [r#"{"n":  1.50}"#, r#"{ "n": 1e400 }"#];
    let first = publish(&world, payloads[0]).await?;
    let second = publish(&world, payloads[1]).await?;
    let refused = json!({"events": [{"id": second, "status": 500, "error": "not yet"}]});
    hook.reply_with([Reply::status(200).body(refused.to_string()), 200.into()]);
    let third = publish(&world, "{}").await?;

    let received = hook.receives_one().await?;
    assert_eq!(ids(&received)?, [&*first, &second, &third]);
    let text = std::str::from_utf8(&received.body)?;
    for payload in payloads {
        assert!(text.contains(payload), "{payload} is not in {text}");
    }
    assert!(received.webhook_id().starts_with("batch_"));
    assert_eq!(
        received.header("webhook-signature"),
        signed(&world, &hook, &received).await?
    );
    for message in [&first, &third] {
        world.stands(message, &hook.id, Standing::Success).await?;
        let attempts = world.attempts(message).await?;
        assert_eq!(attempts[0]["batchId"], received.webhook_id());
    }

    // It waits for others again; they come along.
    world.attempted(&second, 1).await?;
    let more = [publish(&world, "{}").await?, publish(&world, "{}").await?];
    world.stands(&second, &hook.id, Standing::Success).await?;
    for message in &more {
        world.stands(message, &hook.id, Standing::Success).await?;
    }
    insta::assert_snapshot!(timeline(&world, &second).await?, @r"
    retry 500
    accepted 200
    ");
    let received = hook.receives(2).await?;
    let [_, again] = &received[..] else {
        anyhow::bail!("{} requests", received.len());
    };
    assert_eq!(ids(again)?, [&*second, &more[0], &more[1]]);
    assert_eq!(
        again.header("webhook-signature"),
        signed(&world, &hook, again).await?
    );
    Ok(())
}

#[tokio::test]
async fn what_waits_when_the_server_is_killed_is_not_lost() -> anyhow::Result<()> {
    let mut world = world().start().await?;
    let batch = serde_json::from_str(BATCH_OF_3)?;
    let hook = world
        .endpoint()
        .over_tls()
        .with(batch)
        .replying([200])
        .await?;
    let first = publish(&world, "{}").await?;
    let second = publish(&world, "{}").await?;

    world.server.kill()?;
    assert_eq!(hook.received().len(), 0);
    world.server.start_again().await?;
    let third = publish(&world, "{}").await?;

    let received = hook.receives_one().await?;
    assert_eq!(ids(&received)?, [&*first, &second, &third]);
    for message in [first, second, third] {
        world.stands(&message, &hook.id, Standing::Success).await?;
    }
    Ok(())
}

async fn publish(world: &World, payload: &str) -> anyhow::Result<String> {
    world
        .publish_bytes("invoice.paid", payload.as_bytes())
        .await
}

fn ids(received: &Received) -> anyhow::Result<Vec<String>> {
    // Numbers that Rust has none for stay as they are.
    let body = std::str::from_utf8(&received.body)?.replace("1e400", "0");
    let events: Vec<Value> = serde_json::from_str(&body)?;
    let ids = events.iter().map(|event| string_at(event, "id"));
    ids.collect()
}
