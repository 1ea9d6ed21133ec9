//! Decides whether one more publish may begin, by how long the last ones took to become durable.
//!
//! **Invariant:** no clock, no IO. However slow the store, what is under way stays below a bound that
//! shrinks with it.

use std::time::Duration;

/// Most publishes under way: one transaction's worth at work, and one that waits for its turn.
pub const UNDER_WAY_MAX: usize = 1024;
/// So many may be under way unless the store stalls, or even more keep coming: they share
/// transactions, which one after the other would cost each of them more.
pub const UNDER_WAY_STEADY: usize = 64;
/// So many may be under way while more keep coming: to turn those away takes its share of the
/// machine as well.
pub const UNDER_WAY_CROWDED: usize = 32;
/// So many may be under way however busy the machine is: a few share a flush.
pub const UNDER_WAY_LEAST: usize = 4;
/// So many may be under way while the store stalls: enough to notice when it goes on.
pub const UNDER_WAY_STALLED: usize = 16;
/// What a publish may take on average, beside the flushes that nobody can spare it. Beyond it a
/// queue is standing.
pub const MEAN_MAX: Duration = Duration::from_millis(10);
/// A store that takes longer on average stalls: most clients would rather hear so.
pub const STALLED_AFTER: Duration = Duration::from_secs(1);
/// Flushes that a publish may have to wait for: that of the transaction before, and its own.
const FLUSHES: u32 = 2;
/// How long publishes are watched before the limit moves.
const WINDOW: Duration = Duration::from_millis(25);
/// Percent of their time for which the threads that serve requests work when they are full: what
/// comes then waits for one of them, and so do those that are only turned away.
const FULL_PERCENT: u128 = 90;
/// Beyond so many percent no more are let in while others are turned away.
const BUSY_PERCENT: u128 = 75;
/// How many at least: a few say little.
const WINDOW_ENDS_MIN: u32 = 8;
/// Each good window lets so many part more begin, so that the limit is at its most again within three
/// seconds.
const GROWTH_DIVISOR: usize = 24;
/// Windows that one may stand for after a pause: more change nothing.
const WINDOWS_MAX: u32 = 32;
/// How often a single publish tries whether a full disk has room again.
const FULL_PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// How much is under way, and how much may be. Times are counted from any one moment.
#[derive(Clone, Debug)]
pub struct Admission {
    limit: usize,
    under_way: usize,
    window: Window,
    /// What the window before came to.
    last: Pressure,
    /// While the disk is full: when the next publish may try it.
    full_until: Option<Duration>,
}

/// Why a publish must not begin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shed {
    /// It would wait for too long.
    Waiting,
    /// There is no room to store it.
    DiskFull,
}

/// How a publish ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// It is durable.
    Stored {
        /// From its begin.
        took: Duration,
        /// What the disk takes for one flush of late.
        flush: Duration,
    },
    /// The store had too much to do.
    Refused,
    /// The disk is full.
    DiskFull,
    /// For a reason that says nothing of the store.
    Otherwise,
}

/// What was seen since the limit moved last.
#[derive(Clone, Copy, Debug)]
struct Window {
    began: Duration,
    ends: u32,
    took: Duration,
    flush: Duration,
    /// Most that were under way at once.
    peak: usize,
    /// Whether some had to be turned away.
    crowded: bool,
    /// What had been worked when it began.
    worked: Duration,
}

/// How long the threads that serve requests have worked, counted from any one moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Worked {
    /// All of them together.
    pub total: Duration,
    /// How many there are; 0 where nobody can tell.
    pub threads: u32,
}

/// What a window came to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Pressure {
    None,
    /// Others were turned away, and there is little left to serve more.
    Busy,
    Queue,
    /// The machine is full.
    Full,
    Stall,
}

// === impl Shed ===

impl Shed {
    /// All reasons.
    pub const ALL: [Self; 2] = [Self::Waiting, Self::DiskFull];

    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::DiskFull => "disk_full",
        }
    }
}

// === impl Admission ===

impl Default for Admission {
    fn default() -> Self {
        Self {
            limit: UNDER_WAY_MAX,
            under_way: 0,
            window: Window::new(Duration::ZERO, 0, Duration::ZERO),
            last: Pressure::None,
            full_until: None,
        }
    }
}

