//! What arrived: every message once per endpoint, when, and whether its signature was right.

use http::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::payload::Stamp;
use crate::quantile::Sorted;
use crate::signature::SigningKey;

/// One arrival in this many has its signature verified; the first one always.
const VERIFY_EVERY: u32 = 100;
/// How far `webhook-timestamp` may be from now, as Standard Webhooks advises.
const TIMESTAMP_TOLERANCE_S: u64 = 300;
/// Marks a delivery that has not arrived.
const NOT_ARRIVED: u64 = u64::MAX;

/// The record of one receiver. Its size is fixed when it is made.
#[derive(Debug)]
pub(crate) struct Ledger {
    keys: Vec<SigningKey>,
    messages: u32,
    /// The first messages, in which connections are opened.
    cold: u32,
    /// One row of `messages` latencies per endpoint.
    latencies_ns: Vec<Vec<u64>>,
    tally: Arrivals,
}

/// One request as it came in.
#[derive(Debug)]
pub(crate) struct Arrival<'a> {
    /// Taken from the path; `None` if the path is none of ours.
    pub(crate) endpoint: Option<usize>,
    /// The request's headers.
    pub(crate) headers: &'a HeaderMap,
    /// The whole body.
    pub(crate) body: &'a [u8],
    /// When the body was complete.
    pub(crate) at_unix_ns: u64,
}

/// What the receiver reports.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Arrivals {
    /// Different deliveries that arrived.
    pub(crate) unique: u32,
    /// Arrivals of what had arrived before.
    pub(crate) duplicates: u32,
    /// Requests that were no delivery of this run, or not byte for byte what was published.
    pub(crate) malformed: u32,
    /// Signatures that were checked.
    pub(crate) signatures_checked: u32,
    /// Signatures that were checked and wrong.
    pub(crate) signatures_wrong: u32,
    /// When the first delivery arrived.
    pub(crate) first_unix_ns: u64,
    /// When the last delivery arrived.
    pub(crate) last_unix_ns: u64,
    /// From the intended send time, median.
    pub(crate) p50_ms: f64,
    /// From the intended send time, 99th percentile.
    pub(crate) p99_ms: f64,
    /// From the intended send time, the slowest.
    pub(crate) slowest_ms: f64,
    /// From the intended send time, 99th percentile, without the first messages.
    pub(crate) warm_p99_ms: f64,
}

// === impl Ledger ===

impl Ledger {
    /// Expects each of `messages` messages once at each endpoint that has a key; the first `cold` of
    /// them are also left out where that is said.
    pub(crate) fn new(keys: Vec<SigningKey>, messages: u32, cold: u32) -> Self {
        let per_endpoint = usize::try_from(messages).unwrap_or(0);
        let latencies_ns = keys
            .iter()
            .map(|_| vec![NOT_ARRIVED; per_endpoint])
            .collect();
        Self {
            keys,
            messages,
            cold,
            latencies_ns,
            tally: Arrivals::default(),
        }
    }

    /// Notes an arrival; `false` if it is none of this run and should be refused.
    pub(crate) fn record(&mut self, arrival: &Arrival<'_>) -> bool {
        let known = self.place(arrival);
        let Some((endpoint, stamp)) = known else {
            self.tally.malformed += 1;
            return false;
        };
        let arrivals_before = self.tally.unique + self.tally.duplicates;
        if arrivals_before.is_multiple_of(VERIFY_EVERY) {
            self.verify(endpoint, arrival);
        }
        self.note(endpoint, stamp, arrival.at_unix_ns);
        true
    }

    /// How many different deliveries have arrived.
    pub(crate) fn unique(&self) -> u32 {
        self.tally.unique
    }

    /// Everything so far.
    pub(crate) fn report(&self) -> Arrivals {
        let sorted = self.arrived_from(0);
        let warm = self.arrived_from(usize::try_from(self.cold).unwrap_or(usize::MAX));
        Arrivals {
            p50_ms: sorted.permille_ms(500),
            p99_ms: sorted.permille_ms(990),
            slowest_ms: sorted.permille_ms(1000),
            warm_p99_ms: warm.permille_ms(990),
            ..self.tally.clone()
        }
    }

    /// Latencies of all messages from this one on.
    fn arrived_from(&self, first: usize) -> Sorted {
        let rows = self.latencies_ns.iter();
        let arrived = rows
            .flat_map(|row| row.iter().skip(first))
            .filter(|ns| **ns != NOT_ARRIVED);
        Sorted::new(arrived.copied().collect())
    }

    fn place(&self, arrival: &Arrival<'_>) -> Option<(usize, Stamp)> {
        let endpoint = arrival
            .endpoint
            .filter(|endpoint| *endpoint < self.keys.len())?;
        let stamp = Stamp::read(arrival.body).filter(|stamp| stamp.number < self.messages)?;
        Some((endpoint, stamp))
    }

    fn verify(&mut self, endpoint: usize, arrival: &Arrival<'_>) {
        self.tally.signatures_checked += 1;
        let right = self
            .keys
            .get(endpoint)
            .and_then(|key| is_signed(key, arrival));
        if right != Some(true) {
            self.tally.signatures_wrong += 1;
        }
    }

