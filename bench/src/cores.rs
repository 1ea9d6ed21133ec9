//! Which cores the server and the load may use, and how busy they keep them. Never moves anything
//! that the benchmark did not start.

use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;

use crate::procfs;

/// Who shares the cores with whom.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Placement {
    /// Everybody runs everywhere.
    Shared,
    /// The server has the first half of the cores for itself, so that neither the generator nor the
    /// receiver takes from it what it is measured by, nor it from them.
    Apart,
}

/// The cores of this thread, divided. Whatever this thread starts runs where the thread runs then.
#[derive(Debug)]
pub(crate) struct Division {
    all: CpuSet,
    server: CpuSet,
    load: CpuSet,
}

/// Cores that were kept busy, on average.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Cores {
    /// By the contender's process.
    pub(crate) contender: f64,
    /// By the load generator.
    pub(crate) generator: f64,
    /// By the receiver.
    pub(crate) receiver: f64,
}

/// Watches how busy the contender, the generator and the receiver are.
#[derive(Debug)]
pub(crate) struct Busy {
    began: Instant,
    before: [(u32, Duration); 3],
}

// === impl Division ===

impl Division {
    /// Divides the cores that this thread may use.
    pub(crate) fn new(placement: Placement) -> anyhow::Result<Self> {
        let all = sched_getaffinity(None).context("cannot tell which cores there are")?;
        if placement == Placement::Shared {
            return Ok(Self {
                all,
                server: all,
                load: all,
            });
        }
        let cores: Vec<usize> = (0..CpuSet::MAX_CPU)
            .filter(|core| all.is_set(*core))
            .collect();
        anyhow::ensure!(cores.len() > 1, "this scenario needs two cores");
        let (server, load) = cores.split_at(cores.len() / 2);
        Ok(Self {
            all,
            server: set_of(server),
            load: set_of(load),
        })
    }

    /// From now on this thread, and what it starts, runs where the server is to run.
    pub(crate) fn as_server(&self) -> anyhow::Result<()> {
        run_on(&self.server)
    }

    /// From now on it runs where the load comes from.
    pub(crate) fn as_load(&self) -> anyhow::Result<()> {
        run_on(&self.load)
    }
}

impl Drop for Division {
    fn drop(&mut self) {
        // They were allowed before, so nothing can be wrong with them.
        let _ = run_on(&self.all);
    }
}

fn set_of(cores: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    set
}

fn run_on(cores: &CpuSet) -> anyhow::Result<()> {
    sched_setaffinity(None, cores).context("cannot choose the cores to run on")
}

// === impl Busy ===

impl Busy {
    /// Begins to watch the processes, in that order.
    pub(crate) fn begin(pids: [u32; 3]) -> anyhow::Result<Self> {
        let mut before = pids.map(|pid| (pid, Duration::ZERO));
        for (pid, cpu) in &mut before {
            *cpu = procfs::cpu_time(*pid)?;
        }
        Ok(Self {
            began: Instant::now(),
            before,
        })
    }

    /// What they used since.
    pub(crate) fn end(self) -> anyhow::Result<Cores> {
        let length = self.began.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
        let mut cores = [0.0; 3];
        for (share, (pid, before)) in cores.iter_mut().zip(self.before) {
            let cpu = procfs::cpu_time(pid)?.saturating_sub(before);
            *share = cpu.as_secs_f64() / length;
        }
        let [contender, generator, receiver] = cores;
        Ok(Cores {
            contender,
            generator,
            receiver,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_and_the_load_have_no_core_in_common() {
        let shared = Division::new(Placement::Shared).unwrap();
        assert_eq!(shared.server, shared.all);
        assert_eq!(shared.load, shared.all);
        if shared.all.count() < 2 {
            println!("SKIPPED two halves: there is one core");
            return;
        }
        let before = sched_getaffinity(None).unwrap();
        let apart = Division::new(Placement::Apart).unwrap();
        apart.as_server().unwrap();
        assert_eq!(sched_getaffinity(None).unwrap(), apart.server);
        apart.as_load().unwrap();
        let load = sched_getaffinity(None).unwrap();
        assert!((0..CpuSet::MAX_CPU).all(|core| !(load.is_set(core) && apart.server.is_set(core))));
        assert_eq!(load.count() + apart.server.count(), before.count());
        drop(apart);
        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }
}