impl Admission {
    /// Whether a publish may begin, as far as can be told now.
    pub fn check(&mut self, now: Duration) -> Result<(), Shed> {
        if self.full_until.is_some_and(|until| now < until) {
            return Err(Shed::DiskFull);
        }
        if self.under_way >= self.limit {
            self.window.crowded = true;
            return Err(Shed::Waiting);
        }
        Ok(())
    }

    /// Begins a publish, if it may.
    pub fn begin(&mut self, now: Duration) -> Result<(), Shed> {
        self.check(now)?;
        // One tries the full disk; the others wait for what it finds.
        if self.full_until.is_some() {
            self.full_until = Some(now.saturating_add(FULL_PROBE_INTERVAL));
        }
        self.under_way += 1;
        self.window.peak = self.window.peak.max(self.under_way);
        Ok(())
    }

    /// Ends a publish that began. `worked` is asked for now and then.
    pub fn end(&mut self, now: Duration, ended: Ended, worked: impl FnOnce() -> Worked) {
        self.under_way = self.under_way.saturating_sub(1);
        match ended {
            Ended::Stored { took, flush } => {
                self.full_until = None;
                self.window.note(took, flush);
            }
            Ended::Refused => self.window.note(STALLED_AFTER * 2, self.window.flush),
            Ended::DiskFull => {
                self.full_until = Some(now.saturating_add(FULL_PROBE_INTERVAL));
                return;
            }
            Ended::Otherwise => return,
        }
        let windows = self.window.windows(now);
        if windows > 0 {
            let worked = worked();
            let pressure = self.window.pressure(now, worked);
            self.limit = self.window.limit(self.limit, windows, pressure, self.last);
            self.last = pressure;
            self.window = Window::new(now, self.under_way, worked.total);
        }
    }

    /// How many are under way.
    pub fn under_way(&self) -> usize {
        self.under_way
    }

    /// How many may be.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Whether the disk was full when it was tried last.
    pub fn is_disk_full(&self) -> bool {
        self.full_until.is_some()
    }
}

// === impl Window ===

impl Window {
    fn new(began: Duration, under_way: usize, worked: Duration) -> Self {
        Self {
            began,
            ends: 0,
            took: Duration::ZERO,
            flush: Duration::ZERO,
            peak: under_way,
            crowded: false,
            worked,
        }
    }

    fn note(&mut self, took: Duration, flush: Duration) {
        self.ends += 1;
        self.took = self.took.saturating_add(took);
        self.flush = flush;
    }

    /// For how many windows it stands; 0 while it is too early to tell.
    fn windows(&self, now: Duration) -> u32 {
        if self.ends < WINDOW_ENDS_MIN {
            return 0;
        }
        let length = now.saturating_sub(self.began);
        let windows = length.as_millis() / WINDOW.as_millis();
        u32::try_from(windows)
            .unwrap_or(WINDOWS_MAX)
            .min(WINDOWS_MAX)
    }

    fn pressure(&self, now: Duration, worked: Worked) -> Pressure {
        let mean = self.mean();
        let percent = self.worked_percent(now, worked);
        let queues = mean > self.mean_max();
        if mean > STALLED_AFTER {
            Pressure::Stall
        } else if percent >= FULL_PERCENT && (queues || self.crowded) {
            Pressure::Full
        } else if queues {
            Pressure::Queue
        } else if percent >= BUSY_PERCENT && self.crowded {
            Pressure::Busy
        } else {
            Pressure::None
        }
    }

    /// The share of its length for which the threads worked, in percent.
    fn worked_percent(&self, now: Duration, worked: Worked) -> u128 {
        let length = now.saturating_sub(self.began) * worked.threads;
        let total = worked.total.saturating_sub(self.worked);
        total.as_nanos() * 100 / length.as_nanos().max(1)
    }

    fn mean(&self) -> Duration {
        self.took / self.ends.max(1)
    }

    fn mean_max(&self) -> Duration {
        let usual = MEAN_MAX.saturating_add(self.flush.saturating_mul(FLUSHES));
        usual.min(STALLED_AFTER)
    }

