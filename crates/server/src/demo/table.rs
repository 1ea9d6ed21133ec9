//! Every delivery with its attempts, as text for a screen of 100 columns.

use std::fmt::Write;

use hookseal_domain::time::Timestamp;

use crate::demo::wire::{
    AttemptOut, AttemptsByMessage, DeliveryOut, STATUS_FAIL, STATUS_PENDING, STATUS_SUCCESS,
};
use crate::receiver::transcript::printable;

/// Most messages that are shown: some screens full. The API has the others.
const MESSAGES_SHOWN: usize = 25;

/// Room for an outcome with its reason, so that a row takes at most 100 columns.
const OUTCOME_CHARS_SHOWN: usize = 26;

const HEADING: &str =
    "  Endpoint Delivery  Try       At Answer   Took  TLS, key exchange       Outcome";

/// What the API says of one endpoint.
#[derive(Debug)]
pub struct EndpointView {
    /// What it is called.
    pub name: &'static str,
    /// Whether its deliveries are held.
    pub disabled: bool,
    /// Its deliveries, oldest message first.
    pub deliveries: Vec<DeliveryOut>,
    /// Their attempts.
    pub attempts: AttemptsByMessage,
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It was accepted.
    Delivered,
    /// The receiver answered 410.
    Gone,
    /// It was given up otherwise.
    Failed,
    /// It is kept until its endpoint is enabled.
    Held,
    /// It is to be tried, or being tried.
    Waiting,
}

// === impl EndpointView ===

impl EndpointView {
    /// How a delivery of this endpoint stands.
    pub fn standing(&self, delivery: &DeliveryOut) -> Standing {
        let last = self.attempts_of(&delivery.id).last();
        match delivery.status {
            STATUS_SUCCESS => Standing::Delivered,
            STATUS_FAIL if last.is_some_and(|last| last.response_status_code == 410) => {
                Standing::Gone
            }
            STATUS_FAIL => Standing::Failed,
            STATUS_PENDING if self.disabled && delivery.next_attempt.is_none() => Standing::Held,
            _ => Standing::Waiting,
        }
    }

    /// How many deliveries stand like this.
    pub fn count(&self, standing: Standing) -> usize {
        let stands = |delivery: &&DeliveryOut| self.standing(delivery) == standing;
        self.deliveries.iter().filter(stands).count()
    }

    fn attempts_of(&self, message_id: &str) -> &[AttemptOut] {
        self.attempts
            .get(message_id)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }
}

// === impl Standing ===

impl Standing {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Delivered,
        Self::Gone,
        Self::Failed,
        Self::Held,
        Self::Waiting,
    ];

    /// In a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Gone => "gone",
            Self::Failed => "failed",
            Self::Held => "held",
            Self::Waiting => "waiting",
        }
    }
}

/// The table. `began` is where times count from; every endpoint wants every message.
pub fn table(endpoints: &[EndpointView], began: Timestamp) -> String {
    let mut text = format!("{HEADING}\n");
    let messages = endpoints
        .first()
        .map(|endpoint| endpoint.deliveries.as_slice());
    let messages = messages.unwrap_or_default();
    for message in messages.iter().take(MESSAGES_SHOWN) {
        push(
            &mut text,
            &format!("{}  {}", message.event_type, message.id),
        );
        for endpoint in endpoints {
            let is_it = |delivery: &&DeliveryOut| delivery.id == message.id;
            if let Some(delivery) = endpoint.deliveries.iter().find(is_it) {
                push_delivery(&mut text, endpoint, delivery, began);
            }
        }
    }
    let more = messages.len().saturating_sub(MESSAGES_SHOWN);
    if more > 0 {
        push(
            &mut text,
            &format!("… and {more} messages more; the API lists them all."),
        );
    }
    text
}

fn push_delivery(
    text: &mut String,
    endpoint: &EndpointView,
    delivery: &DeliveryOut,
    began: Timestamp,
) {
    let standing = endpoint.standing(delivery).as_str();
    let attempts = endpoint.attempts_of(&delivery.id);
    if attempts.is_empty() {
        push(text, &format!("  {:<8} {standing:<9}   –", endpoint.name));
    }
    let first = [(endpoint.name, standing)].into_iter();
    let others = std::iter::repeat(("", ""));
    for ((name, standing), attempt) in first.chain(others).zip(attempts) {
        let row = row(attempt, began);
        push(text, &format!("  {name:<8} {standing:<9} {row}"));
    }
}

