//! The scenarios: what is sent, to how many endpoints, over which transport.

use clap::ValueEnum;
use serde::{Serialize, Serializer};

use crate::generator::{Client, Pace, Volume};

/// Messages per second of the steady scenarios: far from what fills two cores, and nearer.
const STEADY_PER_SECOND: u32 = 500;
const STEADY_PER_SECOND_BUSY: u32 = 2000;
/// Healthy endpoints beside the dead one.
const HEALTHY_ENDPOINTS: u16 = 100;
/// Messages per second to all of them: 1000 deliveries, well below what fills two cores.
const HEALTHY_PER_SECOND: u32 = 10;

/// Applications of the scenarios with a thousand endpoints: a message goes to the hundred of one.
const APPLICATIONS: u16 = 10;
/// Healthy endpoints beside 250 that hang, fail or drip.
const ISOLATED_ENDPOINTS: u16 = 750;
/// Messages per second to them: 750 deliveries to the healthy ones.
const ISOLATED_PER_SECOND: u32 = 10;
/// So much longer than another steady run: in its first second a thousand endpoints are connected to
/// for the first time, which is not what it is about.
const ISOLATED_TIMES_LONGER: u32 = 3;
/// Endpoints that hang while a backlog grows for them.
pub(crate) const BACKLOGGED_ENDPOINTS: u16 = 1000;
/// Length of an open loop, in steady runs.
const OVERLOAD_LENGTH: u32 = 3;
/// Its connections, in those of the other scenarios.
const OVERLOAD_CONNECTIONS: u16 = 8;

/// A named benchmark.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Scenario {
    /// As fast as it goes to one plain endpoint
    #[value(name = "burst-plain-1")]
    BurstPlain1,
    /// As fast as it goes to one TLS endpoint
    #[value(name = "burst-tls-1")]
    BurstTls1,
    /// As fast as it goes, each message to ten plain endpoints
    #[value(name = "burst-plain-10")]
    BurstPlain10,
    /// As fast as it goes, each message to ten TLS endpoints
    #[value(name = "burst-tls-10")]
    BurstTls10,
    /// 500 messages a second to one plain endpoint
    #[value(name = "steady-500")]
    Steady500,
    /// 2000 messages a second to one plain endpoint
    #[value(name = "steady-2000")]
    Steady2000,
    /// Ten messages a second to 100 plain endpoints, with and without one whose connect hangs
    DeadEndpoint,
    /// To 750 endpoints of ten applications, with and without 250 that hang, fail or drip
    Isolation,
    /// A million deliveries to 1000 endpoints that hang, beside ten that do not
    Backlog,
    /// As fast as it goes to one TLS endpoint, with and without pins and a client certificate
    MutualTls,
    /// To one TLS endpoint, with and without a new connection for each delivery
    Handshakes,
    /// Half of what the machine takes, then twice as much, to one plain endpoint
    Overload,
}

/// How the receiver is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Transport {
    /// `http://`
    Plain,
    /// `https://`
    Tls,
    /// `https://` with private roots, enforced pins and a client certificate
    MutualTls,
}

/// What the receiver does with a connection after an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AfterAnswer {
    /// Keeps it.
    Keep,
    /// Closes it, so that every delivery needs a handshake.
    Close,
}

/// One run of a scenario.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// How the receiver is reached.
    pub(crate) transport: Transport,
    /// What the receiver does after an answer.
    pub(crate) after_answer: AfterAnswer,
    /// Applications that the messages are published to in turn.
    pub(crate) applications: u16,
    /// Endpoints of the receiver, shared out among the applications; each gets every message of its
    /// own.
    pub(crate) endpoints: u16,
    /// How it is sent.
    pub(crate) pace: Pace,
    /// How much is sent.
    pub(crate) volume: Volume,
}

/// Sizes that the command line decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Deliveries of a burst.
    pub(crate) burst_deliveries: u32,
    /// Deliveries of a backlog.
    pub(crate) backlog_deliveries: u32,
    /// Length of a steady run.
    pub(crate) steady_seconds: u32,
    /// Connections of the generator.
    pub(crate) connections: u16,
}

// === impl Scenario ===

impl Scenario {
    /// What it sends.
    pub(crate) fn load(self, size: Size) -> Load {
        use Transport::{Plain, Tls};
        match self {
            Self::BurstPlain1 => burst(Plain, 1, size),
            // What its other two runs go by.
            Self::Overload => lean(burst(Plain, 1, size)),
            Self::BurstTls1 => burst(Tls, 1, size),
            Self::BurstPlain10 => burst(Plain, 10, size),
            Self::BurstTls10 => burst(Tls, 10, size),
            Self::Steady500 => steady(1, STEADY_PER_SECOND, size),
            Self::Steady2000 => steady(1, STEADY_PER_SECOND_BUSY, size),
            Self::DeadEndpoint => steady(HEALTHY_ENDPOINTS, HEALTHY_PER_SECOND, size),
            Self::Isolation => {
                let steady_seconds = size.steady_seconds * ISOLATED_TIMES_LONGER;
                let size = Size {
                    steady_seconds,
                    ..size
                };
                Load {
                    applications: APPLICATIONS,
                    ..steady(ISOLATED_ENDPOINTS, ISOLATED_PER_SECOND, size)
                }
            }
            Self::Backlog => backlog(size),
            // What their pairs differ from.
            Self::MutualTls | Self::Handshakes => burst(Tls, 1, size),
        }
    }

