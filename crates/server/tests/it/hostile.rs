//! Receivers that misbehave: each costs its own lane a bounded time and memory, and is described rightly.

use hookseal_testkit::hostile_endpoint::{HostileEndpoint, Hostility};
use hookseal_testkit::test_ca::LeafSpec;
use hookseal_testkit::world::World;
use serde_json::{Value, json};

use crate::support::world;

/// Deliveries to a healthy receiver beside the hostile one.
const MESSAGES: usize = 10;
/// What the server may ever hold; the answers are 100 MB and more.
const MEMORY_BYTES_MAX: u64 = 200 << 20;

/// What becomes of a delivery to a hostile receiver.
struct Expect {
    outcome: &'static str,
    /// 0 for none.
    status: u64,
}

const ACCEPTED: Expect = Expect {
    outcome: "accepted",
    status: 200,
};
const TIMED_OUT: Expect = Expect {
    outcome: "timed_out",
    status: 0,
};
const UNREACHABLE: Expect = Expect {
    outcome: "unreachable",
    status: 0,
};

#[tokio::test]
async fn stalls_cost_a_deadline() -> anyhow::Result<()> {
    let cases = [
        (Hostility::StallBeforeHeaders, TIMED_OUT),
        (Hostility::StallInHeaders, TIMED_OUT),
        // A status that was sent is not taken back.
        (Hostility::StallAfterHeaders, ACCEPTED),
    ];
    endure_each(&cases, Over::Plain).await
}

#[tokio::test]
async fn floods_are_cut_off() -> anyhow::Result<()> {
    let cases = [
        (Hostility::EndlessBody, ACCEPTED),
        (Hostility::HugeHeader, UNREACHABLE),
        (Hostility::EndlessHeaders, UNREACHABLE),
        (Hostility::BodyTooLong, ACCEPTED),
    ];
    endure_each(&cases, Over::Plain).await
}

#[tokio::test]
async fn broken_answers_are_described() -> anyhow::Result<()> {
    let redirect = Expect {
        outcome: "retry",
        status: 302,
    };
    let cases = [
        (Hostility::HalfClose, UNREACHABLE),
        (Hostility::CloseAtOnce, UNREACHABLE),
        (Hostility::BodyTooShort, ACCEPTED),
        (Hostility::TwoLengths, UNREACHABLE),
        (Hostility::Garbage, UNREACHABLE),
        (Hostility::RedirectToMetadata, redirect),
    ];
    endure_each(&cases, Over::Plain).await
}

#[tokio::test]
async fn broken_tls_is_described() -> anyhow::Result<()> {
    let cases = [
        (Hostility::CutHandshake, UNREACHABLE),
        (Hostility::StallInHandshake, TIMED_OUT),
        (Hostility::CutTlsBody, ACCEPTED),
        (Hostility::EndlessBody, ACCEPTED),
        (Hostility::HugeHeader, UNREACHABLE),
    ];
    endure_each(&cases, Over::Tls).await
}

#[derive(Clone, Copy)]
enum Over {
    Plain,
    Tls,
}

/// All of them at once, beside a healthy receiver.
async fn endure_each(cases: &[(Hostility, Expect)], over: Over) -> anyhow::Result<()> {
    let world = world()
        .set("delivery.timeout=2s")
        .set("delivery.retry_schedule=[]")
        // Each message is to be tried at once, whatever failed before it.
        .set("breaker.failures=1000")
        .set("breaker.attempts=1000000")
        .start()
        .await?;
    let healthy = world.endpoint().over_tls().replying([200]).await?;
    let mut hostiles = Vec::new();
    for (hostility, expect) in cases {
        let hostile = match over {
            Over::Plain => HostileEndpoint::plain(*hostility).await?,
            Over::Tls => {
                let leaf = world.ca.issue(&LeafSpec::default())?;
                HostileEndpoint::tls(*hostility, &leaf).await?
            }
        };
        let id = world.subscribe(&hostile.url(), &json!({})).await?;
        hostiles.push((hostile, id, hostility, expect));
    }
    let mut messages = Vec::new();
    for _ in 0..MESSAGES {
        messages.push(world.publish("invoice.paid").await?);
    }
    healthy.receives(MESSAGES).await?;

    for (hostile, id, hostility, expect) in &hostiles {
        for message in &messages {
            let attempt = attempt_of(&world, message, id).await?;
            assert_eq!(
                attempt["outcome"], expect.outcome,
                "{hostility:?}: {attempt}"
            );
            let status = attempt["responseStatusCode"].as_u64().unwrap_or_default();
            assert_eq!(status, expect.status, "{hostility:?}: {attempt}");
            let is_told = attempt["reason"]
                .as_str()
                .is_some_and(|reason| !reason.is_empty());
            assert!(is_told || expect.status != 0, "{hostility:?}: {attempt}");
        }
        println!(
            "{hostility:?}: {} connections, {} bytes",
            hostile.connections(),
            hostile.written_bytes()
        );
    }
    let peak = world.server.memory_peak_bytes()?;
    println!("memory peak: {} MiB", peak >> 20);
    assert!(
        peak < MEMORY_BYTES_MAX,
        "the server had {peak} bytes at once"
    );
    Ok(())
}

/// The first attempt of a message to an endpoint, once it is made.
async fn attempt_of(world: &World, message: &str, endpoint: &str) -> anyhow::Result<Value> {
    hookseal_testkit::wait::until(&format!("{message} to {endpoint} is tried"), async || {
        let attempts = world.attempts(message).await?;
        Ok(attempts
            .into_iter()
            .find(|attempt| attempt["endpointId"] == *endpoint))
    })
    .await
}
