//! The bounds of this crate that nobody needs to configure, each with its reason.

use std::time::Duration;

/// Most addresses of one answer that are looked at: real services publish fewer.
pub(crate) const ADDRESSES_MAX: usize = 16;
/// Most addresses that one attempt connects to, so that each gets a useful share of the time.
pub(crate) const CONNECTS_MAX: usize = 4;
/// Longest life of a connection: a changed DNS answer or a replaced certificate is noticed within
/// it, however busy the endpoint is.
pub(crate) const CONNECTION_AGE_MAX: Duration = Duration::from_secs(600);
/// Longest use of one reading of the system's DNS configuration and hosts file, so that changes of
/// them are noticed.
pub(crate) const RESOLVER_AGE_MAX: Duration = Duration::from_secs(300);
/// Most DNS answers that are remembered.
pub(crate) const DNS_CACHE_ENTRIES_MAX: u64 = 4096;
/// What an HTTP/2 peer may send on one stream before we read it: no more than a response's body is
/// read to, so that an endless one costs no more memory.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 16 * 1024;
/// What an HTTP/2 peer may send on all streams before we read it.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Longest wait for a connection that somebody else is opening, in the hope that it can be shared:
/// longer than a handshake takes, short beside an attempt's deadline.
pub(crate) const OPENING_WAIT_MAX: Duration = Duration::from_secs(1);
/// Longest wait for what a peer said before a write to it failed: all of it has arrived already, or
/// is lost.
pub(crate) const LAST_WORDS_WAIT_MAX: Duration = Duration::from_secs(1);
/// How long an older certificate of ours goes first where a receiver refused a newer one: long
/// enough not to be refused all the time, short enough to notice that the receiver has learned.
pub(crate) const FALLBACK_MEMORY: Duration = Duration::from_secs(600);
/// Longest reason, in characters: it is kept with each attempt, and peers have a say in it.
pub(crate) const REASON_CHARS_MAX: usize = 1000;
/// Most certificates that we present in one handshake: real chains have two or three, and servers
/// refuse long ones.
pub(crate) const CLIENT_CHAIN_MAX: usize = 8;
/// Longest head of a proxy's answer, in bytes: real ones have a few hundred.
pub(crate) const PROXY_HEAD_BYTES_MAX: usize = 8 * 1024;
/// Largest file of a client identity of the operator's, in bytes: the longest chain that we present,
/// with room for comments.
pub(crate) const IDENTITY_FILE_BYTES_MAX: usize = 256 * 1024;
/// Most sessions with a PKCS#11 token: as many signatures are made at once, and as many threads can
/// hang in a token that does not answer.
pub(crate) const TOKEN_SESSIONS_MAX: usize = 4;
/// Longest wait for a session with a PKCS#11 token, well below an attempt's deadline.
pub(crate) const TOKEN_WAIT_MAX: Duration = Duration::from_secs(5);
/// Most keys of one label that are tried: the current one, its successor, and room for a mistake.
pub(crate) const TOKEN_KEYS_MAX: usize = 8;
