//! One trial: one contender under one load, with a receiver and a server process made for it alone.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use tempfile::TempDir;

use crate::connection::Target;
use crate::cores::{Busy, Cores, Division, Placement};
use crate::delivery::Endpoints;
use crate::generator::{self, Call, Sent};
use crate::helper::Helper;
use crate::ledger::Arrivals;
use crate::procfs;
use crate::receiver;
use crate::scenario::{AfterAnswer, Load, Transport};
use crate::subject::{Start, Subject};
use crate::tls::{self, Files};

/// The machine must be this idle before a trial starts.
const IDLE_SHARE_MIN: f64 = 0.8;
/// How long to wait for that; then the trial runs all the same and says how idle it was.
const IDLE_WITHIN: Duration = Duration::from_secs(60);
/// How often the receiver is asked how far it is.
const POLL: Duration = Duration::from_millis(50);
/// Nothing new for this long: what is missing is lost. Longer than the first step of the server's
/// retry schedule.
const STALLED_AFTER: Duration = Duration::from_secs(30);

/// Who carries the messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Contender {
    /// The generator itself, signing straight to the receiver.
    Bare,
    /// The relay.
    Relay,
    /// The server under test.
    Hookseal,
}

/// What all trials share.
#[derive(Debug)]
pub(crate) struct Bench {
    /// The server's binary; without it only the ceilings are measured.
    pub(crate) hookseal: Option<PathBuf>,
    /// Where data directories are made.
    pub(crate) scratch: PathBuf,
    /// Whether to wait for an idle machine.
    pub(crate) patience: Patience,
    /// Which cores are whose.
    pub(crate) placement: Placement,
}

/// Whether to wait for an idle machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Patience {
    /// Waits, within a bound.
    UntilIdle,
    /// Starts at once.
    None,
}

/// The figures of one trial.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Trial {
    /// Who carried the messages.
    pub(crate) contender: Contender,
    /// Idle share of the machine just before.
    pub(crate) idle_share_before: f64,
    /// Messages (for the bare client: deliveries) answered as they should be, per second.
    pub(crate) publish_per_s: f64,
    /// From due to answered, median.
    pub(crate) publish_p50_ms: f64,
    /// From due to answered, 99th percentile.
    pub(crate) publish_p99_ms: f64,
    /// Deliveries that arrived, per second, from the first send to the last arrival.
    pub(crate) deliveries_per_s: f64,
    /// User and system time of the contender's process per 1000 deliveries.
    pub(crate) cpu_ms_per_1000: f64,
    /// Resident memory of the server before the load.
    pub(crate) idle_mib: Option<f64>,
    /// Highest resident memory of the contender's process.
    pub(crate) peak_mib: f64,
    /// Requests that were answered 503 with `Retry-After`.
    pub(crate) shed: u32,
    /// From due to that answer, 99th percentile.
    pub(crate) shed_p99_ms: f64,
    /// How far the sending of requests was behind their schedule, 99th percentile.
    pub(crate) delay_p99_ms: f64,
    /// Cores that each part kept busy while requests were sent.
    pub(crate) cores: Cores,
    /// Requests that were answered in any other way.
    pub(crate) refused: u32,
    /// Accepted deliveries that never arrived.
    pub(crate) lost: u32,
    /// Deliveries that arrived although their message was not accepted.
    pub(crate) uncalled_for: u32,
    /// What the receiver saw.
    pub(crate) arrivals: Arrivals,
}

/// Who is ready to carry messages.
struct Carrier {
    target: Target,
    call: Call,
    process: Process,
    idle_mib: Option<f64>,
}

/// Whose CPU and memory count.
enum Process {
    Own,
    Relay(Helper),
    Server(Subject),
}

// === impl Trial ===

impl Trial {
    /// Whether nothing was lost, refused or changed and every checked signature was right.
    pub(crate) fn is_sound(&self) -> bool {
        self.shed == 0 && self.is_sound_but_for_shedding()
    }

    /// The same, but that requests may have been shed.
    pub(crate) fn is_sound_but_for_shedding(&self) -> bool {
        let Arrivals {
            malformed,
            signatures_checked,
            signatures_wrong,
            ..
        } = self.arrivals;
        let failures = [
            self.refused,
            self.lost,
            self.uncalled_for,
            malformed,
            signatures_wrong,
        ];
        failures == [0; 5] && signatures_checked > 0
    }
}

// === impl Bench ===

