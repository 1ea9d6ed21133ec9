//! A fuzzer reads the served OpenAPI document and asks what it allows, and what it does not.

use hookseal_testkit::world::ORGANISATION;
use serde_json::json;

use crate::support::peer::Peer;
use crate::support::world;

/// Cases of each operation: with all that is set up before, some twenty seconds.
const CASES: usize = 4;
/// Fewer than this is not all of the document.
const CASES_MIN: usize = 200;

#[tokio::test]
async fn no_answer_is_outside_of_the_document() -> anyhow::Result<()> {
    // Endpoints with made-up URLs must not bother whoever has them.
    let world = world()
        .set("egress.proxies=nowhere=http://127.0.0.1:1")
        .set("egress.proxy=nowhere");
    let world = world.start().await?;
    let input = json!({
        "url": format!("http://{}", world.server.whereabouts().address()),
        "token": world.api.token(),
        "org": ORGANISATION,
        "cases": CASES,
    });
    let peer = Peer::python_of("fuzz", "fuzz.py").await?;
    if let Some(cases) = peer.ask("schemathesis", &input).await? {
        let cases: usize = cases.trim().parse()?;
        println!("schemathesis: {cases} cases");
        assert!(cases >= CASES_MIN, "{cases} cases");
    }
    Ok(())
}