    /// What the limit becomes. As in CoDel (RFC 8289 §3.2) a queue must have lasted: a single slow
    /// flush, and all that waited for it, is no queue that stands. Where others are turned away from
    /// a full machine there is no second look: meanwhile what nobody has read yet would pile up.
    fn limit(&self, limit: usize, windows: u32, pressure: Pressure, last: Pressure) -> usize {
        let most = match (pressure, pressure.min(last), self.crowded) {
            (Pressure::Full, _, true) => {
                let half = self.peak.min(limit) / 2;
                let least = UNDER_WAY_LEAST.min(limit);
                return half.min(UNDER_WAY_CROWDED).max(least);
            }
            // What that leads to will show whether it has to be less.
            (_, Pressure::Full, false) if limit > UNDER_WAY_STEADY => return UNDER_WAY_STEADY,
            (_, Pressure::Stall, _) => {
                return self.shrunk(limit, STALLED_AFTER).max(UNDER_WAY_STALLED);
            }
            (_, Pressure::Full | Pressure::Queue, true) => {
                let least = UNDER_WAY_CROWDED.min(limit);
                return self.shrunk(limit, self.mean_max()).max(least);
            }
            (_, Pressure::Full | Pressure::Queue, false) if limit > UNDER_WAY_STEADY => {
                return self.shrunk(limit, self.mean_max()).max(UNDER_WAY_STEADY);
            }
            (_, Pressure::Full | Pressure::Queue, false) => UNDER_WAY_STEADY,
            // One slow window says too little to let more in.
            _ if pressure != Pressure::None => return limit,
            _ => UNDER_WAY_MAX,
        };
        let grown = |limit: usize| most.min(limit + (limit / GROWTH_DIVISOR).max(1));
        (0..windows).fold(limit, |limit, _| grown(limit))
    }

