//! The report: tables in Markdown for people, the same figures as JSON for programs.

use std::fmt::Write;

use serde::Serialize;

use crate::clock;
use crate::procfs::{self, Machine};
use crate::quantile::median;
use crate::scenario::Scenario;
use crate::trial::{Contender, Trial};

/// Everything that was measured in one run of the program.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// When it was started.
    pub(crate) date: String,
    /// Where it ran.
    pub(crate) machine: Machine,
    /// One entry per scenario.
    pub(crate) results: Vec<ScenarioResult>,
}

/// What one scenario showed.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum ScenarioResult {
    /// Contenders against each other.
    Comparison {
        /// Which scenario.
        scenario: Scenario,
        /// Each round holds one trial per contender, in the order in which they ran.
        rounds: Vec<Vec<Trial>>,
    },
    /// Pairs of runs without and with the dead endpoint.
    DeadEndpoint {
        /// The pairs.
        pairs: Vec<Pair>,
        /// Median over the pairs of the ratio of the median latencies.
        median_ratio: f64,
    },
}

/// Two runs that follow each other.
#[derive(Debug, Serialize)]
pub(crate) struct Pair {
    /// All endpoints healthy.
    pub(crate) without: Trial,
    /// One more endpoint, whose connect hangs.
    pub(crate) with: Trial,
}

// === impl Report ===

impl Report {
    /// Empty, of now and this machine.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let now_s = i64::try_from(clock::whole_seconds(clock::unix_ns()))?;
        let date = jiff::Timestamp::from_second(now_s)?.to_string();
        Ok(Self {
            date,
            machine: procfs::machine()?,
            results: Vec::new(),
        })
    }

    /// What the figures belong to.
    pub(crate) fn heading(&self) -> String {
        let Machine {
            processor,
            cores,
            memory_gib,
            kernel,
        } = &self.machine;
        format!(
            "{}: {cores} cores, {memory_gib:.0} GiB, {processor}, Linux {kernel}",
            self.date
        )
    }

    /// Whether every trial was sound.
    pub(crate) fn is_sound(&self) -> bool {
        self.results
            .iter()
            .flat_map(ScenarioResult::trials)
            .all(Trial::is_sound)
    }
}

// === impl Pair ===

impl Pair {
    /// How the healthy endpoints' median latency changes beside the dead one.
    pub(crate) fn ratio(&self) -> f64 {
        self.with.arrivals.p50_ms / self.without.arrivals.p50_ms.max(f64::MIN_POSITIVE)
    }
}

// === impl ScenarioResult ===

impl ScenarioResult {
    /// The result's table and its closing line.
    pub(crate) fn table(&self) -> String {
        let mut text = match self {
            Self::Comparison { scenario, rounds } => comparison_table(*scenario, rounds),
            Self::DeadEndpoint {
                pairs,
                median_ratio,
            } => dead_endpoint_table(pairs, *median_ratio),
        };
        closing_line(&mut text, self.trials());
        text
    }

    fn trials(&self) -> Vec<&Trial> {
        match self {
            Self::Comparison { rounds, .. } => rounds.iter().flatten().collect(),
            Self::DeadEndpoint { pairs, .. } => pairs
                .iter()
                .flat_map(|pair| [&pair.without, &pair.with])
                .collect(),
        }
    }
}

fn comparison_table(scenario: Scenario, rounds: &[Vec<Trial>]) -> String {
    let mut text = format!(
        "### {}, medians of {}\n\n\
         | | publish/s | publish p50 / p99 ms | deliveries/s | event to arrival p50 / p99 ms \
         | CPU ms per 1000 | idle / peak MiB | of bare | of relay |\n\
         |---|---|---|---|---|---|---|---|---|\n",
        scenario.name(),
        rounds.len(),
    );
    for contender in [Contender::Bare, Contender::Relay, Contender::Hookseal] {
        let trials: Vec<&Trial> = rounds
            .iter()
            .filter_map(|round| trial_of(round, contender))
            .collect();
        if !trials.is_empty() {
            let shares = scenario.is_burst().then(|| shares(rounds, contender));
            text.push_str(&comparison_row(contender, &trials, shares));
        }
    }
    text
}