impl Bench {
    /// Runs one trial. `beside` are URLs of more endpoints, shared out among the applications too,
    /// whose deliveries are not looked at.
    pub(crate) async fn run(
        &self,
        contender: Contender,
        load: Load,
        beside: &[String],
    ) -> anyhow::Result<Trial> {
        let division = Division::new(self.placement)?;
        division.as_load()?;
        let directory = tempfile::tempdir()?;
        let mut receiver = self.receiver(load, &directory)?;
        let carrier = self
            .carrier(contender, load, &receiver, beside, &directory, &division)
            .await?;
        let idle_share_before = self.wait_until_idle().await?;

        let pid = carrier.process.pid();
        let cpu_before = procfs::cpu_time(pid)?;
        let busy = Busy::begin([pid, std::process::id(), receiver.pid()])?;
        let sent = generator::send(&carrier.target, carrier.call, load.pace, load.volume).await;
        let sent = sent.with_context(|| carrier.process.testimony())?;
        let cores = busy.end()?;
        let fan_out = if contender == Contender::Bare {
            1
        } else {
            load.fan_out()
        };
        let expected = sent.accepted * fan_out;
        await_arrivals(&mut receiver, expected).await?;
        if contender != Contender::Bare {
            procfs::settle(pid).await?;
        }
        let cpu = procfs::cpu_time(pid)?.saturating_sub(cpu_before);
        let peak_mib = procfs::memory(pid)?.peak_mib;
        let arrivals: Arrivals = receiver.ask(receiver::ASK_REPORT)?;
        let (publish_span, arrival_span) = spans(&sent, &arrivals);
        Ok(Trial {
            contender,
            idle_share_before,
            publish_per_s: f64::from(sent.accepted) / publish_span,
            publish_p50_ms: sent.latencies.permille_ms(500),
            publish_p99_ms: sent.latencies.permille_ms(990),
            deliveries_per_s: f64::from(arrivals.unique) / arrival_span,
            cpu_ms_per_1000: cpu.as_secs_f64() * 1e6 / f64::from(arrivals.unique.max(1)),
            idle_mib: carrier.idle_mib,
            peak_mib,
            shed: sent.shed,
            shed_p99_ms: sent.shed_latencies.permille_ms(990),
            delay_p99_ms: sent.delays.permille_ms(990),
            cores,
            refused: sent.refused,
            lost: expected.saturating_sub(arrivals.unique),
            uncalled_for: arrivals.unique.saturating_sub(expected),
            arrivals,
        })
    }

    fn receiver(&self, load: Load, directory: &TempDir) -> anyhow::Result<Helper> {
        let mut arguments = vec![
            "receiver".to_owned(),
            format!("--messages={}", load.volume.messages),
            format!("--endpoints={}", load.endpoints),
            format!("--cold={}", load.cold_messages()),
        ];
        if load.transport != Transport::Plain {
            arguments.push(format!("--tls-files={}", text(directory.path())?));
        }
        if load.transport == Transport::MutualTls {
            arguments.push("--mutual".to_owned());
        }
        if load.after_answer == AfterAnswer::Close {
            arguments.push("--close".to_owned());
        }
        Helper::start(&arguments)
    }

    async fn carrier(
        &self,
        contender: Contender,
        load: Load,
        receiver: &Helper,
        beside: &[String],
        directory: &TempDir,
        division: &Division,
    ) -> anyhow::Result<Carrier> {
        let files = Files::new(directory.path().to_owned());
        let roots = (load.transport != Transport::Plain).then(|| files.roots());
        match contender {
            Contender::Bare => {
                let connector = roots.as_deref().map(tls::connector).transpose()?;
                let target = Target::new(receiver.address(), connector);
                let call = Call::Deliver(Endpoints::new(&target, load.endpoints)?);
                Ok(Carrier {
                    target,
                    call,
                    process: Process::Own,
                    idle_mib: None,
                })
            }
            Contender::Relay => {
                let mut arguments = vec![
                    "relay".to_owned(),
                    format!("--receiver={}", receiver.address()),
                    format!("--endpoints={}", load.endpoints),
                ];
                if let Some(roots) = &roots {
                    arguments.push(format!("--tls-roots={}", text(roots)?));
                }
                let relay = Helper::start(&arguments)?;
                let target = Target::new(relay.address(), None);
                let call = Call::Publish {
                    paths: vec!["/api/v1/app/benchmark/msg".try_into()?],
                    host: target.host()?,
                    authorization: None,
                };
                Ok(Carrier {
                    target,
                    call,
                    process: Process::Relay(relay),
                    idle_mib: None,
                })
            }
            Contender::Hookseal => {
                let hookseal = self
                    .hookseal
                    .as_deref()
                    .context("--hookseal is not given")?;
                let start = Start {
                    hookseal,
                    scratch: &self.scratch,
                    extra_roots: roots.as_deref(),
                };
                let subject = Subject::start(&start, division).await?;
                let idle_mib = Some(subject.idle_memory().await?.resident_mib);
                let scheme = match load.transport {
                    Transport::Plain => "http",
                    Transport::Tls | Transport::MutualTls => "https",
                };
                let urls: Vec<String> = (0..load.endpoints)
                    .map(|endpoint| {
                        format!(
                            "{scheme}://{}{}",
                            receiver.address(),
                            receiver::path(endpoint)
                        )
                    })
                    .chain(beside.iter().cloned())
                    .collect();
                let seal = (load.transport == Transport::MutualTls).then_some(&files);
                let call = subject.set_up(load.applications, &urls, seal).await?;
                let target = subject.target();
                Ok(Carrier {
                    target,
                    call,
                    process: Process::Server(subject),
                    idle_mib,
                })
            }
        }
    }

