//! Tokens that were verified, by hash: verifying a public-key signature for each request would cost
//! more than the request.
//!
//! **Invariant:** holds no token, only hashes; bounded.

use std::collections::HashMap;

use parking_lot::RwLock;

use hookseal_domain::time::Timestamp;

use crate::auth::jwt::Verdict;

/// Most tokens that are remembered: far more than the services that publish, 100 KiB of memory.
const TOKENS_MAX: usize = 1024;

/// The verified tokens.
#[derive(Debug, Default)]
pub(crate) struct TokenCache(RwLock<HashMap<[u8; 32], Verdict>>);

// === impl TokenCache ===

impl TokenCache {
    /// What was found when the token was verified. Its time is checked by the caller, each time.
    pub(crate) fn find(&self, token_hash: &[u8; 32]) -> Option<Verdict> {
        self.0.read().get(token_hash).copied()
    }

    /// Remembers a verified token; a full cache forgets the expired ones, or any one.
    pub(crate) fn keep(&self, token_hash: [u8; 32], verdict: Verdict, now: Timestamp) {
        let mut tokens = self.0.write();
        if tokens.len() >= TOKENS_MAX {
            tokens.retain(|_, kept| !kept.ended_at(now));
        }
        if tokens.len() >= TOKENS_MAX
            && let Some(any) = tokens.keys().next().copied()
        {
            tokens.remove(&any);
        }
        tokens.insert(token_hash, verdict);
    }
}

#[cfg(test)]
mod tests {
    use hookseal_domain::access::Principal;
    use hookseal_domain::id::OrgId;

    use super::*;

    #[test]
    fn it_is_bounded_and_forgets_the_expired_first() {
        let verdict = |ends_at| Verdict {
            principal: Principal::Organisation(OrgId::from_stored([1; 20])),
            begins_at: None,
            ends_at,
        };
        let hash = |n: usize| crate::auth::sha256(&n.to_be_bytes());
        let cache = TokenCache::default();
        let now = Timestamp::from_millis(1_000_000_000);
        cache.keep(hash(0), verdict(None), now);
        for n in 1..TOKENS_MAX {
            cache.keep(hash(n), verdict(Some(Timestamp::from_millis(5))), now);
        }
        cache.keep(hash(TOKENS_MAX), verdict(None), now);
        assert_eq!(cache.0.read().len(), 2);
        for n in 0..3 * TOKENS_MAX {
            cache.keep(hash(n), verdict(None), now);
        }
        assert_eq!(cache.0.read().len(), TOKENS_MAX);
    }
}
