//! The provider is told what happens to its customers' endpoints and deliveries.

use std::collections::BTreeMap;

use hookseal_domain::signature::key::SigningKey;
use hookseal_domain::signature::standard::sign;
use hookseal_domain::time::Timestamp;
use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::received::Received;
use hookseal_testkit::wait::until;
use hookseal_testkit::world::{Hook, Standing, World, string_at};
use serde_json::{Value, json};

use crate::support::world;

const ENDPOINTS: &str = "/api/v1/operational-webhook/endpoint";

/// A receiver of the provider's own.
pub(super) struct Told {
    id: String,
    receiver: FakeEndpoint,
}

impl Told {
    pub(super) async fn of(world: &World, properties: Value) -> anyhow::Result<Self> {
        let receiver = FakeEndpoint::plain([200]).await?;
        let mut endpoint = properties;
        endpoint["url"] = receiver.url().into();
        let made = world.api.post(ENDPOINTS, &endpoint).await?.expect(201)?;
        let id = string_at(&made, "id")?;
        Ok(Self { id, receiver })
    }

    /// The events that came so far.
    pub(super) fn received(&self) -> anyhow::Result<Vec<Value>> {
        let received = self.receiver.received().into_iter();
        let events = received.map(|one| serde_json::from_slice(&one.body));
        Ok(events.collect::<Result<_, _>>()?)
    }

    /// Waits until so many events of each type came, each signed, and returns their data.
    pub(super) async fn hears(
        &self,
        world: &World,
        expect: &[(&str, usize)],
    ) -> anyhow::Result<BTreeMap<String, Vec<Value>>> {
        let path = format!("{ENDPOINTS}/{}/secret", self.id);
        let secret = world.api.get(&path).await?.expect(200)?;
        let key = SigningKey::parse(&string_at(&secret, "key")?);
        let key = key.map_err(|violation| anyhow::anyhow!("{violation:?}"))?;
        let expect = expect
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count));
        let expect: BTreeMap<_, _> = expect.collect();
        let mut heard: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        let all = until("the events", async || {
            heard = BTreeMap::new();
            for received in self.receiver.received() {
                assert_eq!(
                    received.header("webhook-signature"),
                    signature(&received, &key)?
                );
                let mut event: Value = serde_json::from_slice(&received.body)?;
                let name = string_at(&event, "type")?;
                heard.entry(name).or_default().push(event["data"].take());
            }
            let counts: BTreeMap<_, _> = heard
                .iter()
                .map(|(name, data)| (name.clone(), data.len()))
                .collect();
            Ok((counts == expect).then_some(()))
        });
        if let Err(error) = all.await {
            anyhow::bail!("{error}: {heard:#?}");
        }
        Ok(heard)
    }
}

fn signature(received: &Received, key: &SigningKey) -> anyhow::Result<String> {
    let seconds: i64 = received.header("webhook-timestamp").parse()?;
    let at = Timestamp::from_millis(seconds * 1000);
    Ok(sign([key], received.webhook_id(), at, &received.body))
}

