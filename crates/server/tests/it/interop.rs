//! What arrives is verified by the receiver libraries of others, byte for byte.

use std::collections::BTreeMap;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hookseal_domain::signature::key::SigningKey;
use hookseal_domain::signature::standard::sign;
use hookseal_domain::time::Timestamp;
use hookseal_testkit::received::Received;
use hookseal_testkit::world::{Hook, World, string_at};
use serde_json::json;

use crate::support::peer::Peer;
use crate::support::world;

/// The key pair and the signature that Svix's server publishes for `v1a`, over the specification's own example.
const VECTOR_PRIVATE: &str =
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
const VECTOR_PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
const VECTOR_SIGNATURE: &str =
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==";
const VECTOR_ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const VECTOR_SECS: i64 = 1_614_265_330;
const VECTOR_BODY: &[u8] = br#"{"test": 2432232314}"#;

/// How the keys begin that receivers get, for `v1` and `v1a`.
const BOTH: [&str; 2] = ["whsec_", "whpk_"];

/// Some other receiver's keys.
const OTHER_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_PUBLIC: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// Payloads that a careless relay would change.
const PAYLOADS: [&[u8]; 4] = [
    br#"{"id":42,"sum":"12.50"}"#,
    "{ \"name\" :\t\"Żółć 🦭\",\r\n  \"escaped\": \"\\u017b\\/\" }\n".as_bytes(),
    br#"{"big":1e400,"exact":0.1000,"long":123456789012345678901234567890}"#,
    br#"{}"#,
];

/// A request as a receiver got it, or as somebody forged it, and whether it is genuine.
#[derive(Clone, Debug)]
struct Judged {
    name: String,
    key: String,
    headers: BTreeMap<String, String>,
    body: Bytes,
    is_genuine: bool,
}

