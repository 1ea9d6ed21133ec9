//! The three receivers of the demo: one that is well, one that needs time, one that has gone, and may
//! come back. Each
//! verifies every request itself before it answers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest::{Digest, SHA256, digest};
use http::StatusCode;
use parking_lot::Mutex;

use hookseal_domain::signature::key::KeyKind;

use crate::receiver::verify::Verifier;
use crate::receiver::{Arrival, Recipient};

/// How often the flaky receiver refuses each message before it takes it.
pub const FLAKY_REFUSALS: u32 = 2;

/// Most messages that a receiver remembers: the demo may run on for a day. The oldest go first.
const MESSAGES_MAX: usize = 10_000;

/// How a receiver behaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// Takes everything.
    Healthy,
    /// Answers 404 to the first two attempts of each message.
    Flaky,
    /// Answers 410: it wants nothing any more.
    Gone,
}

/// What a receiver has seen.
pub struct Ledger {
    role: Role,
    /// Set once the endpoint exists; whatever comes before is not verified.
    verifier: OnceLock<Verifier>,
    /// Whether it takes everything from now on, whatever its role.
    is_back: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    counts: Counts,
    messages: BTreeMap<String, MessageSeen>,
}

/// What became of one message.
#[derive(Clone, Copy)]
struct MessageSeen {
    requests: u32,
    accepted: u32,
    body: Digest,
}

/// How many requests came, and of what kind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// All requests.
    pub received: u64,
    /// Those whose signature and timestamp are right.
    pub verified: u64,
    /// Messages that were accepted.
    pub accepted: u64,
    /// Requests that brought an accepted message again.
    pub duplicates: u64,
}

// === impl Role ===

impl Role {
    /// All of them, in the order of the story.
    pub const ALL: [Self; 3] = [Self::Healthy, Self::Flaky, Self::Gone];

    /// What its endpoint is called.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Flaky => "flaky",
            Self::Gone => "gone",
        }
    }

    /// What it does, for people.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Healthy => "takes everything",
            Self::Flaky => "answers 404 to two attempts of each message, then knows it",
            Self::Gone => "answers 410 Gone, which disables the endpoint",
        }
    }

    /// How its webhooks are signed.
    pub const fn signing_key_kind(self) -> KeyKind {
        match self {
            Self::Healthy | Self::Gone => KeyKind::HmacSha256,
            Self::Flaky => KeyKind::Ed25519,
        }
    }

    /// The same for people, with the name of Standard Webhooks.
    pub const fn signature(self) -> &'static str {
        match self.signing_key_kind() {
            KeyKind::HmacSha256 => "v1, HMAC",
            KeyKind::Ed25519 => "v1a, ed25519",
        }
    }

    /// Answers a verified request, the `requests`-th of its message.
    fn answer(self, requests: u32) -> StatusCode {
        match self {
            Self::Healthy => StatusCode::OK,
            Self::Flaky if requests <= FLAKY_REFUSALS => StatusCode::NOT_FOUND,
            Self::Flaky => StatusCode::OK,
            Self::Gone => StatusCode::GONE,
        }
    }
}

// === impl Ledger ===

impl Ledger {
    /// An empty one.
    pub fn new(role: Role) -> Arc<Self> {
        Arc::new(Self {
            role,
            verifier: OnceLock::new(),
            is_back: AtomicBool::new(false),
            seen: Mutex::default(),
        })
    }

    /// Tells what to verify with; the first one counts.
    pub fn verify_with(&self, verifier: Verifier) {
        // Fails only if it has one already.
        let _ = self.verifier.set(verifier);
    }

    /// Takes everything from now on.
    pub fn come_back(&self) {
        self.is_back.store(true, Ordering::Relaxed);
    }

    fn role_now(&self) -> Role {
        if self.is_back.load(Ordering::Relaxed) {
            Role::Healthy
        } else {
            self.role
        }
    }

    /// What has come so far.
    pub fn counts(&self) -> Counts {
        self.seen.lock().counts
    }

    /// Whether it accepted the message, and with exactly these bytes.
    pub fn has_accepted(&self, message_id: &str, payload: &[u8]) -> bool {
        let seen = self.seen.lock();
        seen.messages.get(message_id).is_some_and(|message| {
            message.accepted > 0 && message.body.as_ref() == digest(&SHA256, payload).as_ref()
        })
    }
}

