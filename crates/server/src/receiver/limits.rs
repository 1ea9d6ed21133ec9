//! What a receiver accepts at most: its peers are strangers.

use std::time::Duration;

/// Longest body: twice the default size of a payload, so that only what is really large is cut off.
pub const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Most connections at the same time; further ones wait in the kernel's queue. A sender keeps some
/// tens of them.
pub const CONNECTIONS_MAX: usize = 256;

/// Most requests at the same time on one HTTP/2 connection.
pub const STREAMS_MAX: u32 = 64;

/// Room for a request's head: a generous 64 KiB, several times what servers commonly take.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Most header fields of a request.
pub const HEADERS_MAX: usize = 128;

/// How long a TLS handshake may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request's head may take, and how long an unused connection is kept.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a body may take.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long requests may still take once the receiver stops.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// How far `webhook-timestamp` may lie from our clock, either way: five minutes, as the reference
/// libraries of Standard Webhooks have it.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);

/// Most signatures of one request that are looked at: each costs a verification, and a sender has
/// one per key while it rotates.
pub const SIGNATURES_MAX: usize = 16;