    /// As many as would have taken `aim`: who waits is waiting for the others.
    fn shrunk(&self, limit: usize, aim: Duration) -> usize {
        let under_way = u128::try_from(self.peak.min(limit)).unwrap_or(u128::MAX);
        let fitting = under_way.saturating_mul(aim.as_nanos()) / self.mean().as_nanos().max(1);
        usize::try_from(fitting).unwrap_or(limit).min(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLUSH: Duration = Duration::from_micros(200);

    /// The threads have nothing to do: what takes long waits for the disk.
    fn idle() -> Worked {
        Worked::default()
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// A store that takes `took` for each, under as many clients as it admits, up to `clients`.
    struct Story {
        admission: Admission,
        now: Duration,
    }

    impl Story {
        fn new() -> Self {
            Self {
                admission: Admission::default(),
                now: ms(5),
            }
        }

        /// Lets rounds of publishes come and end for so long; returns the limit.
        fn goes_on(
            &mut self,
            length: Duration,
            clients: usize,
            took: impl Fn(usize) -> Duration,
        ) -> usize {
            let until = self.now + length;
            while self.now < until {
                let mut begun = 0;
                while begun < clients && self.admission.begin(self.now).is_ok() {
                    begun += 1;
                }
                let took = took(begun);
                self.now += took;
                for _ in 0..begun {
                    let ended = Ended::Stored { took, flush: FLUSH };
                    self.admission.end(self.now, ended, idle);
                }
            }
            self.admission.limit()
        }
    }

    /// What the machine of the benchmark takes for a batch.
    fn batch(publishes: usize) -> Duration {
        FLUSH + Duration::from_micros(90) * u32::try_from(publishes).unwrap()
    }

    #[test]
    fn a_burst_is_taken_but_no_standing_queue() {
        let mut story = Story::new();
        for _ in 0..UNDER_WAY_MAX {
            story.admission.begin(story.now).unwrap();
        }
        assert_eq!(story.admission.check(story.now), Err(Shed::Waiting));
        let mut story = Story::new();
        let limit = story.goes_on(ms(2000), 2000, batch);
        let tolerated = MEAN_MAX + FLUSH * FLUSHES;
        assert!(
            limit >= UNDER_WAY_STEADY && batch(limit) < tolerated * 2,
            "{limit}"
        );
        assert_eq!(story.admission.begin(story.now), Ok(()), "it goes on");
    }

    #[test]
    fn the_limit_is_found_soon_and_given_up_in_three_seconds() {
        let mut story = Story::new();
        let limit = story.goes_on(ms(300), 2000, batch);
        assert!(limit < 2 * UNDER_WAY_STEADY, "{limit}");
        let limit = story.goes_on(ms(3000), 10, batch);
        assert_eq!(limit, UNDER_WAY_MAX);
    }

    #[test]
    fn a_steady_number_is_never_shed_however_long_it_takes_short_of_a_stall() {
        for millis in [11, 50, 300, 999] {
            let mut story = Story::new();
            let limit = story.goes_on(ms(20_000), UNDER_WAY_STEADY, |_| ms(millis));
            assert_eq!(limit, UNDER_WAY_STEADY, "{millis}");
            assert_eq!(story.admission.check(story.now), Ok(()));
        }
    }

    #[test]
    fn a_slow_disk_is_not_taken_for_a_queue() {
        let mut admission = Admission::default();
        for round in 1..100 {
            let now = ms(150) * round;
            for _ in 0..500 {
                admission.begin(now).unwrap();
            }
            for _ in 0..500 {
                let (took, flush) = (ms(60), ms(30));
                admission.end(now + took, Ended::Stored { took, flush }, idle);
            }
        }
        assert_eq!(admission.limit(), UNDER_WAY_MAX);
    }

    #[test]
    fn a_stall_leaves_a_few_and_passes() {
        let mut story = Story::new();
        let limit = story.goes_on(ms(60_000), 2000, |_| ms(3000));
        assert_eq!(limit, UNDER_WAY_STALLED);
        let limit = story.goes_on(ms(4000), 2000, |_| ms(2));
        assert!(limit > 10 * UNDER_WAY_STEADY, "{limit}");
    }

    #[test]
    fn a_store_that_refuses_stalls() {
        let mut admission = Admission::default();
        for round in 1..20 {
            let now = ms(100) * round;
            for _ in 0..10 {
                admission.begin(now).unwrap();
                admission.end(now + ms(1), Ended::Refused, idle);
            }
        }
        assert_eq!(admission.limit(), UNDER_WAY_STALLED);
    }

    #[test]
    fn one_slow_flush_and_all_that_waited_for_it_change_nothing() {
        let mut admission = Admission::default();
        for round in 1..20 {
            let now = ms(300) * round;
            for (after, took) in [(ms(0), ms(2)), (ms(100), ms(80)), (ms(200), ms(2))] {
                for _ in 0..200 {
                    admission.begin(now + after).unwrap();
                }
                for _ in 0..200 {
                    let ended = Ended::Stored { took, flush: FLUSH };
                    admission.end(now + after + took, ended, idle);
                }
            }
        }
        assert_eq!(admission.limit(), UNDER_WAY_MAX);
    }

    #[test]
    fn turning_away_takes_its_share() {
        let mut story = Story::new();
        let slow = |_: usize| MEAN_MAX * 2;
        assert_eq!(
            story.goes_on(ms(5000), UNDER_WAY_STEADY, slow),
            UNDER_WAY_STEADY
        );
        let crowd = UNDER_WAY_STEADY + 1;
        assert_eq!(story.goes_on(ms(5000), crowd, slow), UNDER_WAY_CROWDED);
        let patient = UNDER_WAY_CROWDED;
        assert_eq!(story.goes_on(ms(5000), patient, slow), UNDER_WAY_STEADY);
    }

    /// A machine with one thread, which stores a message in 100 µs and turns one away in 35 µs, while
    /// so many come each second. A transaction takes 2 ms beside.
    struct Machine {
        admission: Admission,
        now: Duration,
        worked: Duration,
        /// Those that nobody has read yet.
        unread: u32,
        stored: u32,
    }

    impl Machine {
        const STORES: Duration = Duration::from_micros(100);
        const TURNS_AWAY: Duration = Duration::from_micros(35);

        fn new() -> Self {
            Self {
                admission: Admission::default(),
                now: ms(5),
                worked: Duration::ZERO,
                unread: 0,
                stored: 0,
            }
        }

        fn goes_on(&mut self, length: Duration, per_second: u32) {
            let until = self.now + length;
            let mut came_until = self.now;
            while self.now < until {
                let micros = (self.now - came_until).as_micros();
                let coming = micros * u128::from(per_second) / 1_000_000;
                // At least one comes with each transaction.
                self.unread += u32::try_from(coming).unwrap().max(1);
                came_until = self.now;
                let (mut begun, mut turned_away) = (0, 0);
                for _ in 0..std::mem::take(&mut self.unread) {
                    match self.admission.begin(self.now) {
                        Ok(()) => begun += 1,
                        Err(_) => turned_away += 1,
                    }
                }
                let work = Self::STORES * begun + Self::TURNS_AWAY * turned_away;
                let took = work.max(ms(2));
                self.now += took;
                self.worked += work;
                self.stored += begun;
                let worked = Worked {
                    total: self.worked,
                    threads: 1,
                };
                for _ in 0..begun {
                    let ended = Ended::Stored { took, flush: FLUSH };
                    self.admission.end(self.now, ended, || worked);
                }
            }
        }
    }

    #[test]
    fn turning_away_keeps_the_machine_from_being_full() {
        let mut machine = Machine::new();
        machine.goes_on(ms(300), 20_000);
        let (worked, now, stored) = (machine.worked, machine.now, machine.stored);
        machine.goes_on(ms(10_000), 20_000);
        let length = (machine.now - now).as_secs_f64();
        let share = (machine.worked - worked).as_secs_f64() / length;
        assert!((0.75..0.95).contains(&share), "{share}");
        // 20,000 · 35 µs leave 0.3 s of each second, and one that is stored takes 65 µs more.
        let per_second = f64::from(machine.stored - stored) / length;
        assert!((1000.0..4000.0).contains(&per_second), "{per_second}");
        machine.goes_on(ms(10_000), 5000);
        assert_eq!(machine.admission.limit(), UNDER_WAY_MAX);
    }

    #[test]
    fn a_full_machine_turns_nobody_away_who_need_not_be() {
        let full = |now: Duration| {
            move || Worked {
                total: now,
                threads: 1,
            }
        };
        let mut admission = Admission::default();
        let mut limits = Vec::new();
        for round in 1..40 {
            let now = WINDOW * 2 * round;
            for _ in 0..UNDER_WAY_STEADY {
                admission.begin(now).unwrap();
            }
            for _ in 0..UNDER_WAY_STEADY {
                let (took, flush) = (ms(20), FLUSH);
                admission.end(now + took, Ended::Stored { took, flush }, full(now + took));
            }
            limits.push(admission.limit());
        }
        assert_eq!(limits.last(), Some(&UNDER_WAY_STEADY));
        // One more keeps coming: it is turned away, and half of the others with it.
        for (round, expect) in (40..).zip([32, 16, 8, 4, UNDER_WAY_LEAST]) {
            let now = WINDOW * 2 * round;
            while admission.begin(now).is_ok() {}
            let under_way = admission.under_way();
            for _ in 0..under_way.max(8) {
                let (took, flush) = (ms(2), FLUSH);
                admission.end(now + took, Ended::Stored { took, flush }, full(now + took));
            }
            assert_eq!(admission.limit(), expect);
        }
    }

    #[test]
    fn a_full_disk_is_tried_by_one_at_a_time_until_one_fits() {
        let mut admission = Admission::default();
        admission.begin(ms(0)).unwrap();
        admission.end(ms(1), Ended::DiskFull, idle);
        assert!(admission.is_disk_full());
        assert_eq!(admission.begin(ms(1000)), Err(Shed::DiskFull));
        assert_eq!(admission.check(ms(1001)), Ok(()));
        assert_eq!(admission.begin(ms(1001)), Ok(()), "the one that tries");
        assert_eq!(admission.begin(ms(1001)), Err(Shed::DiskFull));
        admission.end(ms(1003), Ended::DiskFull, idle);
        assert_eq!(admission.begin(ms(2002)), Err(Shed::DiskFull));
        assert_eq!(admission.begin(ms(2003)), Ok(()));
        // What says nothing of the disk does not end it, and the next one tries.
        admission.end(ms(2004), Ended::Otherwise, idle);
        assert_eq!(admission.begin(ms(2005)), Err(Shed::DiskFull));
        assert_eq!(admission.begin(ms(3003)), Ok(()));
        let (took, flush) = (ms(1), FLUSH);
        admission.end(ms(3004), Ended::Stored { took, flush }, idle);
        assert!(!admission.is_disk_full());
        assert_eq!(admission.begin(ms(3004)), Ok(()));
    }

    #[test]
    fn what_says_nothing_of_the_store_does_not_count() {
        let mut admission = Admission::default();
        for round in 1..50 {
            let now = ms(100) * round;
            admission.begin(now).unwrap();
            admission.end(now, Ended::Otherwise, idle);
        }
        assert_eq!(admission.window.ends, 0);
        assert_eq!(admission.under_way(), 0);
    }
}