impl Recipient for Ledger {
    fn receive(&self, arrival: Arrival) -> StatusCode {
        let verified = self.verifier.get().and_then(|verifier| {
            verifier
                .verify(&arrival.headers, &arrival.body, arrival.at)
                .ok()
        });
        let mut seen = self.seen.lock();
        seen.counts.received += 1;
        let Some(verified) = verified else {
            return StatusCode::UNAUTHORIZED;
        };
        seen.counts.verified += 1;
        let body = digest(&SHA256, &arrival.body);
        seen.take(self.role_now(), verified.message_id, body)
    }
}

// === impl Seen ===

impl Seen {
    fn take(&mut self, role: Role, message_id: String, body: Digest) -> StatusCode {
        let message = self.messages.entry(message_id).or_insert(MessageSeen {
            requests: 0,
            accepted: 0,
            body,
        });
        message.requests = message.requests.saturating_add(1);
        let answer = role.answer(message.requests);
        if answer.is_success() {
            message.body = body;
            message.accepted = message.accepted.saturating_add(1);
            if message.accepted == 1 {
                self.counts.accepted += 1;
            } else {
                self.counts.duplicates += 1;
            }
        }
        if self.messages.len() > MESSAGES_MAX {
            // Ids sort by time.
            self.messages.pop_first();
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderName, HeaderValue, Version};

    use hookseal_domain::signature::key::SigningKey;
    use hookseal_domain::signature::standard::sign;
    use hookseal_domain::time::Timestamp;

    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const BODY: &[u8] = b"{\"a\": 1}";

    fn arrival(key: &SigningKey, message_id: &str) -> Arrival {
        let headers = [
            ("webhook-id", message_id.to_owned()),
            ("webhook-timestamp", AT.as_secs().to_string()),
            ("webhook-signature", sign([key], message_id, AT, BODY)),
        ];
        let headers = headers.map(|(name, value)| {
            let value = HeaderValue::from_str(&value).unwrap();
            (HeaderName::from_static(name), value)
        });
        Arrival {
            at: AT,
            remote: ([127, 0, 0, 1], 1).into(),
            path: "/".to_owned(),
            version: Version::HTTP_11,
            headers: HeaderMap::from_iter(headers),
            body: Bytes::from_static(BODY),
        }
    }

    fn answers(role: Role, messages: &[&str]) -> (Vec<u16>, Arc<Ledger>) {
        let key = SigningKey::from_bytes(KeyKind::HmacSha256, &[3; 32]).unwrap();
        let ledger = Ledger::new(role);
        ledger.verify_with(Verifier::parse(key.receiver_text().expose()).unwrap());
        let answer = |id: &&str| ledger.receive(arrival(&key, id)).as_u16();
        (messages.iter().map(answer).collect(), ledger)
    }

    #[test]
    fn roles() {
        let (healthy, ledger) = answers(Role::Healthy, &["a", "b", "a"]);
        assert_eq!(healthy, [200, 200, 200]);
        let expect = Counts {
            received: 3,
            verified: 3,
            accepted: 2,
            duplicates: 1,
        };
        assert_eq!(ledger.counts(), expect);

        let (flaky, ledger) = answers(Role::Flaky, &["a", "b", "a", "a", "b"]);
        assert_eq!(flaky, [404, 404, 404, 200, 404]);
        assert!(ledger.has_accepted("a", BODY));
        assert!(!ledger.has_accepted("a", b"{}"), "other bytes");
        assert!(!ledger.has_accepted("b", BODY), "refused so far");

        let (gone, ledger) = answers(Role::Gone, &["a", "a"]);
        assert_eq!(gone, [410, 410]);
        assert_eq!(ledger.counts().accepted, 0);
        ledger.come_back();
        assert_eq!(ledger.role_now(), Role::Healthy);
    }

    #[test]
    fn forgeries_and_strangers_are_refused() {
        let other = SigningKey::from_bytes(KeyKind::HmacSha256, &[4; 32]).unwrap();
        let (_, ledger) = answers(Role::Healthy, &[]);
        assert_eq!(ledger.receive(arrival(&other, "a")).as_u16(), 401);
        let expect = Counts {
            received: 1,
            ..Counts::default()
        };
        assert_eq!(ledger.counts(), expect);

        let early = Ledger::new(Role::Healthy);
        assert_eq!(early.receive(arrival(&other, "a")).as_u16(), 401);
    }

    #[test]
    fn the_oldest_messages_are_forgotten() {
        let mut seen = Seen::default();
        for n in 0..=MESSAGES_MAX {
            seen.take(Role::Healthy, format!("{n:06}"), digest(&SHA256, BODY));
        }
        assert_eq!(seen.messages.len(), MESSAGES_MAX);
        assert!(!seen.messages.contains_key("000000"));
    }
}