    fn note(&mut self, endpoint: usize, stamp: Stamp, at_unix_ns: u64) {
        let cell = usize::try_from(stamp.number)
            .ok()
            .and_then(|number| self.latencies_ns.get_mut(endpoint)?.get_mut(number));
        match cell {
            Some(latency_ns) if *latency_ns == NOT_ARRIVED => {
                *latency_ns = at_unix_ns.saturating_sub(stamp.due_unix_ns);
                self.tally.unique += 1;
                if self.tally.unique == 1 {
                    self.tally.first_unix_ns = at_unix_ns;
                }
                self.tally.last_unix_ns = self.tally.last_unix_ns.max(at_unix_ns);
            }
            Some(_) | None => self.tally.duplicates += 1,
        }
    }
}

/// `None` where a header is missing or unreadable.
fn is_signed(key: &SigningKey, arrival: &Arrival<'_>) -> Option<bool> {
    let header = |name| arrival.headers.get(name)?.to_str().ok();
    let id = header("webhook-id").filter(|id| !id.is_empty())?;
    let timestamp = header("webhook-timestamp")?;
    let sent_s: u64 = timestamp.parse().ok()?;
    let now_s = clock::whole_seconds(arrival.at_unix_ns);
    let signature = header("webhook-signature")?;
    Some(
        sent_s.abs_diff(now_s) <= TIMESTAMP_TOLERANCE_S
            && key.verifies(id, timestamp, arrival.body, signature),
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::signature;

    const DUE_UNIX_NS: u64 = 1_795_000_000_000_000_000;

    fn ledger() -> Ledger {
        Ledger::new(signature::endpoint_keys(2).unwrap(), 10, 2)
    }

    fn headers(key_of: usize, timestamp: &str, body: &[u8]) -> HeaderMap {
        let keys = signature::endpoint_keys(2).unwrap();
        let signature = keys[key_of].sign("msg_1", timestamp, body);
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", HeaderValue::from_static("msg_1"));
        headers.insert("webhook-timestamp", timestamp.parse().unwrap());
        headers.insert("webhook-signature", signature.parse().unwrap());
        headers
    }

    fn arrive(ledger: &mut Ledger, endpoint: usize, number: u32, headers: &HeaderMap) -> bool {
        let stamp = Stamp {
            number,
            due_unix_ns: DUE_UNIX_NS,
        };
        ledger.record(&Arrival {
            endpoint: Some(endpoint),
            headers,
            body: &stamp.payload(),
            at_unix_ns: DUE_UNIX_NS + u64::from(number + 1) * 1_000_000,
        })
    }

    #[test]
    fn counts_each_message_once_per_endpoint() {
        let mut ledger = ledger();
        let none = HeaderMap::new();
        assert!(arrive(&mut ledger, 0, 3, &none));
        assert!(arrive(&mut ledger, 1, 3, &none));
        assert!(arrive(&mut ledger, 1, 3, &none));
        assert!(!arrive(&mut ledger, 2, 3, &none));
        assert!(!arrive(&mut ledger, 0, 10, &none));
        let report = ledger.report();
        assert_eq!(
            (report.unique, report.duplicates, report.malformed),
            (2, 1, 2)
        );
        assert!((report.p50_ms - 4.0).abs() < 1e-9);
    }

    #[test]
    fn the_first_messages_can_be_left_out() {
        let mut ledger = ledger();
        let none = HeaderMap::new();
        for number in [9, 1, 0] {
            assert!(arrive(&mut ledger, 0, number, &none));
            assert!(arrive(&mut ledger, 1, 9 - number, &none));
        }
        // A message takes a millisecond longer than the one before it: 0, 1 and 9, and 0, 8 and 9.
        let report = ledger.report();
        assert!((report.p50_ms - 2.0).abs() < 1e-9, "{}", report.p50_ms);
        assert!((report.warm_p99_ms - 10.0).abs() < 1e-9);
        let warm = ledger.arrived_from(2);
        assert!((warm.permille_ms(1) - 9.0).abs() < 1e-9);
    }

    #[test]
    fn verifies_the_first_and_every_hundredth_arrival() {
        let mut ledger = ledger();
        let stamp = Stamp {
            number: 0,
            due_unix_ns: DUE_UNIX_NS,
        };
        let headers = headers(0, "1795000000", &stamp.payload());
        for _ in 0..=VERIFY_EVERY {
            assert!(arrive(&mut ledger, 0, 0, &headers));
        }
        let report = ledger.report();
        assert_eq!((report.signatures_checked, report.signatures_wrong), (2, 0));
    }

    #[test]
    fn a_missing_foreign_or_stale_signature_is_wrong() {
        let body = Stamp {
            number: 0,
            due_unix_ns: DUE_UNIX_NS,
        }
        .payload();
        let missing = HeaderMap::new();
        for headers in [
            missing,
            headers(1, "1795000000", &body),
            headers(0, "1794000000", &body),
        ] {
            let mut ledger = ledger();
            assert!(arrive(&mut ledger, 0, 0, &headers));
            assert_eq!(ledger.report().signatures_wrong, 1, "{headers:?}");
        }
    }

    #[test]
    fn a_changed_payload_is_refused() {
        let mut ledger = ledger();
        let accepted = ledger.record(&Arrival {
            endpoint: Some(0),
            headers: &HeaderMap::new(),
            body: b"{\"number\":1}",
            at_unix_ns: DUE_UNIX_NS,
        });
        assert!(!accepted);
        assert_eq!(ledger.report().malformed, 1);
    }
}
