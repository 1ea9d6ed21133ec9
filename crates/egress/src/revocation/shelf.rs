//! Keeps what was fetched until it ends, and fetches it once however many want it.
//!
//! **Invariant:** what is kept is bounded in number and bytes; what has ended is not given out;
//! a fetch goes on when nobody waits for it any more, so that the next one finds its result.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hookseal_domain::time::Timestamp;
use hookseal_pki::certificate::SpkiSha256;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::fetches::{Fetches, Party};
use super::limits::{FAILURE_AGE_MAX, FETCH_TIME_MAX, REFRESH_AGE};

/// What was fetched, or why not: the same for all who wait.
pub(super) type Outcome<V> = Result<V, Arc<str>>;

/// Keeps values of one kind. A clone is the same one.
pub(super) struct Shelf<K, V>(Arc<Inner<K, V>>);

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) values_max: usize,
    pub(super) bytes_max: usize,
}

/// On whose account something is fetched and kept.
pub(super) struct Cause {
    /// Who has a share in the fetches that it counts to.
    pub(super) parties: Vec<Party>,
    /// The root above the certificates in question.
    pub(super) root: Option<SpkiSha256>,
}

/// A value that was fetched.
pub(super) struct Fetched<V> {
    pub(super) value: V,
    /// When it was true, in seconds since the Unix epoch: an older one does not replace a newer.
    pub(super) as_of_secs: i64,
    /// `None` for what nobody vouches for: those who wait for it get it, and it is not kept.
    pub(super) until: Option<Timestamp>,
    pub(super) bytes: usize,
}

/// How long somebody waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) until: Instant,
    /// A fetch that takes longer than this is not waited for any more.
    pub(super) fetch_age_max: Duration,
}

/// A value that is there or on its way.
pub(super) enum Pending<V> {
    Here(Outcome<V>),
    Coming(Flight<V>),
}

/// A fetch that is going on.
pub(super) struct Flight<V> {
    /// When it had its turn; before that it is no slow one.
    began: Arc<OnceLock<Instant>>,
    landed: watch::Receiver<Option<Outcome<V>>>,
}

struct Inner<K, V> {
    bounds: Bounds,
    fetches: Arc<Fetches>,
    slots: Mutex<HashMap<K, Slot<V>>>,
}

/// What is known of one key.
struct Slot<V> {
    kept: Option<Kept<V>>,
    failed: Option<(Arc<str>, Timestamp)>,
    flight: Option<Flight<V>>,
    root: Option<SpkiSha256>,
    used_at: Timestamp,
}

struct Kept<V> {
    value: V,
    as_of_secs: i64,
    until: Timestamp,
    bytes: usize,
    refresh_at: Timestamp,
}

// === impl Shelf ===

