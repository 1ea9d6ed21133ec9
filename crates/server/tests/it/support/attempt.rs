//! Attempts as the API shows them, for people.

use hookseal_testkit::world::World;

/// A line for each attempt of a message, oldest first: its outcome, its status, why it was made.
pub(crate) async fn timeline(world: &World, message: &str) -> anyhow::Result<String> {
    let attempts = world.attempts(message).await?;
    let lines = attempts.iter().map(|attempt| {
        let outcome = attempt["outcome"].as_str().unwrap_or("no outcome");
        let status = match attempt["responseStatusCode"].as_u64() {
            Some(0) | None => String::new(),
            Some(code) => format!(" {code}"),
        };
        let trigger = match attempt["triggerType"].as_u64() {
            Some(0) => "",
            Some(1) => ", sent again",
            _ => ", no trigger",
        };
        format!("{outcome}{status}{trigger}")
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}
