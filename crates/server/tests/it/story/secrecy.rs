//! What nobody but the receiver may read: neither in the log nor on the disk.

use std::path::Path;

use hookseal_testkit::reply::Reply;
use hookseal_testkit::world::{Hook, Standing, World, string_at};
use serde_json::json;

use crate::support::world;

const PAYLOAD: &str = "needle-in-the-payload";
const HEADER: &str = "needle-in-a-header";
const RESPONSE: &str = "needle-in-the-response";
const QUERY: &str = "needle-in-the-query";
/// Of an endpoint; nobody wants it sealed, so that it shows that the search finds things.
const DESCRIPTION: &str = "needle-in-the-open";

#[tokio::test]
async fn the_log_tells_no_secret() -> anyhow::Result<()> {
    let world = world()
        .set("log.filter=info,hookseal=trace")
        .start()
        .await?;
    let (hook, key) = deliver(&world).await?;
    let log = world.server.log();
    assert!(
        log.contains(&hook.id),
        "the log does not tell of the endpoint at all"
    );
    for needle in [PAYLOAD, HEADER, RESPONSE, QUERY, &key] {
        assert!(!log.contains(needle), "{needle} is in the log");
    }
    Ok(())
}

#[tokio::test]
async fn the_disk_tells_no_secret() -> anyhow::Result<()> {
    let mut world = world().start().await?;
    let (_hook, key) = deliver(&world).await?;
    world.server.kill()?;
    let killed = bytes_below(&world.server.data_dir())?;
    world.server.start_again().await?;
    world.server.stop().await?;
    let stopped = bytes_below(&world.server.data_dir())?;
    let key = key.trim_start_matches("whsec_");
    for bytes in [killed, stopped] {
        assert!(
            contains(&bytes, DESCRIPTION),
            "the search finds nothing at all"
        );
        for needle in [PAYLOAD, HEADER, RESPONSE, key] {
            assert!(!contains(&bytes, needle), "{needle} is on the disk");
        }
    }
    Ok(())
}

/// A delivery that fails once, with a needle in everything that is to be kept.
async fn deliver(world: &World) -> anyhow::Result<(Hook, String)> {
    let receiver = Reply::status(500).body(RESPONSE);
    let hook = world.endpoint().replying([receiver, 200.into()]).await?;
    let path = world.path(&format!("/endpoint/{}", hook.id));
    let changed = json!({
        "url": format!("{}?token={QUERY}", hook.url()),
        "description": DESCRIPTION,
    });
    world.api.patch(&path, &changed).await?.expect(200)?;
    let headers = json!({"headers": {"x-api-key": HEADER}});
    world
        .api
        .put(&format!("{path}/headers"), &headers)
        .await?
        .expect(204)?;
    let key = string_at(
        &world
            .api
            .get(&format!("{path}/secret"))
            .await?
            .expect(200)?,
        "key",
    )?;

    let payload = format!(r#"{{"text":"{PAYLOAD}"}}"#);
    let message = world
        .publish_bytes("invoice.paid", payload.as_bytes())
        .await?;
    world.stands(&message, &hook.id, Standing::Success).await?;
    let received = hook.receives(2).await?;
    assert_eq!(received[1].header("x-api-key"), HEADER);
    assert_eq!(received[1].path, format!("/hook?token={QUERY}"));
    assert_eq!(received[1].body, payload);
    assert_eq!(world.attempts(&message).await?[0]["response"], RESPONSE);
    Ok((hook, key))
}

/// All files of a folder and what is below it, one after the other.
fn bytes_below(folder: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            bytes.extend(bytes_below(&path)?);
        } else {
            bytes.extend(std::fs::read(&path)?);
        }
    }
    Ok(bytes)
}

fn contains(bytes: &[u8], needle: &str) -> bool {
    bytes
        .windows(needle.len())
        .any(|window| window == needle.as_bytes())
}
