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
    /// Pairs of runs of the server without and with something.
    Pairs {
        /// Which scenario.
        scenario: Scenario,
        /// The pairs.
        pairs: Vec<Pair>,
        /// Median over the pairs of their ratio.
        median_ratio: f64,
    },
    /// Half and twice of what the machine takes.
    Overload {
        /// What it takes: as fast as it goes.
        closed_loop: Box<Trial>,
        /// At half of that.
        half: Box<Trial>,
        /// At twice that.
        twice: Box<Trial>,
        /// What the 99th percentile of the accepted ones at twice is of that at half.
        ratio: f64,
    },
}

/// Two runs that follow each other.
#[derive(Debug, Serialize)]
pub(crate) struct Pair {
    /// Without it.
    pub(crate) without: Trial,
    /// With it.
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
        self.results.iter().all(ScenarioResult::is_sound)
    }
}

// === impl Pair ===

impl Pair {
    /// How much more it costs: of median latency beside a dead endpoint, of the 99th percentile
    /// beside many bad ones, of CPU otherwise.
    pub(crate) fn ratio(&self, scenario: Scenario) -> f64 {
        let cost = |trial: &Trial| match scenario {
            Scenario::DeadEndpoint => trial.arrivals.p50_ms,
            Scenario::Isolation => trial.arrivals.p99_ms,
            _ => trial.cpu_ms_per_1000,
        };
        cost(&self.with) / cost(&self.without).max(f64::MIN_POSITIVE)
    }

    fn ratio_text(&self, scenario: Scenario) -> String {
        let ratio = self.ratio(scenario);
        match scenario {
            Scenario::Isolation => format!("{ratio:.3} ({:.3})", self.warm_ratio()),
            _ => format!("{ratio:.3}"),
        }
    }

    /// The ratio of the 99th percentiles after the first second.
    fn warm_ratio(&self) -> f64 {
        let [without, with] = [&self.without, &self.with].map(|trial| trial.arrivals.warm_p99_ms);
        with / without.max(f64::MIN_POSITIVE)
    }
}

// === impl ScenarioResult ===

impl ScenarioResult {
    /// The result's table and its closing line.
    pub(crate) fn table(&self) -> String {
        let mut text = match self {
            Self::Comparison { scenario, rounds } => comparison_table(*scenario, rounds),
            Self::Pairs {
                scenario,
                pairs,
                median_ratio,
            } => pairs_table(*scenario, pairs, *median_ratio),
            Self::Overload { ratio, .. } => overload_table(&self.trials(), *ratio),
        };
        closing_line(&mut text, self.trials());
        text
    }

    /// Whether nothing went wrong; only twice of what the machine takes may be shed.
    fn is_sound(&self) -> bool {
        match self {
            Self::Overload {
                closed_loop,
                half,
                twice,
                ..
            } => {
                let [closed_loop, half] = [closed_loop, half].map(|trial| trial.is_sound());
                closed_loop && half && twice.is_sound_but_for_shedding()
            }
            _ => self.trials().into_iter().all(Trial::is_sound),
        }
    }