    async fn wait_until_idle(&self) -> anyhow::Result<f64> {
        let started = Instant::now();
        loop {
            let share = procfs::idle_share().await?;
            let enough = share >= IDLE_SHARE_MIN || self.patience == Patience::None;
            if enough || started.elapsed() > IDLE_WITHIN {
                return Ok(share);
            }
        }
    }
}

// === impl Process ===

impl Process {
    fn pid(&self) -> u32 {
        match self {
            Self::Own => std::process::id(),
            Self::Relay(relay) => relay.pid(),
            Self::Server(subject) => subject.pid(),
        }
    }

    /// What it left behind, for the message of an error.
    fn testimony(&self) -> String {
        match self {
            Self::Own | Self::Relay(_) => "the load broke off".to_owned(),
            Self::Server(subject) => {
                format!(
                    "the load broke off; the server's log ends:\n{}",
                    subject.log_end()
                )
            }
        }
    }
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str()
        .context("the temporary directory's path is not UTF-8")
}

/// Waits until all have arrived, or nothing new has for a while.
async fn await_arrivals(receiver: &mut Helper, expected: u32) -> anyhow::Result<()> {
    let (mut seen, mut progress) = (0, Instant::now());
    loop {
        let arrived: u32 = receiver.ask(receiver::ASK_COUNT)?;
        if arrived >= expected {
            return Ok(());
        }
        if arrived > seen {
            (seen, progress) = (arrived, Instant::now());
        } else if progress.elapsed() > STALLED_AFTER {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Seconds from the first send to the last answer, and to the last arrival.
fn spans(sent: &Sent, arrivals: &Arrivals) -> (f64, f64) {
    let since_start = |unix_ns: u64| {
        Duration::from_nanos(unix_ns.saturating_sub(sent.started_unix_ns).max(1)).as_secs_f64()
    };
    (
        since_start(sent.ended_unix_ns),
        since_start(arrivals.last_unix_ns),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial() -> Trial {
        Trial {
            contender: Contender::Hookseal,
            idle_share_before: 1.0,
            publish_per_s: 1.0,
            publish_p50_ms: 1.0,
            publish_p99_ms: 1.0,
            deliveries_per_s: 1.0,
            cpu_ms_per_1000: 1.0,
            idle_mib: None,
            peak_mib: 1.0,
            shed: 0,
            shed_p99_ms: 0.0,
            delay_p99_ms: 0.0,
            cores: Cores::default(),
            refused: 0,
            lost: 0,
            uncalled_for: 0,
            arrivals: Arrivals {
                unique: 1,
                signatures_checked: 1,
                ..Arrivals::default()
            },
        }
    }

    #[test]
    fn a_trial_is_sound_only_if_everything_arrived_as_it_was_sent() {
        assert!(trial().is_sound());
        assert!(!Trial { lost: 1, ..trial() }.is_sound());
        assert!(
            !Trial {
                refused: 1,
                ..trial()
            }
            .is_sound()
        );
        let shed = Trial { shed: 1, ..trial() };
        assert!(!shed.is_sound() && shed.is_sound_but_for_shedding());
        let uncalled_for = Trial {
            uncalled_for: 1,
            ..trial()
        };
        assert!(!uncalled_for.is_sound_but_for_shedding());
        for spoil in [
            |arrivals: &mut Arrivals| arrivals.malformed = 1,
            |arrivals: &mut Arrivals| arrivals.signatures_wrong = 1,
            |arrivals: &mut Arrivals| arrivals.signatures_checked = 0,
        ] {
            let mut trial = trial();
            spoil(&mut trial.arrivals);
            assert!(!trial.is_sound(), "{trial:?}");
        }
    }

    #[test]
    fn a_duplicate_is_no_fault() {
        let arrivals = Arrivals {
            duplicates: 1,
            ..trial().arrivals
        };
        assert!(
            Trial {
                arrivals,
                ..trial()
            }
            .is_sound()
        );
    }
}