impl<K, V> Shelf<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new(bounds: Bounds, fetches: Arc<Fetches>) -> Self {
        Self(Arc::new(Inner {
            bounds,
            fetches,
            slots: Mutex::new(HashMap::new()),
        }))
    }

    /// The value of `key`, or the fetch that will bring it. A value that is growing old is fetched
    /// again without anybody waiting.
    pub(super) fn obtain<F>(&self, key: &K, now: Timestamp, cause: Cause, fetch: F) -> Pending<V>
    where
        F: Future<Output = Result<Fetched<V>, String>> + Send + 'static,
    {
        let mut slots = self.0.slots.lock();
        let slot = slots.entry(key.clone()).or_insert_with(|| Slot::new(now));
        slot.used_at = now;
        slot.root = cause.root;
        let flying = slot.flying();
        let failed = slot.failed.as_ref().filter(|(_, again_at)| now < *again_at);
        let failed = failed.map(|(why, _)| Arc::clone(why));
        let kept = slot.kept.as_ref().filter(|kept| now < kept.until);
        match (kept, flying, failed) {
            (Some(kept), None, None) if now >= kept.refresh_at => {
                let value = kept.value.clone();
                slot.flight = Some(self.fly(key.clone(), now, cause, fetch));
                Pending::Here(Ok(value))
            }
            (Some(kept), ..) => Pending::Here(Ok(kept.value.clone())),
            (None, Some(flight), _) => Pending::Coming(flight),
            (None, None, Some(why)) => Pending::Here(Err(why)),
            (None, None, None) => {
                let flight = self.fly(key.clone(), now, cause, fetch);
                slot.flight = Some(flight.clone());
                Pending::Coming(flight)
            }
        }
    }

    /// Whether a value of `key` is kept that has not ended.
    pub(super) fn keeps(&self, key: &K, now: Timestamp) -> bool {
        let slots = self.0.slots.lock();
        let kept = slots.get(key).and_then(|slot| slot.kept.as_ref());
        kept.is_some_and(|kept| now < kept.until)
    }

    fn fly<F>(&self, key: K, now: Timestamp, cause: Cause, fetch: F) -> Flight<V>
    where
        F: Future<Output = Result<Fetched<V>, String>> + Send + 'static,
    {
        let (land, landed) = watch::channel(None);
        let (inner, began) = (Arc::clone(&self.0), Arc::new(OnceLock::new()));
        let begun = Arc::clone(&began);
        tokio::spawn(async move {
            let Some(_place) = inner.fetches.place(&cause.parties).await else {
                let outcome = inner.turn_away(&key);
                let _sent = land.send(Some(outcome));
                return;
            };
            let _first = begun.set(Instant::now());
            let outcome = timeout(FETCH_TIME_MAX, fetch).await.unwrap_or_else(|_| {
                let secs = FETCH_TIME_MAX.as_secs();
                Err(format!("it did not come within {secs} s"))
            });
            let outcome = inner.land(&key, now, outcome);
            // Nobody may be waiting.
            let _sent = land.send(Some(outcome));
        });
        Flight { began, landed }
    }
}

impl<K, V> Clone for Shelf<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

// === impl Inner ===

impl<K: Clone + Eq + Hash, V: Clone> Inner<K, V> {
    /// Others were in the way, which says nothing of what was to be fetched: the next one who wants
    /// it tries again.
    fn turn_away(&self, key: &K) -> Outcome<V> {
        if let Some(slot) = self.slots.lock().get_mut(key) {
            slot.flight = None;
        }
        Err("too much else was being fetched".into())
    }

    fn land(&self, key: &K, now: Timestamp, outcome: Result<Fetched<V>, String>) -> Outcome<V> {
        let mut slots = self.slots.lock();
        let slot = slots.entry(key.clone()).or_insert_with(|| Slot::new(now));
        slot.flight = None;
        let landed = match outcome {
            Ok(fetched) => Ok(slot.keep(fetched, now)),
            Err(why) => {
                let why = Arc::<str>::from(why);
                slot.failed = Some((Arc::clone(&why), now.plus(FAILURE_AGE_MAX)));
                Err(why)
            }
        };
        make_room(&mut slots, self.bounds, key, now);
        landed
    }
}

/// Drops what has ended, then what was not used for longest, but not what has just come: of a root
/// that takes more than half of all first, so that others keep theirs.
fn make_room<K: Clone + Eq + Hash, V>(
    slots: &mut HashMap<K, Slot<V>>,
    bounds: Bounds,
    newest: &K,
    now: Timestamp,
) {
    let is_full = |slots: &HashMap<K, Slot<V>>| {
        let bytes: usize = slots.values().map(Slot::bytes).sum();
        slots.len() > bounds.values_max || bytes > bounds.bytes_max
    };
    if !is_full(slots) {
        return;
    }
    slots.retain(|key, slot| key == newest || slot.is_of_use(now));
    while is_full(slots) {
        let greedy = greedy(slots, bounds);
        let others = || slots.iter().filter(|(key, _)| *key != newest);
        let theirs = others().filter(|(_, slot)| greedy.is_some() && slot.root == greedy);
        let oldest = theirs.min_by_key(|(_, slot)| slot.used_at);
        let Some(oldest) = oldest.or_else(|| others().min_by_key(|(_, slot)| slot.used_at)) else {
            return;
        };
        let oldest = oldest.0.clone();
        slots.remove(&oldest);
    }
}

