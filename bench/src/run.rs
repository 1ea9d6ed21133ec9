//! The `run` command: goes through the scenarios, contenders interleaved, and prints the report.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{ValueEnum, value_parser};

use crate::cores::Placement;
use crate::helper::Helper;
use crate::misfits::Misfit;
use crate::quantile::median;
use crate::report::{Pair, Report, ScenarioResult};
use crate::scenario::{AfterAnswer, BACKLOGGED_ENDPOINTS, Load, Scenario, Size, Transport};
use crate::tarpit::Tarpit;
use crate::trial::{Bench, Contender, Patience, Trial};

/// Rounds of a comparison.
const ROUNDS: u16 = 3;
/// Pairs of runs with and without what is measured.
const PAIRS: u16 = 5;
/// Endpoints of the isolation scenario that hang, that fail, and that drip in each of two ways.
const MISFITS: [(Misfit, u16); 4] = [
    (Misfit::Hangs, 100),
    (Misfit::Fails, 100),
    (Misfit::DripsHead, 25),
    (Misfit::DripsBody, 25),
];
/// Deliveries of a backlog.
const BACKLOG_DELIVERIES: u32 = 1_000_000;
/// Deliveries of a burst.
const BURST_DELIVERIES: u32 = 50_000;
/// Length of a steady run.
const STEADY_SECONDS: u32 = 20;

/// Measures the server and, in the same run, what the machine can do at all.
#[derive(clap::Args, Debug)]
pub(crate) struct Run {
    /// The server's binary; without it only the two ceilings are measured
    #[arg(long, value_name = "PATH")]
    hookseal: Option<PathBuf>,
    /// What to measure; may be repeated
    #[arg(long, value_name = "NAME", default_value = "all", value_parser = parse_scenarios)]
    scenario: Vec<Scenarios>,
    /// Deliveries of a burst: messages times endpoints
    #[arg(long, value_name = "N", default_value_t = BURST_DELIVERIES)]
    #[arg(value_parser = value_parser!(u32).range(1..=10_000_000))]
    messages: u32,
    /// Length of a steady run
    #[arg(long, value_name = "N", default_value_t = STEADY_SECONDS)]
    #[arg(value_parser = value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Rounds of each comparison; figures are medians
    #[arg(long, value_name = "N", default_value_t = ROUNDS)]
    #[arg(value_parser = value_parser!(u16).range(1..))]
    rounds: u16,
    /// Pairs of runs of the server without and with something; the ratio is the median
    #[arg(long, value_name = "N", default_value_t = PAIRS)]
    #[arg(value_parser = value_parser!(u16).range(1..))]
    pairs: u16,
    /// Connections of the load generator
    #[arg(long, value_name = "N", default_value_t = 64)]
    #[arg(value_parser = value_parser!(u16).range(1..))]
    connections: u16,
    /// A tenth of everything, one round, no waiting for an idle machine: to see that it works
    #[arg(long)]
    quick: bool,
    /// Give the server the first half of the cores for itself, and the others to the load
    #[arg(long)]
    apart: bool,
    /// Where the server's data directories are made; should be on a real disk
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Also write all figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What one `--scenario` names.
type Scenarios = Vec<Scenario>;

fn parse_scenarios(name: &str) -> Result<Scenarios, String> {
    match name {
        "all" => Ok(Scenario::value_variants().to_vec()),
        name => Scenario::from_str(name, false)
            .map(|scenario| vec![scenario])
            .map_err(|_| {
                let known: Vec<String> = Scenario::value_variants()
                    .iter()
                    .map(|s| s.name())
                    .collect();
                format!("known are all, {}", known.join(", "))
            }),
    }
}

// === impl Run ===

impl Run {
    /// Runs everything; the exit code says whether every trial was sound.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let report = runtime.block_on(self.measure())?;
        if let Some(file) = &self.json {
            std::fs::write(file, serde_json::to_vec_pretty(&report)?)
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        if report.is_sound() {
            return Ok(ExitCode::SUCCESS);
        }
        eprintln!("Something was lost, refused, changed or wrongly signed: see above.");
        Ok(ExitCode::FAILURE)
    }

    async fn measure(&self) -> anyhow::Result<Report> {
        let bench = Bench {
            hookseal: self.hookseal.clone(),
            scratch: self.scratch.clone().unwrap_or_else(std::env::temp_dir),
            patience: if self.quick {
                Patience::None
            } else {
                Patience::UntilIdle
            },
            placement: if self.apart {
                Placement::Apart
            } else {
                Placement::Shared
            },
        };
        let mut report = Report::new()?;
        println!("{}\n", report.heading());
        for scenario in self.scenario.iter().flatten() {
            let result = match scenario {
                alone if alone.needs_hookseal() && bench.hookseal.is_none() => {
                    println!("### {}\n\nNeeds --hookseal.\n", alone.name());
                    continue;
                }
                Scenario::Backlog => self.backlog(&bench).await?,
                Scenario::Overload => self.overload(&bench).await?,
                paired if paired.is_paired() => self.pairs(&bench, *paired).await?,
                scenario => self.compare(&bench, *scenario).await?,
            };
            println!("{}", result.table());
            report.results.push(result);
        }
        Ok(report)
    }