fn comparison_row(contender: Contender, trials: &[&Trial], shares: Option<[String; 2]>) -> String {
    let of = |figure: fn(&Trial) -> f64| median(trials.iter().map(|trial| figure(trial)));
    let name = match contender {
        Contender::Bare => "bare client",
        Contender::Relay => "relay",
        Contender::Hookseal => "**Hookseal**",
    };
    let publish = if contender == Contender::Bare {
        "– | –".to_owned()
    } else {
        format!(
            "{:.0} | {:.2} / {:.2}",
            of(|trial| trial.publish_per_s),
            of(|trial| trial.publish_p50_ms),
            of(|trial| trial.publish_p99_ms)
        )
    };
    let [of_bare, of_relay] = shares.unwrap_or_else(|| ["–".to_owned(), "–".to_owned()]);
    let idle_mib: Vec<f64> = trials.iter().filter_map(|trial| trial.idle_mib).collect();
    let idle_mib = if idle_mib.is_empty() {
        "–".to_owned()
    } else {
        format!("{:.0}", median(idle_mib))
    };
    format!(
        "| {name} | {publish} | {:.0} | {:.2} / {:.2} | {:.0} | {idle_mib} / {:.0} \
         | {of_bare} | {of_relay} |\n",
        of(|trial| trial.deliveries_per_s),
        of(|trial| trial.arrivals.p50_ms),
        of(|trial| trial.arrivals.p99_ms),
        of(|trial| trial.cpu_ms_per_1000),
        of(|trial| trial.peak_mib),
    )
}

/// Shares of the bare client's and of the relay's throughput.
fn shares(rounds: &[Vec<Trial>], contender: Contender) -> [String; 2] {
    [Contender::Bare, Contender::Relay].map(|ceiling| share(rounds, contender, ceiling))
}

/// Median over the rounds of one contender's throughput as a share of another's in the same round.
fn share(rounds: &[Vec<Trial>], of: Contender, ceiling: Contender) -> String {
    let ratios: Vec<f64> = rounds
        .iter()
        .filter_map(|round| Some((trial_of(round, of)?, trial_of(round, ceiling)?)))
        .map(|(trial, ceiling)| trial.deliveries_per_s / ceiling.deliveries_per_s.max(1.0))
        .collect();
    if of == ceiling || ratios.is_empty() {
        return "–".to_owned();
    }
    format!("{:.0} %", median(ratios) * 100.0)
}

fn trial_of(round: &[Trial], contender: Contender) -> Option<&Trial> {
    round.iter().find(|trial| trial.contender == contender)
}

fn dead_endpoint_table(pairs: &[Pair], median_ratio: f64) -> String {
    let mut text = "### dead-endpoint, event to arrival at the healthy endpoints\n\n\
         | pair | without p50 / p99 ms | with p50 / p99 ms | ratio of p50 |\n\
         |---|---|---|---|\n"
        .to_owned();
    for (number, pair) in (1..).zip(pairs) {
        let (without, with) = (&pair.without.arrivals, &pair.with.arrivals);
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            text,
            "| {number} | {:.2} / {:.2} | {:.2} / {:.2} | {:.3} |",
            without.p50_ms,
            without.p99_ms,
            with.p50_ms,
            with.p99_ms,
            pair.ratio(),
        );
    }
    let _ = writeln!(text, "\nMedian ratio {median_ratio:.3}.");
    text
}

fn closing_line(text: &mut String, trials: Vec<&Trial>) {
    let sum = |count: fn(&Trial) -> u32| trials.iter().map(|trial| count(trial)).sum::<u32>();
    let idle = trials
        .iter()
        .map(|trial| trial.idle_share_before)
        .fold(1.0, f64::min);
    // Writing to a `String` cannot fail.
    let _ = write!(
        text,
        "\nLost {}, refused {}, changed {}, duplicates {}; signatures checked {}, wrong {}; \
         machine idle before each run at least {:.0} %.\n",
        sum(|trial| trial.lost),
        sum(|trial| trial.refused),
        sum(|trial| trial.arrivals.malformed),
        sum(|trial| trial.arrivals.duplicates),
        sum(|trial| trial.arrivals.signatures_checked),
        sum(|trial| trial.arrivals.signatures_wrong),
        idle * 100.0,
    );
}