/// The root that takes more than half of all, if one does.
fn greedy<K, V>(slots: &HashMap<K, Slot<V>>, bounds: Bounds) -> Option<SpkiSha256> {
    let mut takes: HashMap<SpkiSha256, (usize, usize)> = HashMap::new();
    for slot in slots.values() {
        if let Some(root) = slot.root {
            let (values, bytes) = takes.entry(root).or_default();
            *values += 1;
            *bytes = bytes.saturating_add(slot.bytes());
        }
    }
    let is_greedy = |(values, bytes): (usize, usize)| {
        values > bounds.values_max / 2 || bytes > bounds.bytes_max / 2
    };
    let mut greedy = takes.into_iter().filter(|(_, takes)| is_greedy(*takes));
    greedy.next().map(|(root, _)| root)
}

// === impl Slot ===

impl<V> Slot<V> {
    fn new(now: Timestamp) -> Self {
        Self {
            kept: None,
            failed: None,
            flight: None,
            root: None,
            used_at: now,
        }
    }

    /// The fetch that is going on. One that ended without a result has panicked.
    fn flying(&self) -> Option<Flight<V>> {
        let flight = self.flight.as_ref()?;
        flight.landed.has_changed().is_ok().then(|| flight.clone())
    }

    fn bytes(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.bytes)
    }

    fn is_of_use(&self, now: Timestamp) -> bool {
        self.flight.is_some()
            || self
                .failed
                .as_ref()
                .is_some_and(|(_, again_at)| now < *again_at)
            || self.kept.as_ref().is_some_and(|kept| now < kept.until)
    }
}

impl<V: Clone> Slot<V> {
    /// Keeps what was fetched, unless nobody vouches for it or what is here is newer: who stands
    /// between us and the CA may send anything, and what the CA said before it revoked.
    fn keep(&mut self, fetched: Fetched<V>, now: Timestamp) -> V {
        let current = self.kept.as_mut().filter(|kept| now < kept.until);
        let Some(until) = fetched.until else {
            return match current {
                // It is as if nothing had come in its place.
                Some(kept) => {
                    kept.refresh_at = now.plus(FAILURE_AGE_MAX);
                    kept.value.clone()
                }
                None => fetched.value,
            };
        };
        self.failed = None;
        let refresh_at = now.plus(REFRESH_AGE);
        if let Some(kept) = current
            && kept.as_of_secs > fetched.as_of_secs
        {
            kept.refresh_at = refresh_at;
            return kept.value.clone();
        }
        self.kept = Some(Kept {
            value: fetched.value.clone(),
            as_of_secs: fetched.as_of_secs,
            until,
            bytes: fetched.bytes,
            refresh_at,
        });
        fetched.value
    }
}

// === impl Pending ===

impl<V: Clone> Pending<V> {
    /// The value, if it is there.
    pub(super) fn here(self) -> Option<V> {
        match self {
            Self::Here(outcome) => outcome.ok(),
            Self::Coming(_) => None,
        }
    }

    /// Waits, but not for ever.
    pub(super) async fn wait(self, patience: Patience) -> Outcome<V> {
        let mut flight = match self {
            Self::Here(outcome) => return outcome,
            Self::Coming(flight) => flight,
        };
        let until = match flight.began.get() {
            Some(began) => patience.until.min(*began + patience.fetch_age_max),
            None => patience.until,
        };
        let landed = flight.landed.wait_for(Option::is_some);
        match timeout_at(until, landed).await {
            Ok(Ok(outcome)) => match &*outcome {
                Some(outcome) => outcome.clone(),
                None => Err("the fetch ended without a result".into()),
            },
            Ok(Err(_)) => Err("the fetch ended without a result".into()),
            Err(_) => Err("it did not come in time".into()),
        }
    }
}