    /// Messages at this rate to one plain endpoint, whether or not the server takes them: for three
    /// times as long as a steady load, so that what it leads to shows, and over so many connections
    /// that none waits for another's answer.
    pub(crate) fn open_loop(per_second: u32, size: Size) -> Load {
        let size = Size {
            steady_seconds: size.steady_seconds * OVERLOAD_LENGTH,
            connections: size.connections.saturating_mul(OVERLOAD_CONNECTIONS),
            ..size
        };
        lean(steady(1, per_second.max(1), size))
    }

    /// Whether throughput is what it is about; the throughput of a steady load is given.
    pub(crate) fn is_burst(self) -> bool {
        !matches!(
            self,
            Self::Steady500
                | Self::Steady2000
                | Self::DeadEndpoint
                | Self::Isolation
                | Self::Backlog
        )
    }

    /// Whether it is measured in pairs of runs of the server alone.
    pub(crate) fn is_paired(self) -> bool {
        matches!(
            self,
            Self::DeadEndpoint | Self::Isolation | Self::MutualTls | Self::Handshakes
        )
    }

    /// Whether it says nothing without the server.
    pub(crate) fn needs_hookseal(self) -> bool {
        self.is_paired() || matches!(self, Self::Backlog | Self::Overload)
    }

    /// Its name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

impl Serialize for Scenario {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

// === impl Load ===

impl Load {
    /// Endpoints of the receiver that a message goes to.
    pub(crate) fn fan_out(&self) -> u32 {
        u32::from(self.endpoints / self.applications.max(1))
    }

    /// Messages of the first second of a steady load.
    pub(crate) fn cold_messages(&self) -> u32 {
        match self.pace {
            Pace::Burst => 0,
            Pace::Steady { per_second } => per_second,
        }
    }
}

fn lean(load: Load) -> Load {
    let volume = Volume {
        client: Client::Lean,
        ..load.volume
    };
    Load { volume, ..load }
}

fn burst(transport: Transport, endpoints: u16, size: Size) -> Load {
    let messages = (size.burst_deliveries / u32::from(endpoints)).max(1);
    let volume = Volume {
        messages,
        connections: size.connections,
        client: Client::Hyper,
    };
    Load {
        transport,
        after_answer: AfterAnswer::Keep,
        applications: 1,
        endpoints,
        pace: Pace::Burst,
        volume,
    }
}

fn steady(endpoints: u16, per_second: u32, size: Size) -> Load {
    let messages = per_second * size.steady_seconds.max(1);
    let volume = Volume {
        messages,
        connections: size.connections,
        client: Client::Hyper,
    };
    Load {
        transport: Transport::Plain,
        after_answer: AfterAnswer::Keep,
        applications: 1,
        endpoints,
        pace: Pace::Steady { per_second },
        volume,
    }
}

/// Each application has one endpoint that is healthy.
fn backlog(size: Size) -> Load {
    let each_to = u32::from(BACKLOGGED_ENDPOINTS / APPLICATIONS);
    let volume = Volume {
        messages: (size.backlog_deliveries / each_to).max(1),
        connections: size.connections,
        client: Client::Hyper,
    };
    Load {
        transport: Transport::Plain,
        after_answer: AfterAnswer::Keep,
        applications: APPLICATIONS,
        endpoints: APPLICATIONS,
        pace: Pace::Burst,
        volume,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_makes_the_same_number_of_deliveries_whatever_the_fan_out() {
        let size = Size {
            burst_deliveries: 50_000,
            backlog_deliveries: 1_000_000,
            steady_seconds: 20,
            connections: 64,
        };
        for scenario in [Scenario::BurstPlain1, Scenario::BurstTls10] {
            let load = scenario.load(size);
            assert_eq!(load.volume.messages * u32::from(load.endpoints), 50_000);
        }
        assert_eq!(Scenario::Steady500.load(size).volume.messages, 10_000);
        assert_eq!(Scenario::Backlog.load(size).volume.messages, 10_000);
        assert_eq!(Scenario::Isolation.load(size).fan_out(), 75);
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        let names: Vec<String> = Scenario::value_variants()
            .iter()
            .map(|scenario| scenario.name())
            .collect();
        let expect = "burst-plain-1 burst-tls-1 burst-plain-10 burst-tls-10 steady-500 \
            steady-2000 dead-endpoint isolation backlog mutual-tls handshakes \
            overload";
        assert_eq!(names.join(" "), expect);
    }
}
