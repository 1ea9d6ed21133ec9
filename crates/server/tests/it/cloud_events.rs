//! CloudEvents: published and delivered in both modes, judged by the official libraries.

use std::collections::BTreeMap;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hookseal_domain::signature::key::SigningKey;
use hookseal_domain::signature::standard::sign;
use hookseal_domain::time::Timestamp;
use hookseal_testkit::world::string_at;
use serde_json::{Value, json};

use crate::support::peer::Peer;
use crate::support::world;

#[tokio::test]
async fn the_library_for_python_reads_what_arrives_and_is_understood() -> anyhow::Result<()> {
    let script = "cloud_events.py";
    let peers = [Peer::python(script).await?, Peer::python(script).await?];
    judge("CloudEvents for Python", peers).await
}

#[tokio::test]
async fn the_library_for_node_reads_what_arrives_and_is_understood() -> anyhow::Result<()> {
    let script = "cloud_events.js";
    let peers = [Peer::node(script).await?, Peer::node(script).await?];
    judge("CloudEvents for Node", peers).await
}

/// The library publishes an event in each mode; what arrives in each mode is handed to it again, and
/// it says what it reads.
async fn judge(what: &str, [publisher, reader]: [Peer; 2]) -> anyhow::Result<()> {
    let world = world().start().await?;
    let formats = ["cloudevents-structured", "cloudevents-binary", "standard"];
    let mut hooks = Vec::new();
    for format in formats {
        let with = json!({"deliveryFormat": format});
        hooks.push(world.endpoint().with(with).replying([200]).await?);
    }
    let address = world.server.whereabouts().address();
    let input = json!({
        "do": "publish",
        "url": format!("http://{address}{}", world.path("/cloudevents")),
        "token": world.api.token(),
    });
    let Some(answer) = publisher.ask(what, &input).await? else {
        return Ok(());
    };
    let published: Vec<Value> = serde_json::from_str(&answer)?;
    assert_eq!(published.len(), 2, "one in each mode: {published:?}");
    world.publish("invoice.paid").await?;

    let mut deliveries = Vec::new();
    for (hook, format) in hooks.iter().zip(formats) {
        let path = world.path(&format!("/endpoint/{}/secret", hook.id));
        let secret = string_at(&world.api.get(&path).await?.expect(200)?, "key")?;
        let key = SigningKey::parse(&secret)?;
        for received in hook.receives(3).await? {
            // Whatever the form, the signature is that of the body as it was sent.
            let secs: i64 = received.header("webhook-timestamp").parse()?;
            let at = Timestamp::from_millis(secs * 1000);
            let signature = sign([&key], received.webhook_id(), at, &received.body);
            assert_eq!(received.header("webhook-signature"), signature);
            let headers: BTreeMap<_, _> = received
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default()))
                .map(|(name, value)| (name, value.to_owned()))
                .collect();
            if format == "standard" {
                assert_eq!(headers["content-type"], "application/json");
                assert!(!headers.keys().any(|name| name.starts_with("ce-")));
                continue;
            }
            deliveries.push(json!({"format": format, "id": received.webhook_id(),
                "headers": headers, "body": STANDARD.encode(&received.body)}));
        }
    }
    let input = json!({"do": "read", "deliveries": deliveries});
    let answer = reader.ask(what, &input).await?.unwrap_or_default();
    let read: Vec<Value> = serde_json::from_str(&answer)?;
    assert_eq!(read.len(), 6);
    for (format, events) in formats.iter().zip(read.chunks(3)) {
        for event in &published {
            let same = events.iter().find(|read| read["id"] == event["id"]);
            let same = same.with_context(|| format!("{format}: {event} is not in {events:?}"))?;
            for (name, value) in event.as_object().into_iter().flatten() {
                assert_eq!(&same[name], value, "{what} {format} {name}");
            }
        }
        // What was published in another way has a source, too.
        let own = events.iter().find(|read| read["type"] == "invoice.paid");
        let own = own.with_context(|| format!("{format}: {events:?}"))?;
        assert!(
            own["id"].as_str().is_some_and(|id| id.starts_with("msg_")),
            "{own}"
        );
        let source = own["source"].as_str().unwrap_or_default();
        assert!(source.starts_with("/app/app_"), "{own}");
    }
    println!("{what}: {} deliveries", read.len());
    Ok(())
}
