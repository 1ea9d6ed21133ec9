//! The bounds of revocation lookups, each with its reason.

use std::time::Duration;

/// Longest fetch, from the name to the last byte, once it has begun.
pub(super) const FETCH_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a delivery waits for lists and answers where what can't be found out is let through.
pub(super) const SOFT_WAIT_MAX: Duration = Duration::from_secs(3);
/// How long a failed fetch is not tried again, so that each delivery does not wait for it anew.
pub(super) const FAILURE_AGE_MAX: Duration = Duration::from_secs(60);
/// How old a list or answer gets before it is fetched again in the background: CAs publish anew
/// long before what they published ends, and revocations are in it.
pub(super) const REFRESH_AGE: Duration = Duration::from_secs(3600);
/// Most fetches at a time: each may hold a whole list in memory.
pub(super) const FETCHES_MAX: usize = 16;
/// Most of them that one host is asked for: slow ones leave places to others.
pub(super) const HOST_FETCHES_MAX: usize = 4;
/// Most of them that certificates below one root cause: anybody can have a root.
pub(super) const ROOT_FETCHES_MAX: usize = 4;
/// Most of them that policies cause by lists that they name.
pub(super) const GIVEN_FETCHES_MAX: usize = 8;
/// Longest wait for one's turn: nobody who asked waits longer.
pub(super) const QUEUE_TIME_MAX: Duration = FETCH_TIME_MAX;
/// Most URLs of one kind that are tried for one certificate: those that name more than one repeat
/// themselves.
pub(super) const URLS_TRIED_MAX: usize = 2;
/// Most lists that are kept: one for each CA that endpoints' certificates come from.
pub(super) const LISTS_MAX: usize = 512;
/// Most bytes of lists that are kept.
pub(super) const LISTS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most answers that are kept: one for each certificate whose CA has no lists.
pub(super) const ANSWERS_MAX: usize = 4096;
