//! Svix's own clients, as published, drive the API through the operations that they have: from the first application to
//! imports, recovery, portals, statistics, and the story that Svix tests its clients by.

use hookseal_testkit::fake_endpoint::FakeEndpoint;
use serde_json::json;

use crate::support::peer::Peer;
use crate::support::world;

/// What each client calls at least: that for Node, the oldest of them, has fewest operations.
const OPERATIONS_MIN: usize = 60;

#[tokio::test]
async fn the_client_for_python_works() -> anyhow::Result<()> {
    drive("Svix's client for Python", Peer::python("drive.py").await?).await
}

#[tokio::test]
async fn the_client_for_node_works() -> anyhow::Result<()> {
    drive("Svix's client for Node", Peer::node("drive.js").await?).await
}

#[tokio::test]
async fn the_client_for_rust_works() -> anyhow::Result<()> {
    drive("Svix's client for Rust", Peer::rust("drive").await?).await
}

async fn drive(what: &str, peer: Peer) -> anyhow::Result<()> {
    // What fails once has failed, and can be recovered.
    let world = world().set("delivery.retry_schedule=[]").start().await?;
    let receiver = FakeEndpoint::plain([200]).await?;
    let broken = FakeEndpoint::plain([500, 500, 500, 200]).await?;
    let input = json!({
        "url": format!("http://{}", world.server.whereabouts().address()),
        "token": world.api.token(),
        "receiver": receiver.url(),
        "broken": broken.url(),
    });
    if let Some(operations) = peer.ask(what, &input).await? {
        let operations: usize = operations.trim().parse()?;
        println!("{what}: {operations} operations");
        assert!(operations >= OPERATIONS_MIN, "{operations} operations");
        assert!(receiver.received().len() >= 8, "too little arrived");
        assert_eq!(
            broken.received().len(),
            6,
            "three failed, and were recovered once"
        );
    }
    Ok(())
}
