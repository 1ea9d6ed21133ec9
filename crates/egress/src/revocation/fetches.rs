//! Who may fetch when: fetches are bounded together, and each party's share of them is, too.
//!
//! **Invariant:** one host, one root or all that policies name can't take every place: who waits
//! for a share holds no place that others could use.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use hookseal_pki::certificate::SpkiSha256;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::limits::{
    FETCHES_MAX, GIVEN_FETCHES_MAX, HOST_FETCHES_MAX, QUEUE_TIME_MAX, ROOT_FETCHES_MAX,
};

/// The places of all fetches, and the shares of those who cause them.
pub(super) struct Fetches {
    all: Arc<Semaphore>,
    /// Those that somebody holds or waits for.
    shares: Mutex<HashMap<Party, Weak<Semaphore>>>,
}

/// Who has a share.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Party {
    /// Where it is fetched from.
    Host(String),
    /// The root above the certificates that name it.
    Root(SpkiSha256),
    /// All policies together. Not the root of what they are asked about: whoever has a certificate
    /// of a public CA could take that CA's share by lists of their own.
    Policies,
}

/// A place and the shares that it counts to, until it is dropped.
pub(super) struct Place {
    _permits: Vec<OwnedSemaphorePermit>,
}

// === impl Fetches ===

impl Fetches {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            all: Arc::new(Semaphore::new(FETCHES_MAX)),
            shares: Mutex::new(HashMap::new()),
        })
    }

    /// A place for a fetch of these parties; `None` if none became free in time.
    pub(super) async fn place(&self, parties: &[Party]) -> Option<Place> {
        let shares: Vec<_> = parties.iter().map(|party| self.share(party)).collect();
        let permits = async {
            let mut permits = Vec::new();
            for share in shares.into_iter().chain([Arc::clone(&self.all)]) {
                permits.push(share.acquire_owned().await.ok()?);
            }
            Some(permits)
        };
        let permits = timeout(QUEUE_TIME_MAX, permits).await.ok()??;
        Some(Place { _permits: permits })
    }

    fn share(&self, party: &Party) -> Arc<Semaphore> {
        let mut shares = self.shares.lock();
        if let Some(share) = shares.get(party).and_then(Weak::upgrade) {
            return share;
        }
        shares.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(party.fetches_max()));
        shares.insert(party.clone(), Arc::downgrade(&share));
        share
    }
}

// === impl Party ===

impl Party {
    fn fetches_max(&self) -> usize {
        match self {
            Self::Host(_) => HOST_FETCHES_MAX,
            Self::Root(_) => ROOT_FETCHES_MAX,
            Self::Policies => GIVEN_FETCHES_MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> Party {
        Party::Host(name.to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_takes_every_place() {
        let fetches = Fetches::new();
        let mut taken = Vec::new();
        for _ in 0..HOST_FETCHES_MAX {
            taken.push(fetches.place(&[host("slow.example")]).await.unwrap());
        }
        assert!(fetches.place(&[host("slow.example")]).await.is_none());
        // Under as many names as they like.
        for name in 0..GIVEN_FETCHES_MAX {
            let parties = [host(&name.to_string()), Party::Policies];
            taken.push(fetches.place(&parties).await.unwrap());
        }
        let parties = [host("another.example"), Party::Policies];
        assert!(fetches.place(&parties).await.is_none());
        let root = Party::Root(SpkiSha256::of_spki(b"a root"));
        let parties = [host("ca.example"), root];
        assert!(fetches.place(&parties).await.is_some());
        drop(taken);
        assert!(fetches.place(&[host("slow.example")]).await.is_some());
        // Shares that nobody uses are forgotten.
        let _last = fetches.place(&[host("last.example")]).await;
        assert_eq!(fetches.shares.lock().len(), 1);
    }
}
