//! Tokens that were verified, by hash: verifying a public-key signature, or asking the store, for
//! each request would cost more than the request.
//!
//! **Invariant:** holds no token, only hashes; bounded; what was found before a token was ended is
//! never kept after it.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::RwLock;

use hookseal_domain::access::Principal;
use hookseal_domain::access::api_token::TokenHash;
use hookseal_domain::time::Timestamp;

use crate::auth::Source;
use crate::auth::jwt::Verdict;

/// Most tokens that are remembered: far more than the services that publish, 300 KiB of memory.
const TOKENS_MAX: usize = 1024;
/// How long what the store said of a token is believed: what another process changes there, this one
/// learns after so long. What this one changes, it forgets at once.
const BELIEVED_FOR: Duration = Duration::from_secs(60);

/// The verified tokens.
#[derive(Debug, Default)]
pub(crate) struct TokenCache(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Raised whenever something is forgotten on purpose.
    generation: u64,
    tokens: HashMap<TokenHash, Kept>,
}

#[derive(Debug)]
struct Kept {
    verdict: Verdict,
    at: Timestamp,
}

// === impl TokenCache ===

impl TokenCache {
    /// What was found when the token was verified. Its time is checked by the caller, each time.
    pub(crate) fn find(&self, hash: &TokenHash, now: Timestamp) -> Option<Verdict> {
        let known = self.0.read();
        let kept = known.tokens.get(hash)?;
        let believed = !kept.verdict.is_of_store() || now.since(kept.at) < BELIEVED_FOR;
        believed.then(|| kept.verdict.clone())
    }

    /// To be taken before a token is verified that is to be kept.
    pub(crate) fn generation(&self) -> u64 {
        self.0.read().generation
    }

    /// Remembers a token that was verified in this generation; a full cache forgets the expired
    /// ones, or any one.
    pub(crate) fn keep(&self, generation: u64, hash: TokenHash, verdict: Verdict, now: Timestamp) {
        let mut known = self.0.write();
        if known.generation != generation {
            return;
        }
        let tokens = &mut known.tokens;
        if tokens.len() >= TOKENS_MAX {
            tokens.retain(|_, kept| !kept.verdict.ended_at(now));
        }
        if tokens.len() >= TOKENS_MAX
            && let Some(any) = tokens.keys().next().copied()
        {
            tokens.remove(&any);
        }
        tokens.insert(hash, Kept { verdict, at: now });
    }

    /// Forgets some, and whatever is being verified right now.
    pub(crate) fn forget(&self, which: impl Fn(&TokenHash, &Verdict) -> bool) {
        let mut known = self.0.write();
        known.generation += 1;
        known
            .tokens
            .retain(|hash, kept| !which(hash, &kept.verdict));
    }
}

// === impl Verdict ===

impl Verdict {
    /// Whether the store was asked, which may say something else later on.
    fn is_of_store(&self) -> bool {
        matches!(self.grant.source, Source::ApiToken(_))
            || matches!(self.principal, Principal::Application(..))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hookseal_domain::access::scopes::Scopes;
    use hookseal_domain::id::{ApiTokenId, OrgId};

    use super::*;
    use crate::auth::Grant;

    fn verdict(ends_at: Option<Timestamp>, source: Source) -> Verdict {
        Verdict {
            principal: Principal::Organisation(OrgId::from_stored([1; 20])),
            begins_at: None,
            end_leeway: Duration::ZERO,
            grant: Arc::new(Grant {
                scopes: Scopes::FULL,
                feature_flags: Vec::new(),
                issued_at: None,
                ends_at,
                source,
            }),
        }
    }

    fn hash(n: usize) -> TokenHash {
        TokenHash::of(&n.to_string())
    }

    const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

    #[test]
    fn it_is_bounded_and_forgets_the_expired_first() {
        let cache = TokenCache::default();
        let keep = |n, ends_at| cache.keep(0, hash(n), verdict(ends_at, Source::SharedSecret), NOW);
        keep(0, None);
        for n in 1..TOKENS_MAX {
            keep(n, Some(Timestamp::from_millis(5)));
        }
        keep(TOKENS_MAX, None);
        assert_eq!(cache.0.read().tokens.len(), 2);
        for n in 0..3 * TOKENS_MAX {
            keep(n, None);
        }
        assert_eq!(cache.0.read().tokens.len(), TOKENS_MAX);
    }

    #[test]
    fn what_the_store_said_is_believed_for_a_while() {
        let cache = TokenCache::default();
        let id = ApiTokenId::from_raw(7);
        cache.keep(0, hash(1), verdict(None, Source::ApiToken(id)), NOW);
        cache.keep(0, hash(2), verdict(None, Source::SharedSecret), NOW);
        let later = NOW.plus(BELIEVED_FOR);
        let found = |n, at| cache.find(&hash(n), at).is_some();
        assert!(found(1, NOW) && !found(1, later));
        assert!(found(2, later), "a signature stays good");
    }

    #[test]
    fn what_was_found_before_it_ended_is_not_kept_after() {
        let cache = TokenCache::default();
        let source = Source::ApiToken(ApiTokenId::from_raw(7));
        let before = cache.generation();
        cache.keep(before, hash(1), verdict(None, source), NOW);
        cache.forget(|_, verdict| verdict.grant.source == source);
        assert!(cache.find(&hash(1), NOW).is_none());
        cache.keep(before, hash(1), verdict(None, source), NOW);
        assert!(cache.find(&hash(1), NOW).is_none(), "read too early");
        cache.keep(cache.generation(), hash(1), verdict(None, source), NOW);
        assert!(cache.find(&hash(1), NOW).is_some());
    }
}
