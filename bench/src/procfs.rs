//! What the kernel says of a process and of the machine. Reads `/proc`; changes nothing.

use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

/// Length of the kernel's accounting tick: USER_HZ is 100 on every architecture we run on.
const TICK: Duration = Duration::from_millis(10);
/// How long the machine is watched to tell how idle it is.
const WATCH: Duration = Duration::from_millis(300);
/// A process that uses less than this share of a core is quiet.
const QUIET_TICKS: u64 = 1;
/// How long to wait for a process to become quiet.
const SETTLE_PERIODS_MAX: u32 = 40;

/// Memory of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Now.
    pub(crate) resident_mib: f64,
    /// At its highest.
    pub(crate) peak_mib: f64,
}

/// The machine that the figures belong to.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    /// Model of the processor.
    pub(crate) processor: String,
    /// Cores that can be used.
    pub(crate) cores: usize,
    /// Memory in all.
    pub(crate) memory_gib: f64,
    /// Release of the Linux kernel.
    pub(crate) kernel: String,
}

/// User and system time of a process and all its threads so far.
pub(crate) fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let stat = read(&format!("/proc/{pid}/stat"))?;
    let ticks = process_ticks(&stat).context("/proc/<pid>/stat is not as expected")?;
    Ok(TICK * u32::try_from(ticks)?)
}

/// Waits until a process has nothing more to do, so that work behind the last delivery counts too.
pub(crate) async fn settle(pid: u32) -> anyhow::Result<()> {
    let mut before = cpu_time(pid)?;
    for _ in 0..SETTLE_PERIODS_MAX {
        tokio::time::sleep(WATCH).await;
        let now = cpu_time(pid)?;
        if now.saturating_sub(before) <= TICK * u32::try_from(QUIET_TICKS)? {
            break;
        }
        before = now;
    }
    Ok(())
}

/// Memory of a process.
pub(crate) fn memory(pid: u32) -> anyhow::Result<Memory> {
    let status = read(&format!("/proc/{pid}/status"))?;
    let mib = |field| Some(f64::from(kib(&status, field)?) / 1024.0);
    let found = || {
        Some(Memory {
            resident_mib: mib("VmRSS:")?,
            peak_mib: mib("VmHWM:")?,
        })
    };
    found().context("/proc/<pid>/status is not as expected")
}

/// Watches the machine for a moment: the idle share of all its cores, 0 to 1.
pub(crate) async fn idle_share() -> anyhow::Result<f64> {
    let look = || machine_ticks(&read("/proc/stat")?).context("/proc/stat is not as expected");
    let (idle_before, all_before) = look()?;
    tokio::time::sleep(WATCH).await;
    let (idle, all) = look()?;
    let idle = u32::try_from(idle.saturating_sub(idle_before))?;
    let all = u32::try_from(all.saturating_sub(all_before))?.max(1);
    Ok(f64::from(idle) / f64::from(all))
}

/// Looks at the machine.
pub(crate) fn machine() -> anyhow::Result<Machine> {
    let processors = read("/proc/cpuinfo")?;
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let memory_kib = kib(&read("/proc/meminfo")?, "MemTotal:").context("no MemTotal")?;
    Ok(Machine {
        processor: model
            .unwrap_or("unknown")
            .trim_start_matches(['\t', ' ', ':'])
            .to_owned(),
        cores: std::thread::available_parallelism()?.get(),
        memory_gib: f64::from(memory_kib) / 1024.0 / 1024.0,
        kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
    })
}

fn read(path: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}

/// Fields 14 and 15 of proc_pid_stat(5); the second field is in brackets and may hold anything.
fn process_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

/// Idle ticks (waiting for the disk included) and all ticks, of the first line of proc_stat(5).
fn machine_ticks(stat: &str) -> Option<(u64, u64)> {
    let fields = stat
        .lines()
        .next()?
        .strip_prefix("cpu ")?
        .split_ascii_whitespace();
    // Time of guests, fields 9 and 10, is part of the first two already.
    let ticks: Vec<u64> = fields
        .take(8)
        .map_while(|field| field.parse().ok())
        .collect();
    Some((
        ticks.get(3)?.checked_add(*ticks.get(4)?)?,
        ticks.iter().sum(),
    ))
}

fn kib(text: &str, field: &str) -> Option<u32> {
    let rest = text.lines().find_map(|line| line.strip_prefix(field))?;
    rest.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_user_and_system() {
        let stat = "4711 (a) b) S 1 4711 4711 0 -1 4194304 900 0 0 0 120 45 0 0 20 0 4 0 8";
        assert_eq!(process_ticks(stat), Some(165));
        assert_eq!(process_ticks("4711 (a"), None);
    }

    #[test]
    fn idle_includes_waiting_for_the_disk() {
        let stat = "cpu  100 0 50 800 30 0 10 10 0 0\ncpu0 1 2 3";
        assert_eq!(machine_ticks(stat), Some((830, 1000)));
    }

    #[test]
    fn memory_is_read_in_kib() {
        let status = "Name:\tx\nVmHWM:\t  150000 kB\nVmRSS:\t   40960 kB\n";
        assert_eq!(kib(status, "VmRSS:"), Some(40_960));
        assert_eq!(kib(status, "VmSwap:"), None);
    }

    #[test]
    fn this_process_can_be_looked_at() {
        let pid = std::process::id();
        cpu_time(pid).unwrap();
        let memory = memory(pid).unwrap();
        assert!(memory.peak_mib >= memory.resident_mib && memory.resident_mib > 0.0);
        assert!(machine().unwrap().memory_gib > 0.0);
    }
}
