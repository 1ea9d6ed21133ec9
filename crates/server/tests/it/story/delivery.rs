//! An event is published, arrives as it was, is tried again, and can be seen and sent again.

use std::time::Duration;

use hookseal_domain::signature::key::SigningKey;
use hookseal_domain::signature::standard::sign;
use hookseal_domain::time::Timestamp;
use hookseal_testkit::received::Received;
use hookseal_testkit::reply::Reply;
use hookseal_testkit::world::{Hook, Standing, World, string_at};
use http::{Method, Version};
use serde_json::json;

use crate::support::attempt::timeline;
use crate::support::world;

#[tokio::test]
async fn an_event_reaches_every_subscriber_signed() -> anyhow::Result<()> {
    let world = world().start().await?;
    let everything = world.endpoint().over_tls().replying([200]).await?;
    let invoices = json!({"eventTypes": ["invoice.paid"]});
    let invoices = world
        .endpoint()
        .over_tls()
        .with(invoices)
        .replying([204])
        .await?;
    let users = json!({"eventTypes": ["user.created"]});
    let users = world
        .endpoint()
        .over_tls()
        .with(users)
        .replying([200])
        .await?;

    let message = world.publish("invoice.paid").await?;

    for hook in [&everything, &invoices] {
        let received = hook.receives_one().await?;
        assert_eq!(received.method, Method::POST);
        assert_eq!(received.version, Version::HTTP_2);
        assert_eq!(received.path, "/hook");
        assert_eq!(received.webhook_id(), message);
        assert_eq!(received.header("content-type"), "application/json");
        assert!(received.header("user-agent").starts_with("Hookseal/"));
        for name in ["id", "timestamp", "signature"] {
            let copy = received.header(&format!("svix-{name}"));
            assert_eq!(received.header(&format!("webhook-{name}")), copy);
        }
        assert_eq!(
            received.header("webhook-signature"),
            signed(&world, hook, &received).await?
        );
        world.stands(&message, &hook.id, Standing::Success).await?;
    }
    let deliveries = world
        .list(&world.path(&format!("/msg/{message}/endpoint")))
        .await?;
    assert_eq!(deliveries.len(), 2, "{deliveries:?}");
    assert_eq!(users.received().len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_failing_receiver_is_tried_again() -> anyhow::Result<()> {
    let world = world().start().await?;
    let answer = Reply::status(503).body("not now");
    let hook = world
        .endpoint()
        .over_tls()
        .replying([500.into(), answer, 200.into()])
        .await?;

    let message = world.publish("invoice.paid").await?;

    world.stands(&message, &hook.id, Standing::Success).await?;
    insta::assert_snapshot!(timeline(&world, &message).await?, @r"
    retry 500
    retry 503
    accepted 200
    ");
    let received = hook.receives(3).await?;
    for received in &received {
        assert_eq!(received.webhook_id(), message);
        assert_eq!(received.body, r#"{"id":42,"sum":"12.50"}"#);
        assert_eq!(
            received.header("webhook-signature"),
            signed(&world, &hook, received).await?
        );
    }
    let attempts = world.attempts(&message).await?;
    assert_eq!(attempts[1]["response"], "not now");
    assert_eq!(attempts[1]["responseStatusCode"], 503);
    assert_eq!(attempts[1]["statusText"], "fail");
    assert_eq!(attempts[2]["statusText"], "success");
    assert_eq!(attempts[2]["triggerType"], 0);
    assert_eq!(attempts[2]["endpointId"], *hook.id);
    assert_eq!(attempts[2]["url"], hook.url());
    Ok(())
}

#[tokio::test]
async fn a_dead_letter_is_sent_again_with_the_whole_schedule() -> anyhow::Result<()> {
    let world = world().start().await?;
    let hook = world
        .endpoint()
        .replying([500, 500, 500, 500, 500, 200])
        .await?;

    let message = world.publish("invoice.paid").await?;
    world.stands(&message, &hook.id, Standing::Fail).await?;
    assert_eq!(hook.received().len(), 3);

    let resend = world.path(&format!("/msg/{message}/endpoint/{}/resend", hook.id));
    world.api.post(&resend, &json!({})).await?.expect(202)?;
    world.stands(&message, &hook.id, Standing::Success).await?;
    insta::assert_snapshot!(timeline(&world, &message).await?, @r"
    retry 500
    retry 500
    retry 500
    retry 500, sent again
    retry 500, sent again
    accepted 200, sent again
    ");
    Ok(())
}

#[tokio::test]
async fn a_payload_arrives_byte_for_byte() -> anyhow::Result<()> {
    let world = world().start().await?;
    let hook = world.endpoint().over_tls().replying([200]).await?;
    let large = format!(r#"{{"filler":"{}"}}"#, "x".repeat(900_000));
    let payloads: [&[u8]; 6] = [
        b"{ \"a\" :\t1 ,\r\n\n \"b\":[ ] }",
        "{\"ż\":\"\u{1f9ad}\",\"escaped\":\"\\u017b\\/\\ud83e\\uddad\"}".as_bytes(),
        br#"{"big":1e400,"small":-0.0,"exact":1.0100,"long":123456789012345678901234567890}"#,
        br#"{"a":1,"a":2}"#,
        b"{}",
        large.as_bytes(),
    ];
    for (number, payload) in payloads.iter().enumerate() {
        let message = world.publish_bytes("invoice.paid", payload).await?;
        let received = hook.receives(number + 1).await?;
        assert_eq!(received[number].webhook_id(), message);
        assert!(
            received[number].body == payload,
            "{:?}",
            received[number].body
        );
        let signature = signed(&world, &hook, &received[number]).await?;
        assert_eq!(received[number].header("webhook-signature"), signature);
    }
    Ok(())
}

#[tokio::test]
async fn a_receiver_may_ask_for_time() -> anyhow::Result<()> {
    let world = world()
        .set(r#"delivery.retry_schedule=["10ms","20s"]"#)
        .start()
        .await?;
    let busy = Reply::status(429).header("retry-after", "1");
    let hook = world.endpoint().replying([busy, 200.into()]).await?;

    let message = world.publish("invoice.paid").await?;

    let received = hook.receives(2).await?;
    let pause = received[1].arrived.duration_since(received[0].arrived);
    assert!(
        pause >= Duration::from_secs(1),
        "tried again after {pause:?}"
    );
    world.stands(&message, &hook.id, Standing::Success).await?;
    Ok(())
}

#[tokio::test]
async fn two_keys_sign_while_one_replaces_the_other() -> anyhow::Result<()> {
    let world = world().start().await?;
    let hook = world.endpoint().replying([200]).await?;
    let old = receiver_key(&world, &hook).await?;
    let rotate = world.path(&format!("/endpoint/{}/secret/rotate", hook.id));
    let rotated = world.api.post(&rotate, &json!({})).await?;
    assert!(rotated.status.is_success(), "{rotated}");
    let new = receiver_key(&world, &hook).await?;
    assert_ne!(old, new);

    world.publish("invoice.paid").await?;
    let received = hook.receives_one().await?;
    let both = signed_with(&[&new, &old], &received)?;
    assert_eq!(received.header("webhook-signature"), both);

    // Whoever rotates without an overlap wants none: all older keys end.
    let rotated = world
        .api
        .post(&rotate, &json!({"gracePeriodSeconds": 0}))
        .await?;
    assert!(rotated.status.is_success(), "{rotated}");
    world.publish("invoice.paid").await?;
    let received = hook.receives(2).await?;
    let signature = received[1].header("webhook-signature");
    assert_eq!(signature, signed(&world, &hook, &received[1]).await?);
    Ok(())
}

/// What the signature of a request must be, by the key that the API gives to receivers.
pub(super) async fn signed(
    world: &World,
    hook: &Hook,
    received: &Received,
) -> anyhow::Result<String> {
    signed_with(&[&receiver_key(world, hook).await?], received)
}

fn signed_with(keys: &[&str], received: &Received) -> anyhow::Result<String> {
    let keys = keys.iter().map(|key| SigningKey::parse(key));
    let keys: Vec<_> = keys
        .collect::<Result<_, _>>()
        .map_err(|violation| anyhow::anyhow!("{violation:?}"))?;
    let secs: i64 = received.header("webhook-timestamp").parse()?;
    let at = Timestamp::from_millis(secs * 1000);
    Ok(sign(&keys, received.webhook_id(), at, &received.body))
}

async fn receiver_key(world: &World, hook: &Hook) -> anyhow::Result<String> {
    let path = world.path(&format!("/endpoint/{}/secret", hook.id));
    string_at(&world.api.get(&path).await?.expect(200)?, "key")
}