/// The headers that verification looks at, under both names.
const SIGNED_HEADERS: [&str; 6] = [
    "svix-id",
    "svix-signature",
    "svix-timestamp",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

#[tokio::test]
async fn libraries_of_python_accept_what_arrives() -> anyhow::Result<()> {
    judge(
        "receiver libraries of Python",
        Peer::python("verify.py").await?,
        &BOTH,
    )
    .await
}

#[tokio::test]
async fn libraries_of_node_accept_what_arrives() -> anyhow::Result<()> {
    judge(
        "receiver libraries of Node",
        Peer::node("verify.js").await?,
        &BOTH,
    )
    .await
}

#[tokio::test]
async fn libraries_of_rust_accept_what_arrives() -> anyhow::Result<()> {
    judge(
        "receiver libraries of Rust",
        Peer::rust("hookseal-interop").await?,
        &BOTH[..1],
    )
    .await
}

#[test]
fn the_published_vector_of_v1a() {
    let key = SigningKey::parse(VECTOR_PRIVATE).unwrap();
    let at = Timestamp::from_millis(VECTOR_SECS * 1000);
    assert_eq!(sign([&key], VECTOR_ID, at, VECTOR_BODY), VECTOR_SIGNATURE);
    assert_eq!(key.receiver_text().expose(), VECTOR_PUBLIC);
}

/// Lets a peer judge real deliveries and forged ones, of the kinds of keys that it knows.
async fn judge(what: &str, peer: Peer, kinds: &[&str]) -> anyhow::Result<()> {
    let mut deliveries = deliveries().await?;
    deliveries.retain(|judged| kinds.iter().any(|kind| judged.key.starts_with(kind)));
    let request = json!({
        "deliveries": deliveries.iter().map(|judged| json!({
            "name": judged.name,
            "key": judged.key,
            "headers": judged.headers,
            "body": STANDARD.encode(&judged.body),
        })).collect::<Vec<_>>(),
    });
    let Some(answer) = peer.ask(what, &request).await? else {
        return Ok(());
    };
    let verdicts: BTreeMap<String, BTreeMap<String, String>> = serde_json::from_str(&answer)?;
    let mut wrong = Vec::new();
    let mut count = 0;
    for judged in &deliveries {
        let verdicts = verdicts
            .get(&judged.name)
            .context("a delivery was not judged")?;
        anyhow::ensure!(!verdicts.is_empty(), "nobody judged {}", judged.name);
        for (library, verdict) in verdicts {
            count += 1;
            if (verdict == "accepted") != judged.is_genuine {
                wrong.push(format!("{}: {library} {verdict}", judged.name));
            }
        }
    }
    println!(
        "{what}: {count} verdicts on {} deliveries",
        deliveries.len()
    );
    assert_eq!(wrong, [""; 0]);
    Ok(())
}

/// Deliveries as they arrived at receivers with keys of each kind, and forgeries of them.
async fn deliveries() -> anyhow::Result<Vec<Judged>> {
    let world = world().start().await?;
    let mut all = Vec::new();

    let hook = world.endpoint().over_tls().replying([200]).await?;
    for payload in PAYLOADS {
        world.publish_bytes("invoice.paid", payload).await?;
    }
    let secret = receiver_key(&world, &hook).await?;
    for received in hook.receives(PAYLOADS.len()).await? {
        let judged = Judged::genuine(
            &format!("v1 of {}", received.webhook_id()),
            &secret,
            &received,
        );
        all.extend(judged.forgeries(OTHER_SECRET));
        all.push(judged);
    }
    world
        .api
        .delete(&world.path(&format!("/endpoint/{}", hook.id)))
        .await?
        .expect(204)?;

    let hook = world
        .endpoint()
        .with(json!({"secret": VECTOR_PRIVATE}))
        .replying([200])
        .await?;
    assert_eq!(receiver_key(&world, &hook).await?, VECTOR_PUBLIC);
    world.publish("invoice.paid").await?;
    let judged = Judged::genuine("v1a", VECTOR_PUBLIC, &hook.receives_one().await?);
    all.extend(judged.forgeries(OTHER_PUBLIC));
    all.push(judged);

    // Two keys sign while one is being replaced by the other: either is enough.
    let rotate = world.path(&format!("/endpoint/{}/secret/rotate", hook.id));
    let answer = world
        .api
        .post(&rotate, &json!({"key": OTHER_SECRET}))
        .await?;
    anyhow::ensure!(answer.status.is_success(), "{answer}");
    world.publish("invoice.paid").await?;
    let received = hook.receives(2).await?;
    let received = received.last().context("nothing arrived")?;
    all.push(Judged::genuine("old key of two", VECTOR_PUBLIC, received));
    all.push(Judged::genuine("new key of two", OTHER_SECRET, received));

    let batch = json!({"batch": {"maxEvents": PAYLOADS.len(), "maxWaitMs": 60_000}});
    let hook = world.endpoint().with(batch).replying([200]).await?;
    for payload in PAYLOADS {
        world.publish_bytes("invoice.paid", payload).await?;
    }
    let key = receiver_key(&world, &hook).await?;
    let judged = Judged::genuine("a batch", &key, &hook.receives_one().await?);
    all.extend(judged.forgeries(OTHER_SECRET));
    all.push(judged);

    all.extend(stale(&secret)?);
    Ok(all)
}

/// What the API says a receiver needs to verify.
async fn receiver_key(world: &World, hook: &Hook) -> anyhow::Result<String> {
    let path = world.path(&format!("/endpoint/{}/secret", hook.id));
    string_at(&world.api.get(&path).await?.expect(200)?, "key")
}

/// Rightly signed, but so long ago that it must be a replay; the published vector, which is as old, but whose judges
/// look at the signature only.
fn stale(secret: &str) -> anyhow::Result<[Judged; 2]> {
    let at = Timestamp::from_millis(VECTOR_SECS * 1000);
    let key = SigningKey::parse(secret)?;
    let judged = |name: &str, key: &str, signature: &str| Judged {
        name: name.to_owned(),
        key: key.to_owned(),
        headers: SIGNED_HEADERS
            .iter()
            .map(|header| {
                let value = match header.rsplit('-').next() {
                    Some("id") => VECTOR_ID.to_owned(),
                    Some("timestamp") => VECTOR_SECS.to_string(),
                    _ => signature.to_owned(),
                };
                ((*header).to_owned(), value)
            })
            .collect(),
        body: Bytes::from_static(VECTOR_BODY),
        is_genuine: false,
    };
    let replay = judged(
        "a replay",
        secret,
        &sign([&key], VECTOR_ID, at, VECTOR_BODY),
    );
    let vector = Judged {
        is_genuine: true,
        ..judged("the published vector", VECTOR_PUBLIC, VECTOR_SIGNATURE)
    };
    Ok([replay, vector])
}

// === impl Judged ===

impl Judged {
    fn genuine(name: &str, key: &str, received: &Received) -> Self {
        let header = |name: &&str| ((*name).to_owned(), received.header(name).to_owned());
        Self {
            name: name.to_owned(),
            key: key.to_owned(),
            headers: SIGNED_HEADERS.iter().map(header).collect(),
            body: received.body.clone(),
            is_genuine: true,
        }
    }

    /// The same with one thing changed.
    fn forgeries(&self, other_key: &str) -> Vec<Self> {
        let forged = |how: &str| Self {
            name: format!("{} with {how}", self.name),
            is_genuine: false,
            ..self.clone()
        };
        let with_header = |how: &str, ending: &str, value: &str| {
            let mut forged = forged(how);
            for (name, old) in &mut forged.headers {
                if name.ends_with(ending) {
                    value.clone_into(old);
                }
            }
            forged
        };
        let mut body = self.body.to_vec();
        body.push(b' ');
        vec![
            Self {
                body: body.into(),
                ..forged("a space more")
            },
            Self {
                key: other_key.to_owned(),
                ..forged("another key")
            },
            with_header("another id", "-id", VECTOR_ID),
            with_header("another time", "-timestamp", "4102444800"),
            with_header(
                "another signature",
                "-signature",
                &format!("v1,{}", STANDARD.encode([7; 32])),
            ),
        ]
    }
}
