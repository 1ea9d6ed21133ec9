//! A store that is slow or full turns publishes away, says so, goes on reading, and loses nothing. How quick what is
//! accepted stays under too much load is measured in `bench`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use hookseal_testkit::api_client::{Answer, ApiClient, Whereabouts};
use hookseal_testkit::reply::Reply;
use hookseal_testkit::server_process::Disk;
use hookseal_testkit::wait::until;
use hookseal_testkit::world::{Hook, World, string_at};
use serde_json::json;

use crate::support::load::Load;
use crate::support::world;

/// Many more than are let in while the store stalls.
const CLIENTS: usize = 64;
/// Holds the database from writing until its input closes.
const HOLD: &str = "import sqlite3, sys\n\
    c = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
    c.execute('BEGIN IMMEDIATE')\n\
    print('held', flush=True)\n\
    sys.stdin.read()\n\
    c.execute('ROLLBACK')";
/// Room for the database of a small server, and little more.
const DISK_MIB: u32 = 24;
/// More than fit.
const MESSAGES_MAX: usize = 2000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_held_turns_publishes_away_and_loses_none() -> anyhow::Result<()> {
    let world = world().start().await?;
    let hook = world.endpoint().replying([200]).await?;
    let load = Load::start(&world, CLIENTS);
    hook.receives(CLIENTS).await?;
    let Some(held) = Held::from_writing(&world.server.data_dir())? else {
        return Ok(());
    };
    let refused = until("a publish is turned away", async || {
        let answer = publish(&world, 100).await?;
        Ok((answer.status != 202).then_some(answer))
    });
    assert_refused(&refused.await?, "overloaded", "1");
    until("others are before anything is spent on them", async || {
        let shed = metric(&world, r#"hookseal_publishes_shed_total{reason="waiting"}"#).await?;
        Ok((shed > 0.0).then_some(()))
    })
    .await?;
    // Whoever has no token is told the same, since nobody looks at it.
    let stranger = world.api.with_token(None);
    until("nobody is asked for a token", async || {
        let answer = stranger.post(&world.path("/msg"), &json!({})).await?;
        Ok((answer.status == 503).then_some(()))
    })
    .await?;
    world.api.get(&world.path("")).await?.expect(200)?;
    world.api.get(&world.path("/msg")).await?.expect(200)?;
    held.let_go()?;
    until("publishes are accepted again", async || {
        Ok((publish(&world, 100).await?.status == 202).then_some(()))
    })
    .await?;
    arrives(&hook, load.stop().await?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_turns_publishes_away_until_there_is_room_and_loses_none() -> anyhow::Result<()>
{
    if !Disk::can_be_small() {
        println!("SKIPPED a full disk: `unshare -m` is not allowed");
        return Ok(());
    }
    let world = world()
        .on_a_disk_of(DISK_MIB)
        .set(r#"delivery.retry_schedule=["1s"]"#)
        .start()
        .await?;
    // Slow enough that the disk is full before the first results come.
    let slow = Reply::status(200).after(Duration::from_secs(1));
    let hook = world.endpoint().replying([slow]).await?;
    let mut acknowledged = BTreeSet::new();
    for _ in 0..20 {
        acknowledged.insert(world.publish("invoice.paid").await?);
    }
    let ballast = fill(&world.server.data_dir())?;
    let refused = loop {
        let answer = publish(&world, 20_000).await?;
        if answer.status != 202 {
            break answer;
        }
        acknowledged.insert(string_at(&answer.json()?, "id")?);
        assert!(acknowledged.len() < MESSAGES_MAX, "it gets full");
    };
    assert_refused(&refused, "storage_full", "30");
    // At once, without a look at the disk.
    assert_refused(&publish(&world, 20_000).await?, "storage_full", "30");
    let shed = metric(
        &world,
        r#"hookseal_publishes_shed_total{reason="disk_full"}"#,
    )
    .await?;
    assert!(shed > 0.0);
    // What was accepted is delivered, although no result can be taken down.
    arrives(&hook, acknowledged.clone()).await?;
    world.api.get(&world.path("")).await?.expect(200)?;
    assert!(!world.list(&world.path("/msg")).await?.is_empty());
    admin(&world).get("/health/ready").await?.expect(204)?;

    std::fs::remove_file(ballast)?;
    until("publishes are accepted again", async || {
        let answer = publish(&world, 20_000).await?;
        if answer.status == 202 {
            acknowledged.insert(string_at(&answer.json()?, "id")?);
            return Ok(Some(()));
        }
        Ok(None)
    })
    .await?;
    arrives(&hook, acknowledged).await?;
    until("nothing is left unfinished", async || {
        let path = world.path(&format!("/endpoint/{}/msg?limit=1&status=1", hook.id));
        let pending = world.api.get(&path).await?.expect(200)?;
        let path = world.path(&format!("/endpoint/{}/msg?limit=1&status=3", hook.id));
        let sending = world.api.get(&path).await?.expect(200)?;
        Ok((pending["data"] == json!([]) && sending["data"] == json!([])).then_some(()))
    })
    .await
}

/// Publishes a payload of so many bytes.
async fn publish(world: &World, bytes: usize) -> anyhow::Result<Answer> {
    let message = json!({"eventType": "invoice.paid", "payload": {"text": "x".repeat(bytes)}});
    let path = world.path("/msg?with_content=false");
    world.api.post(&path, &message).await
}

#[track_caller]
fn assert_refused(answer: &Answer, code: &str, retry_after: &str) {
    assert_eq!(answer.status, 503, "{answer}");
    assert_eq!(answer.headers["retry-after"], retry_after, "{answer}");
    let body = answer.json().unwrap_or_default();
    assert_eq!(body["code"], code, "{answer}");
    assert!(body["detail"].is_string(), "{answer}");
}

async fn arrives(hook: &Hook, acknowledged: BTreeSet<String>) -> anyhow::Result<()> {
    assert!(!acknowledged.is_empty());
    until("all that was acknowledged arrives", async || {
        let received = hook.received();
        let arrived = received
            .iter()
            .map(|received| received.webhook_id().to_owned());
        let arrived: BTreeSet<String> = arrived.collect();
        Ok(acknowledged.is_subset(&arrived).then_some(()))
    })
    .await
}

fn admin(world: &World) -> ApiClient {
    ApiClient::new(Whereabouts::new(world.server.admin_address()), None)
}

async fn metric(world: &World, name_and_labels: &str) -> anyhow::Result<f64> {
    let metrics = admin(world).get("/metrics").await?;
    let text = String::from_utf8(metrics.body.to_vec())?;
    let mut values = text
        .lines()
        .filter_map(|line| line.strip_prefix(name_and_labels));
    let value = values
        .next()
        .with_context(|| format!("no {name_and_labels}"))?;
    Ok(value.trim().parse()?)
}

/// Fills the disk to its last byte; returns what has to go to make room.
fn fill(folder: &Path) -> anyhow::Result<std::path::PathBuf> {
    let path = folder.join("ballast");
    let mut file = File::create(&path)?;
    for bytes in [1 << 16, 512] {
        let block = vec![0; bytes];
        while file.write_all(&block).is_ok() {}
    }
    Ok(path)
}

/// Another process that keeps the database from being written.
struct Held(Child);

impl Held {
    /// `None`, and says so, where there is no such process to be had.
    fn from_writing(folder: &Path) -> anyhow::Result<Option<Self>> {
        let started = Command::new("python3")
            .args(["-c", HOLD])
            .arg(folder.join("hookseal.db"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(child) = started else {
            println!("SKIPPED a held database: no python3");
            return Ok(None);
        };
        let mut held = Self(child);
        let output = held.0.stdout.take().context("its output is a pipe")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        anyhow::ensure!(line.trim() == "held", "the database was not held");
        Ok(Some(held))
    }

    fn let_go(mut self) -> anyhow::Result<()> {
        drop(self.0.stdin.take());
        let status = self.0.wait()?;
        anyhow::ensure!(status.success(), "{status}");
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // It has ended already, or the test has failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
