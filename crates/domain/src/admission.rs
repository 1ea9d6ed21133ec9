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
const WINDOW: Duration = Duration::from_millis(100);
/// How many at least: a few say little.
const WINDOW_ENDS_MIN: u32 = 8;
/// Each good window lets an eighth more begin, so that the limit is at its most again within three
/// seconds.
const GROWTH_DIVISOR: usize = 8;
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
}

/// What a window came to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Pressure {
    None,
    Queue,
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
            window: Window::new(Duration::ZERO, 0),
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

    /// Ends a publish that began.
    pub fn end(&mut self, now: Duration, ended: Ended) {
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
            let pressure = self.window.pressure();
            self.limit = self
                .window
                .limit(self.limit, windows, pressure.min(self.last));
            self.last = pressure;
            self.window = Window::new(now, self.under_way);
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
    fn new(began: Duration, under_way: usize) -> Self {
        Self {
            began,
            ends: 0,
            took: Duration::ZERO,
            flush: Duration::ZERO,
            peak: under_way,
            crowded: false,
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

    fn pressure(&self) -> Pressure {
        let mean = self.mean();
        if mean > STALLED_AFTER {
            Pressure::Stall
        } else if mean > self.mean_max() {
            Pressure::Queue
        } else {
            Pressure::None
        }
    }

    fn mean(&self) -> Duration {
        self.took / self.ends.max(1)
    }

    fn mean_max(&self) -> Duration {
        let usual = MEAN_MAX.saturating_add(self.flush.saturating_mul(FLUSHES));
        usual.min(STALLED_AFTER)
    }

    /// What the limit becomes under a pressure that lasts. As in CoDel (RFC 8289 §3.2) it must have
    /// lasted: a single slow flush, and all that waited for it, is no queue that stands.
    fn limit(&self, limit: usize, windows: u32, lasting: Pressure) -> usize {
        let most = match (lasting, self.crowded) {
            (Pressure::Stall, _) => {
                return self.shrunk(limit, STALLED_AFTER).max(UNDER_WAY_STALLED);
            }
            (Pressure::Queue, true) => {
                let least = UNDER_WAY_CROWDED.min(limit);
                return self.shrunk(limit, self.mean_max()).max(least);
            }
            (Pressure::Queue, false) if limit > UNDER_WAY_STEADY => {
                return self.shrunk(limit, self.mean_max()).max(UNDER_WAY_STEADY);
            }
            (Pressure::Queue, false) => UNDER_WAY_STEADY,
            // One slow window says too little to let more in.
            (Pressure::None, _) if self.pressure() != Pressure::None => return limit,
            (Pressure::None, _) => UNDER_WAY_MAX,
        };
        (0..windows).fold(limit, |limit, _| most.min(limit + limit / GROWTH_DIVISOR))
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
                    self.admission.end(self.now, ended);
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
    fn the_limit_is_found_within_two_windows_and_given_up_in_three_seconds() {
        let mut story = Story::new();
        let limit = story.goes_on(WINDOW * 3, 2000, batch);
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
                admission.end(now + took, Ended::Stored { took, flush });
            }
        }
        assert_eq!(admission.limit(), UNDER_WAY_MAX);
    }

    #[test]
    fn a_stall_leaves_a_few_and_passes() {
        let mut story = Story::new();
        let limit = story.goes_on(ms(60_000), 2000, |_| ms(3000));
        assert_eq!(limit, UNDER_WAY_STALLED);
        let limit = story.goes_on(ms(3500), 2000, |_| ms(2));
        assert!(limit > 10 * UNDER_WAY_STEADY, "{limit}");
    }

    #[test]
    fn a_store_that_refuses_stalls() {
        let mut admission = Admission::default();
        for round in 1..20 {
            let now = ms(100) * round;
            for _ in 0..10 {
                admission.begin(now).unwrap();
                admission.end(now + ms(1), Ended::Refused);
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
                    admission.end(now + after + took, ended);
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

    #[test]
    fn a_full_disk_is_tried_by_one_at_a_time_until_one_fits() {
        let mut admission = Admission::default();
        admission.begin(ms(0)).unwrap();
        admission.end(ms(1), Ended::DiskFull);
        assert!(admission.is_disk_full());
        assert_eq!(admission.begin(ms(1000)), Err(Shed::DiskFull));
        assert_eq!(admission.check(ms(1001)), Ok(()));
        assert_eq!(admission.begin(ms(1001)), Ok(()), "the one that tries");
        assert_eq!(admission.begin(ms(1001)), Err(Shed::DiskFull));
        admission.end(ms(1003), Ended::DiskFull);
        assert_eq!(admission.begin(ms(2002)), Err(Shed::DiskFull));
        assert_eq!(admission.begin(ms(2003)), Ok(()));
        // What says nothing of the disk does not end it, and the next one tries.
        admission.end(ms(2004), Ended::Otherwise);
        assert_eq!(admission.begin(ms(2005)), Err(Shed::DiskFull));
        assert_eq!(admission.begin(ms(3003)), Ok(()));
        let (took, flush) = (ms(1), FLUSH);
        admission.end(ms(3004), Ended::Stored { took, flush });
        assert!(!admission.is_disk_full());
        assert_eq!(admission.begin(ms(3004)), Ok(()));
    }

    #[test]
    fn what_says_nothing_of_the_store_does_not_count() {
        let mut admission = Admission::default();
        for round in 1..50 {
            let now = ms(100) * round;
            admission.begin(now).unwrap();
            admission.end(now, Ended::Otherwise);
        }
        assert_eq!(admission.window.ends, 0);
        assert_eq!(admission.under_way(), 0);
    }
}
