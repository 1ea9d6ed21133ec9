//! The body of a batch, a JSON array.
//!
//! **Invariant:** a payload stands in it byte for byte as it was published.

use crate::id::MessageId;

/// Bytes of an event in the array besides its type and its payload: names, quotes, id and time.
const ENVELOPE_BYTES: usize = 100;

/// One event of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Event<'e> {
    /// Its message.
    pub message: MessageId,
    /// What happened.
    pub event_type: &'e str,
    /// The payload, which is JSON.
    pub payload: &'e [u8],
}

// === impl Event ===

impl Event<'_> {
    /// Most bytes that an event takes in the array.
    pub const fn bytes_max(event_type_bytes: usize, payload_bytes: usize) -> usize {
        ENVELOPE_BYTES + event_type_bytes + payload_bytes
    }

    fn write(&self, body: &mut Vec<u8>) {
        // Ids, times and event types consist of characters that mean nothing to JSON.
        let head = format!(
            r#"{{"id":"{}","type":"{}","timestamp":"{}","data":"#,
            self.message,
            self.event_type,
            self.message.created_at(),
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(self.payload);
        body.push(b'}');
    }
}

/// The events as a JSON array.
pub fn write(events: &[Event<'_>]) -> Vec<u8> {
    let bytes = |event: &Event<'_>| Event::bytes_max(event.event_type.len(), event.payload.len());
    let mut body = Vec::with_capacity(2 + events.iter().map(bytes).sum::<usize>());
    body.push(b'[');
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        event.write(&mut body);
    }
    body.push(b']');
    body
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn message(n: i64) -> MessageId {
        MessageId::from_raw((1_i64 << 60) + n)
    }

    #[test]
    fn is_an_array_of_events_with_payloads_as_they_were_published() {
        let payloads = ["{ \"a\" :  1.0 , \"a\":\t2}", "{}", "\"\\u00e4\""];
        let events: Vec<_> = (0..)
            .zip(payloads)
            .map(|(n, payload)| Event {
                message: message(n),
                event_type: "invoice.paid",
                payload: payload.as_bytes(),
            })
            .collect();
        let body = write(&events);
        let text = std::str::from_utf8(&body).unwrap();
        for payload in payloads {
            assert!(text.contains(&format!("\"data\":{payload}}}")), "{text}");
        }
        let read: Vec<Value> = serde_json::from_slice(&body).unwrap();
        assert_eq!(read.len(), 3);
        let expect = json!({"id": message(1).to_string(), "type": "invoice.paid",
            "timestamp": message(1).created_at().to_string(), "data": {}});
        assert_eq!(read[1], expect);
        let bound = |payload: &str| Event::bytes_max("invoice.paid".len(), payload.len());
        let bound = 2 + payloads.into_iter().map(bound).sum::<usize>();
        assert!(body.len() <= bound, "{} of {bound}", body.len());
        assert_eq!(write(&[]), b"[]");
    }
}
