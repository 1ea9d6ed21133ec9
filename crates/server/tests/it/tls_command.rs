//! `hookseal tls` against a running server, as an engineer uses it who has to find out why nothing
//! arrives.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::path::Path;
use std::process::{Command, Output};

use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::test_ca::{LeafSpec, TestCa, Validity};
use hookseal_testkit::world::World;
use serde_json::json;

use crate::support::{binary, world};

/// Runs a command against the world's server, with its token.
fn tls(world: &World, folder: &Path, arguments: &[&str]) -> Output {
    let address = world.server.whereabouts().address();
    Command::new(binary())
        .arg("tls")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOOKSEAL_URL", format!("http://{address}"))
        .env("HOOKSEAL_TOKEN", world.api.token().unwrap_or_default())
        .output()
        .unwrap()
}

#[track_caller]
fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(err));
    String::from_utf8_lossy(out).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_says_why() -> anyhow::Result<()> {
    let world = world().start().await?;
    let folder = tempfile::tempdir()?;
    let run = |arguments: &[&str]| tls(&world, folder.path(), arguments);
    let expired = LeafSpec {
        validity: Validity::Past,
        ..LeafSpec::default()
    };
    let receiver = FakeEndpoint::tls(&world.ca.issue(&expired)?, [200]).await?;
    let endpoint = world.subscribe(&receiver.url_by_name(), &json!({})).await?;
    let explain = ["explain", "--endpoint", &endpoint];

    let before = said(&run(&explain));
    assert!(before.contains("NOT_SEEN: "), "{before}");

    let message = world.publish("invoice.paid").await?;
    world.attempted(&message, 1).await?;
    let why = world_says(&run, &explain, "FAILED: ").await?;
    for expect in [
        "code peer_expired, fault receiver, tried again later\n",
        "  -> The receiver has to install a current certificate.\n",
        "  tlsMinVersion      1.3 ",
        "Last handshake, ",
        "  sent       ",
    ] {
        assert!(why.contains(expect), "{expect:?} is not in\n{why}");
    }

    let output = run(&["probe", "--endpoint", &endpoint]);
    assert_eq!(output.status.code(), Some(1), "the handshake failed");
    let probed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(probed.contains(r#""result": "peer_expired""#), "{probed}");
    assert_eq!(receiver.received().len(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_can_be_set_from_files() -> anyhow::Result<()> {
    let world = world().start().await?;
    let folder = tempfile::tempdir()?;
    let run = |arguments: &[&str]| tls(&world, folder.path(), arguments);
    let leaf = world.ca.issue(&LeafSpec::default())?;
    let receiver = FakeEndpoint::tls(&leaf, [200]).await?;
    let endpoint = world.subscribe(&receiver.url_by_name(), &json!({})).await?;
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
    write("ca.pem", &world.ca.root_pem())?;
    write(
        "policy.json",
        r#"{"trust": "private", "trustAnchors": "ours"}"#,
    )?;
    write("key.pem", &TestCa::new("Reserve")?.root_pem())?;

    said(&run(&["anchors", "set", "ours", "ca.pem"]));
    said(&run(&["policy", "set", "default", "policy.json"]));
    let learned = said(&run(&["pins", "--endpoint", &endpoint, "learn"]));
    assert!(learned.contains(&leaf.spki_sha256()), "{learned}");
    let pins = ["pins", "--endpoint", &endpoint];
    let pin = leaf.spki_sha256();
    said(&run(&[
        &pins[..],
        &["learn", "--confirm", &pin, "--note", "live"],
    ]
    .concat()));
    said(&run(
        &[&pins[..], &["add", "key.pem", "--note", "reserve"]].concat()
    ));
    let listed = said(&run(&[&pins[..], &["list"]].concat()));
    assert!(listed.contains("\"note\": \"live\""), "{listed}");
    assert!(listed.contains("\"note\": \"reserve\""), "{listed}");
    said(&run(
        &[&pins[..], &["set", &pin, "active", "--force"]].concat()
    ));
    write("enforce.json", r#"{"own": {"pinning": "enforce"}}"#)?;
    let change = [
        "endpoint",
        "--endpoint",
        &endpoint,
        "--change",
        "enforce.json",
    ];
    let changed = said(&run(&change));
    assert!(changed.contains("enforce"), "{changed}");
    let last = run(&[&pins[..], &["remove", &pin]].concat());
    assert_eq!(last.status.code(), Some(1), "no backup would be left");

    let request = [
        "identity",
        "request",
        "shop",
        "--common-name",
        "shop.example",
    ];
    let requested = said(&run(&request));
    assert!(
        requested.contains("BEGIN CERTIFICATE REQUEST"),
        "{requested}"
    );
    assert!(!requested.contains("PRIVATE KEY"), "{requested}");

    let in_use = run(&["anchors", "delete", "ours"]);
    assert_eq!(in_use.status.code(), Some(1));
    let words = String::from_utf8_lossy(&in_use.stderr).into_owned();
    assert!(words.contains("in_use"), "{words}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_it_says_how_to_get_one() -> anyhow::Result<()> {
    let output = Command::new(binary())
        .args(["tls", "policy", "list"])
        .env_clear()
        .output()?;
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        words.contains("export HOOKSEAL_TOKEN=$(hookseal token"),
        "{words}"
    );
    Ok(())
}

/// Handshakes are kept within a second or so.
async fn world_says(
    run: &impl Fn(&[&str]) -> Output,
    arguments: &[&str],
    expect: &str,
) -> anyhow::Result<String> {
    hookseal_testkit::wait::until("the explanation", async || {
        let text = said(&run(arguments));
        Ok(text.contains(expect).then_some(text))
    })
    .await
}