impl<V> Clone for Flight<V> {
    fn clone(&self) -> Self {
        Self {
            began: Arc::clone(&self.began),
            landed: self.landed.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::FETCHES_MAX;
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_392_000_000);
    const MINUTE: Duration = Duration::from_secs(60);

    fn shelf(values_max: usize, bytes_max: usize) -> Shelf<u8, u32> {
        let bounds = Bounds {
            values_max,
            bytes_max,
        };
        Shelf::new(bounds, Fetches::new())
    }

    fn fetched(value: u32, bytes: usize) -> Result<Fetched<u32>, String> {
        Ok(Fetched {
            value,
            as_of_secs: i64::from(value),
            until: Some(NOW.plus(10 * MINUTE)),
            bytes,
        })
    }

    fn nobody() -> Cause {
        Cause {
            parties: Vec::new(),
            root: None,
        }
    }

    async fn get(
        shelf: &Shelf<u8, u32>,
        key: u8,
        now: Timestamp,
        fetch: Result<Fetched<u32>, String>,
    ) -> Outcome<u32> {
        let patience = Patience {
            until: Instant::now() + MINUTE,
            fetch_age_max: MINUTE,
        };
        let pending = shelf.obtain(&key, now, nobody(), async { fetch });
        pending.wait(patience).await
    }

    fn kept(shelf: &Shelf<u8, u32>) -> Vec<u8> {
        let mut keys: Vec<_> = shelf.0.slots.lock().keys().copied().collect();
        keys.sort_unstable();
        keys
    }

    #[tokio::test]
    async fn what_was_not_used_for_longest_goes_first() {
        let shelf = shelf(3, 100);
        for key in 1..=3 {
            let now = NOW.plus(Duration::from_secs(key.into()));
            assert_eq!(
                get(&shelf, key, now, fetched(key.into(), 10)).await,
                Ok(key.into())
            );
        }
        let later = |minutes: u32| NOW.plus(MINUTE * minutes);
        assert_eq!(get(&shelf, 1, later(1), fetched(99, 10)).await, Ok(1));
        assert_eq!(get(&shelf, 4, later(2), fetched(4, 10)).await, Ok(4));
        assert_eq!(kept(&shelf), [1, 3, 4]);
        // By bytes, too; what has just come stays even if it is too long for all the shelf.
        assert_eq!(get(&shelf, 5, later(3), fetched(5, 85)).await, Ok(5));
        assert_eq!(kept(&shelf), [4, 5]);
        assert_eq!(get(&shelf, 6, later(4), fetched(6, 1000)).await, Ok(6));
        assert_eq!(kept(&shelf), [6]);
    }

    #[tokio::test]
    async fn what_has_ended_goes_before_what_is_of_use() {
        let shelf = shelf(2, 100);
        for key in 1..=2 {
            assert_eq!(
                get(&shelf, key, NOW, Err("no".to_owned())).await,
                Err("no".into())
            );
        }
        // The two failures count for a minute.
        let later = NOW.plus(2 * MINUTE);
        assert_eq!(get(&shelf, 3, later, fetched(3, 1)).await, Ok(3));
        assert_eq!(kept(&shelf), [3]);
    }

    #[tokio::test]
    async fn what_has_ended_is_not_given_out() {
        let shelf = shelf(2, 100);
        assert_eq!(get(&shelf, 1, NOW, fetched(1, 1)).await, Ok(1));
        let end = NOW.plus(10 * MINUTE);
        assert_eq!(
            get(&shelf, 1, end, Err("gone".to_owned())).await,
            Err("gone".into())
        );
    }

    #[tokio::test]
    async fn one_root_does_not_push_out_the_others() {
        let shelf = shelf(4, 100);
        let of = async |key: u8, root: &[u8], bytes| {
            let cause = Cause {
                root: Some(SpkiSha256::of_spki(root)),
                ..nobody()
            };
            let now = NOW.plus(Duration::from_secs(key.into()));
            let fetch = async move { fetched(key.into(), bytes) };
            let patience = Patience {
                until: Instant::now() + MINUTE,
                fetch_age_max: MINUTE,
            };
            shelf.obtain(&key, now, cause, fetch).wait(patience).await
        };
        for key in [1, 2] {
            assert_eq!(of(key, b"mine", 10).await, Ok(key.into()));
        }
        for key in 3..=9 {
            assert_eq!(of(key, b"theirs", 10).await, Ok(key.into()));
        }
        assert_eq!(kept(&shelf), [1, 2, 8, 9]);
        // By bytes, too.
        assert_eq!(of(10, b"theirs", 75).await, Ok(10));
        assert_eq!(kept(&shelf), [1, 2, 10]);
    }

    /// That others were in the way is no failure of what was to be fetched.
    #[tokio::test(start_paused = true)]
    async fn who_got_no_turn_may_try_again() {
        let fetches = Fetches::new();
        let bounds = Bounds {
            values_max: 2,
            bytes_max: 100,
        };
        let shelf: Shelf<u8, u32> = Shelf::new(bounds, Arc::clone(&fetches));
        let mut places = Vec::new();
        for _ in 0..FETCHES_MAX {
            places.push(fetches.place(&[]).await);
        }
        let outcome = get(&shelf, 1, NOW, fetched(1, 1)).await;
        assert_eq!(outcome, Err("too much else was being fetched".into()));
        // What had to wait has all of its own time, and is tried at once.
        let almost = FETCH_TIME_MAX - Duration::from_secs(1);
        let slow = async move {
            timeout(almost, std::future::pending::<()>())
                .await
                .unwrap_err();
            fetched(1, 1)
        };
        let pending = shelf.obtain(&1, NOW, nobody(), slow);
        timeout(almost, std::future::pending::<()>())
            .await
            .unwrap_err();
        places.clear();
        let patience = Patience {
            until: Instant::now() + MINUTE,
            fetch_age_max: FETCH_TIME_MAX,
        };
        assert_eq!(pending.wait(patience).await, Ok(1));
    }

    #[tokio::test]
    async fn what_nobody_vouches_for_is_not_kept() {
        let shelf = shelf(2, 100);
        let unproven = |value| {
            let fetched = fetched(value, 1)?;
            Ok(Fetched {
                until: None,
                ..fetched
            })
        };
        assert_eq!(get(&shelf, 1, NOW, unproven(98)).await, Ok(98));
        assert_eq!(get(&shelf, 1, NOW, unproven(99)).await, Ok(99));
        assert_eq!(get(&shelf, 1, NOW, fetched(1, 1)).await, Ok(1));
        assert_eq!(get(&shelf, 1, NOW, unproven(99)).await, Ok(1));
    }

    /// A fetch that panics leaves nobody waiting, and the next one tries again.
    #[tokio::test]
    async fn a_fetch_that_ends_without_a_result() {
        let shelf = shelf(2, 100);
        let patience = Patience {
            until: Instant::now() + MINUTE,
            fetch_age_max: MINUTE,
        };
        let pending = shelf.obtain(&1, NOW, nobody(), async {
            panic!("as a fault of ours would")
        });
        let outcome = pending.wait(patience).await;
        assert_eq!(outcome, Err("the fetch ended without a result".into()));
        assert_eq!(get(&shelf, 1, NOW, fetched(1, 1)).await, Ok(1));
    }

    /// Whoever asked may have gone: what comes is kept all the same.
    #[tokio::test]
    async fn a_fetch_goes_on_without_those_who_wait() {
        let shelf = shelf(2, 100);
        let (go, wait) = tokio::sync::oneshot::channel();
        let pending = shelf.obtain(&1, NOW, nobody(), async {
            wait.await.unwrap();
            fetched(1, 1)
        });
        drop(pending);
        go.send(()).unwrap();
        assert_eq!(
            get(&shelf, 1, NOW, Err("not asked".to_owned())).await,
            Ok(1)
        );
    }
}
