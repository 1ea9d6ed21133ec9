//! What a receiver says of the single events of a batch.
//!
//! **Invariant:** what can't be understood says nothing: then the status of the response counts for
//! every event. Only an answer of which a part is missing is taken to refuse them all, since the part
//! may have named any.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use crate::delivery::outcome::{Outcome, Reply};
use crate::endpoint::ParkOn;
use crate::id::MessageId;
use crate::limits::RESPONSE_BODY_BYTES_MAX;

/// Bytes of an answer that one refused event takes, with its id, status and punctuation.
const EVENT_BYTES: usize = 64;

/// What is said of single events.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// Of these; of the others, nothing.
    Events(HashMap<MessageId, EventAnswer>),
    /// Something, of which a part did not arrive.
    CutOff,
}

/// What is said of one event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EventAnswer {
    /// As if it were the status of a response to this event alone.
    pub status: u16,
    /// All of it, as JSON.
    pub text: String,
}

/// How much of an answer has arrived.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Arrived {
    /// All.
    Whole,
    /// Not all.
    InPart,
}

#[derive(Deserialize)]
struct Body {
    events: Vec<Value>,
}

// === impl Answer ===

impl Answer {
    /// Most bytes of an answer to so many events that are read: any answer, and a few words of each.
    pub fn bytes_max(events: usize) -> usize {
        RESPONSE_BODY_BYTES_MAX.saturating_add(events.saturating_mul(EVENT_BYTES))
    }

    /// Reads the body of a response that accepts: `{"events":[{"id":"msg_…","status":…}]}`, with
    /// whatever else the receiver wants to say. Of two that name the same event the one counts that
    /// does not accept it.
    pub fn read(body: &[u8], arrived: Arrived) -> Self {
        let Ok(Body { events }) = serde_json::from_slice(body) else {
            let cut_off = arrived == Arrived::InPart && begins_with_events(body);
            return if cut_off {
                Self::CutOff
            } else {
                Self::default()
            };
        };
        let mut said = HashMap::<_, EventAnswer>::new();
        for event in events {
            let Some((message, answer)) = EventAnswer::read(&event) else {
                continue;
            };
            let refused = |said: &EventAnswer| !(200..300).contains(&said.status);
            if !said.get(&message).is_some_and(refused) {
                said.insert(message, answer);
            }
        }
        Self::Events(said)
    }
}

impl Default for Answer {
    /// Nothing.
    fn default() -> Self {
        Self::Events(HashMap::new())
    }
}

// === impl EventAnswer ===

impl EventAnswer {
    /// What it means for the event. Whatever is said of an event is not said of the endpoint: 410 is a
    /// failure like others.
    pub fn outcome(&self, park_on: &ParkOn) -> Outcome {
        let reply = Reply::Response {
            status: self.status,
            retry_after: None,
        };
        match Outcome::classify(&reply, None, park_on) {
            Outcome::Gone => Outcome::Retry,
            outcome => outcome,
        }
    }

    fn read(event: &Value) -> Option<(MessageId, Self)> {
        let message = MessageId::parse(event.get("id")?.as_str()?)?;
        let status = status(event.get("status")?)?;
        let text = event.to_string();
        Some((message, Self { status, text }))
    }
}

/// JSON knows one kind of number: `500.0` and `5e2` are the status 500 as well (RFC 8259 §6).
fn status(given: &Value) -> Option<u16> {
    let given = given.as_f64()?;
    (100..1000).find(|status| f64::from(*status).total_cmp(&given).is_eq())
}

fn begins_with_events(body: &[u8]) -> bool {
    let inside = body.trim_ascii_start().strip_prefix(b"{");
    inside.is_some_and(|inside| inside.trim_ascii_start().starts_with(b"\"events\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: MessageId = MessageId::from_raw(1 << 60);
    const OTHER: MessageId = MessageId::from_raw((1 << 60) + 1);

    fn said(body: &str) -> Vec<(MessageId, u16)> {
        let Answer::Events(said) = Answer::read(body.as_bytes(), Arrived::Whole) else {
            panic!("cut off: {body}");
        };
        let mut said: Vec<_> = said.into_iter().map(|(id, of)| (id, of.status)).collect();
        said.sort_unstable();
        said
    }

    #[test]
    fn each_event_has_its_status() {
        let body = format!(
            r#"{{"took": 12, "events": [{{"id": "{ONE}", "status": 200}},
                {{"error": "no such user", "status": 422, "id": "{OTHER}"}}]}}"#
        );
        assert_eq!(said(&body), [(ONE, 200), (OTHER, 422)]);
        let Answer::Events(events) = Answer::read(body.as_bytes(), Arrived::InPart) else {
            panic!("what can be read is whole");
        };
        assert!(events[&OTHER].text.contains("no such user"));
    }

    #[test]
    fn what_is_said_of_an_event_is_not_said_of_the_endpoint() {
        let park_on = ParkOn::parse(&[422]).unwrap();
        let outcome = |status| {
            let text = String::new();
            EventAnswer { status, text }.outcome(&park_on)
        };
        assert_eq!(outcome(204), Outcome::Accepted);
        assert_eq!(outcome(422), Outcome::Parked);
        for status in [302, 400, 410, 500] {
            assert_eq!(outcome(status), Outcome::Retry, "{status}");
        }
    }

    #[test]
    fn what_is_not_understood_says_nothing() {
        for body in [
            "",
            "ok",
            "{}",
            "[]",
            r#"{"events": 5}"#,
            r#"{"events": [5, null, {}, {"id": "msg_1", "status": 500}]}"#,
            r#"{"events": [{"#,
        ] {
            assert_eq!(said(body), [], "{body}");
        }
        for status in [
            "\"500\"", "null", "-1", "99", "99.5", "1000", "70000", "500.5", "true",
        ] {
            let body = format!(r#"{{"events": [{{"id": "{ONE}", "status": {status}}}]}}"#);
            assert_eq!(said(&body), [], "{body}");
        }
        for status in ["500.0", "5e2", "5000E-1", "5.0e+2"] {
            let body = format!(r#"{{"events": [{{"id": "{ONE}", "status": {status}}}]}}"#);
            assert_eq!(said(&body), [(ONE, 500)], "{body}");
        }
        // What stands beside nonsense counts.
        let body = format!(r#"{{"events": [7, {{"id": "{ONE}", "status": 500}}]}}"#);
        assert_eq!(said(&body), [(ONE, 500)]);
    }

    #[test]
    fn whoever_says_two_things_of_an_event_refuses_it() {
        for statuses in [[200, 500], [500, 200]] {
            let [first, second] = statuses;
            let body = format!(
                r#"{{"events": [{{"id": "{ONE}", "status": {first}}}, {{"id": "{ONE}", "status": {second}}}]}}"#
            );
            assert_eq!(said(&body), [(ONE, 500)]);
        }
    }

    #[test]
    fn an_answer_of_which_a_part_is_missing_refuses_all() {
        let read = |body: &str| Answer::read(body.as_bytes(), Arrived::InPart);
        assert_eq!(read(" {\n \"events\": [{\"id\": \"ms"), Answer::CutOff);
        let nothing = Answer::Events(HashMap::new());
        assert_eq!(read("<html>"), nothing, "it was no such answer");
        assert_eq!(read("{\"message\": \"thank yo"), nothing);
        let all = format!(r#"{{"id":"{ONE}","status":500}},"#);
        assert!(all.len() <= EVENT_BYTES, "all of a batch fit");
        assert_eq!(Answer::bytes_max(1000), 16_384 + 64_000);
    }
}