    async fn compare(&self, bench: &Bench, scenario: Scenario) -> anyhow::Result<ScenarioResult> {
        let load = scenario.load(self.size());
        let mut rounds = Vec::new();
        for _ in 0..if self.quick { 1 } else { self.rounds } {
            let mut round = vec![
                bench.run(Contender::Bare, load, &[]).await?,
                bench.run(Contender::Relay, load, &[]).await?,
            ];
            if bench.hookseal.is_some() {
                round.push(bench.run(Contender::Hookseal, load, &[]).await?);
            }
            rounds.push(round);
        }
        Ok(ScenarioResult::Comparison { scenario, rounds })
    }

    /// The server alone, once: what its memory comes to.
    async fn backlog(&self, bench: &Bench) -> anyhow::Result<ScenarioResult> {
        let scenario = Scenario::Backlog;
        let misfits = Helper::start(&["misfits".to_owned()])?;
        let hanging = Misfit::Hangs.urls(misfits.address(), BACKLOGGED_ENDPOINTS);
        let hanging: Vec<String> = hanging.collect();
        let load = scenario.load(self.size());
        let trial = bench.run(Contender::Hookseal, load, &hanging).await?;
        let rounds = vec![vec![trial]];
        Ok(ScenarioResult::Comparison { scenario, rounds })
    }

    async fn pairs(&self, bench: &Bench, scenario: Scenario) -> anyhow::Result<ScenarioResult> {
        let without = scenario.load(self.size());
        let mut with = without;
        let mut beside = Vec::new();
        let (mut _tarpit, mut _misfits) = (None, None);
        match scenario {
            Scenario::MutualTls => with.transport = Transport::MutualTls,
            Scenario::Handshakes => with.after_answer = AfterAnswer::Close,
            Scenario::Isolation => {
                let misfits = Helper::start(&["misfits".to_owned()])?;
                for (misfit, count) in MISFITS {
                    beside.extend(misfit.urls(misfits.address(), count));
                }
                _misfits = Some(misfits);
            }
            _ => {
                let tarpit = Tarpit::open().await?;
                beside.push(tarpit.url());
                _tarpit = Some(tarpit);
            }
        }
        let run = async |load: Load, beside: &[String]| -> anyhow::Result<Trial> {
            bench.run(Contender::Hookseal, load, beside).await
        };
        let mut pairs = Vec::new();
        for number in 0..if self.quick { 1 } else { self.pairs } {
            // The order alternates, so that a drift of the machine favours neither.
            let pair = if number % 2 == 0 {
                let without = run(without, &[]).await?;
                Pair {
                    without,
                    with: run(with, &beside).await?,
                }
            } else {
                let with = run(with, &beside).await?;
                Pair {
                    without: run(without, &[]).await?,
                    with,
                }
            };
            pairs.push(pair);
        }
        let median_ratio = median(pairs.iter().map(|pair| pair.ratio(scenario)));
        Ok(ScenarioResult::Pairs {
            scenario,
            pairs,
            median_ratio,
        })
    }

    async fn overload(&self, bench: &Bench) -> anyhow::Result<ScenarioResult> {
        let run = async |load: Load| bench.run(Contender::Hookseal, load, &[]).await;
        let closed_loop = run(Scenario::Overload.load(self.size())).await?;
        let takes = whole(closed_loop.publish_per_s);
        let half = run(Scenario::open_loop(takes / 2, self.size())).await?;
        let twice = run(Scenario::open_loop(takes * 2, self.size())).await?;
        Ok(ScenarioResult::Overload {
            ratio: twice.publish_p99_ms / half.publish_p99_ms.max(f64::MIN_POSITIVE),
            closed_loop: Box::new(closed_loop),
            half: Box::new(half),
            twice: Box::new(twice),
        })
    }

    fn size(&self) -> Size {
        let divisor = if self.quick { 10 } else { 1 };
        Size {
            burst_deliveries: (self.messages / divisor).max(1),
            backlog_deliveries: BACKLOG_DELIVERIES / divisor,
            steady_seconds: (self.seconds / divisor).max(1),
            connections: self.connections,
        }
    }
}

/// Whole messages a second.
fn whole(per_second: f64) -> u32 {
    Duration::try_from_secs_f64(per_second)
        .ok()
        .and_then(|seconds| u32::try_from(seconds.as_secs()).ok())
        .unwrap_or_default()
}
