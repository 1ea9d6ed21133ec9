//! Svix's own clients, as published, drive the API through every operation that it has.

use hookseal_testkit::fake_endpoint::FakeEndpoint;
use serde_json::json;

use crate::support::peer::Peer;
use crate::support::world;

/// What each client calls: all operations of applications, event types, endpoints, messages and attempts.
const OPERATIONS_MIN: usize = 36;

#[tokio::test]
async fn the_client_for_python_works() -> anyhow::Result<()> {
    drive("Svix's client for Python", Peer::python("drive.py").await?).await
}

#[tokio::test]
async fn the_client_for_node_works() -> anyhow::Result<()> {
    drive("Svix's client for Node", Peer::node("drive.js").await?).await
}

async fn drive(what: &str, peer: Peer) -> anyhow::Result<()> {
    let world = world().start().await?;
    let receiver = FakeEndpoint::plain([200]).await?;
    let input = json!({
        "url": format!("http://{}", world.server.whereabouts().address()),
        "token": world.api.token(),
        "receiver": receiver.url(),
    });
    if let Some(operations) = peer.ask(what, &input).await? {
        let operations: usize = operations.trim().parse()?;
        println!("{what}: {operations} operations");
        assert!(operations >= OPERATIONS_MIN, "{operations} operations");
        assert!(receiver.received().len() >= 2, "too little arrived");
    }
    Ok(())
}
