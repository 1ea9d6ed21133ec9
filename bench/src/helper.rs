//! A helper process (receiver or relay): prints its port, then one JSON answer per question.
//! It ends when its standard input does, so it can never outlive the benchmark.

use std::io::{BufRead, BufReader, Lines, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The first line a helper prints.
#[derive(Debug, Deserialize, Serialize)]
struct Ready {
    port: u16,
}

/// A running helper.
#[derive(Debug)]
pub(crate) struct Helper {
    child: Child,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
}

// === impl Helper ===

impl Helper {
    /// Starts this same program with `arguments` and waits until it listens.
    pub(crate) fn start(arguments: &[String]) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a helper process")?;
        let questions = child.stdin.take().context("no standard input")?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut answers = BufReader::new(stdout).lines();
        let ready: Ready = next_answer(&mut answers)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ready.port));
        Ok(Self {
            child,
            questions,
            answers,
            address,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks a question and waits for the answer, which takes microseconds.
    pub(crate) fn ask<T: DeserializeOwned>(&mut self, question: &str) -> anyhow::Result<T> {
        writeln!(self.questions, "{question}").context("the helper process has ended")?;
        next_answer(&mut self.answers)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It holds nothing that must be saved, and may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The helper's side: says that it listens on `port`, then answers until standard input closes.
pub(crate) fn answer_questions(
    port: u16,
    mut answer: impl FnMut(&str) -> anyhow::Result<serde_json::Value>,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(&Ready { port })?)?;
    out.flush()?;
    for question in std::io::stdin().lock().lines() {
        writeln!(out, "{}", answer(&question?)?)?;
        out.flush()?;
    }
    Ok(())
}

fn next_answer<T: DeserializeOwned>(
    answers: &mut Lines<BufReader<ChildStdout>>,
) -> anyhow::Result<T> {
    let line = answers.next().context("the helper process has ended")??;
    serde_json::from_str(&line).context("the helper process gave no proper answer")
}