    fn trials(&self) -> Vec<&Trial> {
        match self {
            Self::Comparison { rounds, .. } => rounds.iter().flatten().collect(),
            Self::Pairs { pairs, .. } => pairs
                .iter()
                .flat_map(|pair| [&pair.without, &pair.with])
                .collect(),
            Self::Overload {
                closed_loop,
                half,
                twice,
                ..
            } => vec![closed_loop, half, twice],
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

fn pairs_table(scenario: Scenario, pairs: &[Pair], median_ratio: f64) -> String {
    let (measured, ratio) = match scenario {
        Scenario::DeadEndpoint => ("event to arrival p50 / p99 ms", "ratio of p50"),
        Scenario::Isolation => (
            "event to arrival p50 / p99 (after the first second) ms, peak MiB",
            "ratio of p99 (after the first second)",
        ),
        _ => ("deliveries/s, CPU ms per 1000", "ratio of CPU"),
    };
    let mut text = format!(
        "### {}: {measured}\n\n| pair | without | with | {ratio} |\n|---|---|---|---|\n",
        scenario.name()
    );
    let figures = |trial: &Trial| match scenario {
        Scenario::DeadEndpoint => {
            let arrivals = &trial.arrivals;
            format!("{:.2} / {:.2}", arrivals.p50_ms, arrivals.p99_ms)
        }
        Scenario::Isolation => {
            let arrivals = &trial.arrivals;
            let (p50, p99, warm) = (arrivals.p50_ms, arrivals.p99_ms, arrivals.warm_p99_ms);
            format!("{p50:.2} / {p99:.2} ({warm:.2}), {:.0}", trial.peak_mib)
        }
        _ => format!(
            "{:.0}, {:.0}",
            trial.deliveries_per_s, trial.cpu_ms_per_1000
        ),
    };
    for (number, pair) in (1..).zip(pairs) {
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            text,
            "| {number} | {} | {} | {} |",
            figures(&pair.without),
            figures(&pair.with),
            pair.ratio_text(scenario),
        );
    }
    let _ = writeln!(text, "\nMedian ratio {median_ratio:.3}.");
    if scenario == Scenario::Isolation {
        let warm = median(pairs.iter().map(Pair::warm_ratio));
        let _ = writeln!(text, "After the first second: median ratio {warm:.3}.");
    }
    if scenario == Scenario::Handshakes {
        let cost = median(
            pairs
                .iter()
                .map(|pair| pair.with.cpu_ms_per_1000 - pair.without.cpu_ms_per_1000),
        );
        let _ = writeln!(
            text,
            "A full handshake costs {:.2} ms of CPU: {:.0} a second and core.",
            cost / 1000.0,
            1e6 / cost.max(f64::MIN_POSITIVE),
        );
    }
    text
}

fn overload_table(trials: &[&Trial], ratio: f64) -> String {
    let mut text = format!(
        "### {}\n\n\
         | | accepted/s | accepted p50 / p99 ms | 503 with Retry-After | their p99 ms \
         | sent late p99 ms | deliveries/s | busy cores: server / load / receiver \
         | peak MiB |\n|---|---|---|---|---|---|---|---|---|\n",
        Scenario::Overload.name()
    );
    for (name, trial) in ["closed loop", "half of it", "twice of it"]
        .iter()
        .zip(trials)
    {
        let accepted = trial.arrivals.unique + trial.lost - trial.uncalled_for;
        let share = f64::from(trial.shed) / f64::from((trial.shed + accepted).max(1));
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            text,
            "| {name} | {:.0} | {:.2} / {:.2} | {:.1} % | {:.2} | {:.2} | {:.0} \
             | {:.2} / {:.2} / {:.2} | {:.0} |",
            trial.publish_per_s,
            trial.publish_p50_ms,
            trial.publish_p99_ms,
            share * 100.0,
            trial.shed_p99_ms,
            trial.delay_p99_ms,
            trial.deliveries_per_s,
            trial.cores.contender,
            trial.cores.generator,
            trial.cores.receiver,
            trial.peak_mib,
        );
    }
    let _ = writeln!(text, "\np99 at twice is {ratio:.2} times that at half.");
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
        "\nLost {}, refused {}, shed {}, changed {}, duplicates {}; signatures checked {}, wrong {}; \
         machine idle before each run at least {:.0} %.\n",
        sum(|trial| trial.lost),
        sum(|trial| trial.refused),
        sum(|trial| trial.shed),
        sum(|trial| trial.arrivals.malformed),
        sum(|trial| trial.arrivals.duplicates),
        sum(|trial| trial.arrivals.signatures_checked),
        sum(|trial| trial.arrivals.signatures_wrong),
        idle * 100.0,
    );
}