async fn change(world: &World, hook: &Hook, change: Value) -> anyhow::Result<()> {
    let path = world.path(&format!("/endpoint/{}", hook.id));
    world.api.patch(&path, &change).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn every_event_is_told_signed() -> anyhow::Result<()> {
    let world = world()
        .set(r#"delivery.retry_schedule=["50ms","50ms","50ms","50ms"]"#)
        .start()
        .await?;
    let told = Told::of(&world, json!({})).await?;
    let exhausted_only = json!({"eventTypes": ["message.attempt.exhausted"]});
    let little = Told::of(&world, exhausted_only).await?;

    let late = world
        .endpoint()
        .with(json!({"uid": "late", "eventTypes": ["late"]}))
        .replying([404, 404, 404, 404, 200])
        .await?;
    let never = json!({"eventTypes": ["never"]});
    let never = world.endpoint().with(never).replying([404]).await?;
    let gone = json!({"eventTypes": ["gone"]});
    let gone = world.endpoint().with(gone).replying([410]).await?;
    let arrived = world.publish("late").await?;
    let lost = world.publish("never").await?;
    let refused = world.publish("gone").await?;
    world.stands(&arrived, &late.id, Standing::Success).await?;
    world.stands(&lost, &never.id, Standing::Fail).await?;
    world.stands(&refused, &gone.id, Standing::Fail).await?;
    change(&world, &late, json!({"disabled": true})).await?;
    change(&world, &late, json!({"disabled": false})).await?;
    let path = world.path(&format!("/endpoint/{}", late.id));
    world.api.delete(&path).await?.expect(204)?;

    let heard = told
        .hears(
            &world,
            &[
                ("endpoint.created", 3),
                ("endpoint.updated", 2),
                ("endpoint.disabled", 2),
                ("endpoint.enabled", 1),
                ("endpoint.deleted", 1),
                ("message.attempt.failing", 2),
                ("message.attempt.recovered", 1),
                ("message.attempt.exhausted", 1),
            ],
        )
        .await?;
    let of_late = json!({"appId": world.app, "appUid": null, "endpointId": late.id,
        "endpointUid": "late"});
    assert_eq!(heard["endpoint.deleted"], [of_late]);
    let recovered = &heard["message.attempt.recovered"][0];
    let attempts = world.attempts(&arrived).await?;
    assert_eq!(
        recovered["lastAttempt"],
        json!({"id": attempts[4]["id"], "responseStatusCode": 200,
            "timestamp": attempts[4]["timestamp"]})
    );
    let exhausted = &heard["message.attempt.exhausted"][0];
    assert_eq!(exhausted["msgId"], *lost);
    let heard = little
        .hears(&world, &[("message.attempt.exhausted", 1)])
        .await?;
    assert_eq!(heard["message.attempt.exhausted"][0], *exhausted);

    let listed = world.list("/api/v1/app").await?;
    assert_eq!(listed.len(), 1, "they are no application among the others");
    Ok(())
}

#[tokio::test]
async fn they_are_managed_like_endpoints() -> anyhow::Result<()> {
    let world = world().start().await?;
    let list = async || world.list(ENDPOINTS).await;
    assert!(list().await?.is_empty());
    let one = format!("{ENDPOINTS}/theirs");
    world.api.get(&one).await?.expect(404)?;
    let told = Told::of(&world, json!({"uid": "theirs", "description": "One"})).await?;
    assert_eq!(list().await?.len(), 1);
    let url = told.receiver.url();
    let other = json!({"url": url, "description": "Other", "eventTypes": ["endpoint.created"]});
    let put = world.api.put(&one, &other).await?.expect(200)?;
    assert_eq!(
        (&put["id"], &put["description"]),
        (&json!(told.id), &json!("Other"))
    );
    assert_eq!(world.api.get(&one).await?.expect(200)?, put);

    let headers = format!("{one}/headers");
    let set = json!({"headers": {"x-team": "a", "x-token": "b"}});
    world.api.put(&headers, &set).await?.expect(204)?;
    assert_eq!(
        world.api.get(&headers).await?.expect(200)?,
        json!({"headers": {"x-team": "a"}, "sensitive": ["x-token"]})
    );
    let secret = async || world.api.get(&format!("{one}/secret")).await?.expect(200);
    let before = secret().await?;
    let rotate = format!("{one}/secret/rotate");
    let at_once = json!({"gracePeriodSeconds": 0});
    world.api.post(&rotate, &at_once).await?.expect(204)?;
    assert_ne!(secret().await?, before);
    let hook = world.endpoint().replying([200]).await?;
    let heard = told.hears(&world, &[("endpoint.created", 1)]).await?;
    assert_eq!(heard["endpoint.created"][0]["endpointId"], *hook.id);
    assert_eq!(told.receiver.received()[0].header("x-token"), "b");

    // By no other way.
    let below = world.path(&format!("/endpoint/{}", told.id));
    world.api.get(&below).await?.expect(404)?;
    world.api.delete(&one).await?.expect(204)?;
    assert!(list().await?.is_empty());
    Ok(())
}
