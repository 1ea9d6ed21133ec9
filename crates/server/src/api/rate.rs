//! How often one token or one address may ask.
//!
//! **Invariant:** bounded in memory, whoever asks.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use parking_lot::Mutex;

use crate::api::error::{ApiError, ErrorCode};

/// Most tokens or addresses that are counted one by one; the next ones are refused until some have
/// been quiet: 5 MiB of memory.
const KEYS_MAX: usize = 65_536;

/// Least time between two searches for quiet callers, which look at all of them.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How often one caller may ask.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RateLimit {
    /// Requests per second in the long run.
    pub per_second: NonZeroU32,
    /// Requests at once.
    pub burst: NonZeroU32,
}

/// Counts the requests of each caller.
pub(crate) struct KeyedLimit<K: Clone + Eq + Hash> {
    limiter: DefaultKeyedRateLimiter<K>,
    clock: DefaultClock,
    swept_at: Mutex<Option<Instant>>,
}

// === impl KeyedLimit ===

impl<K: Clone + Eq + Hash> KeyedLimit<K> {
    /// Counts by this limit.
    pub(crate) fn new(limit: RateLimit) -> Self {
        let quota = Quota::per_second(limit.per_second).allow_burst(limit.burst);
        Self {
            limiter: RateLimiter::keyed(quota),
            clock: DefaultClock::default(),
            swept_at: Mutex::new(None),
        }
    }

    /// Counts a request, or says when the next one may come.
    pub(crate) fn check(&self, caller: K) -> Result<(), ApiError> {
        if self.limiter.len() >= KEYS_MAX {
            if self.is_sweep_due(Instant::now()) {
                self.limiter.retain_recent();
            }
            if self.limiter.len() >= KEYS_MAX {
                return Err(refusal(SWEEP_INTERVAL));
            }
        }
        self.limiter
            .check_key(&caller)
            .map_err(|early| refusal(early.wait_time_from(self.clock.now())))
    }

    /// Whether the caller is to search for quiet callers now; nobody else is, for a while.
    fn is_sweep_due(&self, now: Instant) -> bool {
        let mut swept_at = self.swept_at.lock();
        let is_due = swept_at.is_none_or(|at| now.duration_since(at) >= SWEEP_INTERVAL);
        if is_due {
            *swept_at = Some(now);
        }
        is_due
    }
}

/// Refuses requests from addresses that ask too often. A listener that gives no address is trusted
/// to have its own limit.
pub(crate) async fn limit_addresses(
    State(limit): State<Arc<KeyedLimit<IpAddr>>>,
    request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    if let Some(ConnectInfo(peer)) = peer
        && let Err(refusal) = limit.check(caller_of(peer.ip()))
    {
        return refusal.into_response();
    }
    next.run(request).await
}

/// Who has one IPv6 address has its /64 network.
fn caller_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
    }
}

fn refusal(delay: Duration) -> ApiError {
    ApiError::new(ErrorCode::RateLimited, "too many requests").retry_after(delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_has_a_limit_of_its_own() {
        let limit = KeyedLimit::new(RateLimit {
            per_second: NonZeroU32::MIN,
            burst: NonZeroU32::new(2).unwrap(),
        });
        assert!(limit.check("a").is_ok() && limit.check("a").is_ok());
        let response = limit.check("a").unwrap_err().into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "1");
        assert!(limit.check("b").is_ok());
    }

    #[test]
    fn quiet_callers_are_searched_for_now_and_then() {
        let limit = KeyedLimit::<u32>::new(RateLimit {
            per_second: NonZeroU32::MIN,
            burst: NonZeroU32::MIN,
        });
        let start = Instant::now();
        let check = |millis: u64, expect: bool| {
            let now = start + Duration::from_millis(millis);
            assert_eq!(limit.is_sweep_due(now), expect, "{millis}");
        };
        check(0, true);
        check(999, false);
        check(1000, true);
        check(1001, false);
    }

    #[test]
    fn callers_are_networks() {
        let check = |ip: &str, expect: &str| {
            assert_eq!(
                caller_of(ip.parse().unwrap()),
                expect.parse::<IpAddr>().unwrap()
            );
        };
        check("::ffff:1.2.3.4", "1.2.3.4");
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
    }
}