fn row(attempt: &AttemptOut, began: Timestamp) -> String {
    let at = Timestamp::parse_rfc3339(&attempt.timestamp).map_or_else(
        |_| "?".to_owned(),
        |at| format!("{:.3} s", at.since(began).as_secs_f64()),
    );
    let answer = match attempt.response_status_code {
        0 => "–".to_owned(),
        code => code.to_string(),
    };
    let took = format!("{} ms", attempt.response_duration_ms);
    let tls = attempt.connection.tls.as_ref().map_or_else(
        || "–".to_owned(),
        |tls| format!("{} {}", tls.version, tls.key_exchange_group),
    );
    let outcome = match &attempt.reason {
        None => attempt.outcome.clone(),
        Some(reason) => format!("{}: {reason}", attempt.outcome),
    };
    let outcome = printable(&outcome, OUTCOME_CHARS_SHOWN);
    let number = attempt.attempt_number;
    format!("{number:>3} {at:>8} {answer:>6} {took:>6}  {tls:<22}  {outcome}")
}

fn push(text: &mut String, line: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{}", line.trim_end());
}

#[cfg(test)]
mod tests {
    use crate::demo::wire::{ConnectionOut, TlsOut};

    use super::*;

    const BEGAN: Timestamp = Timestamp::from_millis(0);

    fn delivery(id: &str, status: u8) -> DeliveryOut {
        DeliveryOut {
            id: id.to_owned(),
            event_type: "invoice.paid".to_owned(),
            status,
            next_attempt: None,
        }
    }

    fn attempt(number: u32, at: &str, code: u16, outcome: &str) -> AttemptOut {
        let (outcome, reason) = outcome.split_once(": ").unwrap_or((outcome, ""));
        AttemptOut {
            msg_id: "msg_1".to_owned(),
            timestamp: format!("1970-01-01T00:00:{at}Z"),
            response_status_code: code,
            response_duration_ms: 3,
            outcome: outcome.to_owned(),
            reason: (!reason.is_empty()).then(|| reason.to_owned()),
            attempt_number: number,
            tls_failure: None,
            connection: ConnectionOut {
                tls: Some(TlsOut {
                    version: "TLSv1.3".to_owned(),
                    key_exchange_group: "X25519MLKEM768".to_owned(),
                }),
            },
        }
    }

    fn endpoint(name: &'static str, status: u8, attempts: Vec<AttemptOut>) -> EndpointView {
        EndpointView {
            name,
            disabled: name == "gone",
            deliveries: vec![delivery("msg_1", status), delivery("msg_2", STATUS_PENDING)],
            attempts: AttemptsByMessage::from([("msg_1".to_owned(), attempts)]),
        }
    }

    #[test]
    fn a_delivery_and_its_attempts() {
        let long = "unreachable: connection\u{1b} refused";
        let flaky = vec![
            attempt(1, "00.012", 0, long),
            attempt(2, "01.250", 200, "accepted"),
        ];
        let endpoints = [
            endpoint("flaky", STATUS_SUCCESS, flaky),
            endpoint("gone", STATUS_FAIL, vec![attempt(1, "00.014", 410, "gone")]),
        ];
        let expect = "\
invoice.paid  msg_1
  flaky    delivered   1  0.012 s      –   3 ms  TLSv1.3 X25519MLKEM768  unreachable: connection\\u{…
                       2  1.250 s    200   3 ms  TLSv1.3 X25519MLKEM768  accepted
  gone     gone        1  0.014 s    410   3 ms  TLSv1.3 X25519MLKEM768  gone
invoice.paid  msg_2
  flaky    waiting     –
  gone     held        –
";
        let table = table(&endpoints, BEGAN);
        assert_eq!(table, format!("{HEADING}\n{expect}"), "{table}");
        assert!(table.lines().all(|line| line.chars().count() <= 100));
    }

    #[test]
    fn standings() {
        let refused = endpoint(
            "flaky",
            STATUS_FAIL,
            vec![attempt(1, "00.012", 503, "retry")],
        );
        assert_eq!(refused.count(Standing::Failed), 1);
        assert_eq!(refused.count(Standing::Waiting), 1);
        let mut waiting = delivery("msg_1", STATUS_PENDING);
        waiting.next_attempt = Some("2026-11-23T08:30:00Z".to_owned());
        let gone = endpoint("gone", STATUS_PENDING, Vec::new());
        assert_eq!(gone.standing(&waiting), Standing::Waiting);
        assert_eq!(gone.count(Standing::Held), 2);
    }

    #[test]
    fn long_tables_are_cut() {
        let mut healthy = endpoint("healthy", STATUS_SUCCESS, Vec::new());
        healthy.deliveries = (0..30).map(|n| delivery(&format!("msg_{n}"), 0)).collect();
        let table = table(&[healthy], BEGAN);
        assert!(table.ends_with("… and 5 messages more; the API lists them all.\n"));
    }
}
