//! The payload of a benchmark message: its number, its due time and an invoice, 600 bytes in all.
//!
//! Both fields are of fixed width, so that the receiver can tell every changed byte from the one
//! comparison that it can afford on each arrival.

use std::fmt::Write;

use bytes::Bytes;

const NUMBER_DIGITS: usize = 10;
const DUE_DIGITS: usize = 20;
const BEFORE_NUMBER: &str = r#"{"number":""#;
const BEFORE_DUE: &str = r#"","dueUnixNs":""#;
const REST: &str = concat!(
    r#"","id":"in_1PgaMZB7kVbC2eXq","object":"invoice","account":{"country":"DE","name":"#,
    r#""Example Trading GmbH"},"currency":"eur","amountDue":118990,"amountPaid":118990,"#,
    r#""attempted":true,"billingReason":"subscription_cycle","customer":"#,
    r#"{"id":"cus_QXg1o8vcGmoR32","email":"accounts@example.com","address":{"city":"Hamburg","#,
    r#""line1":"Speicherstrasse 12","postalCode":"20457"}},"lines":[{"description":"#,
    r#""Platform 40 seats","quantity":40,"unitAmount":2499},{"description":"Support, "#,
    r#"business hours","quantity":1,"unitAmount":19030}],"paid":true,"status":"paid"}"#,
);
const BEFORE_PAYLOAD: &str = r#"{"eventType":"invoice.paid","payload":"#;

/// Length of every payload.
const PAYLOAD_BYTES: usize =
    BEFORE_NUMBER.len() + NUMBER_DIGITS + BEFORE_DUE.len() + DUE_DIGITS + REST.len();

/// Which message a payload is, and when it was meant to be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stamp {
    /// Position in the run, from 0.
    pub(crate) number: u32,
    /// The intended send time; latency is measured from here.
    pub(crate) due_unix_ns: u64,
}

// === impl Stamp ===

impl Stamp {
    /// The payload alone, as a receiver gets it.
    pub(crate) fn payload(self) -> Bytes {
        let mut text = String::with_capacity(PAYLOAD_BYTES);
        self.append_to(&mut text);
        text.into()
    }

    /// The request body of `POST …/msg`.
    pub(crate) fn message(self) -> Bytes {
        let mut text = String::with_capacity(BEFORE_PAYLOAD.len() + PAYLOAD_BYTES + 1);
        text.push_str(BEFORE_PAYLOAD);
        self.append_to(&mut text);
        text.push('}');
        text.into()
    }

    /// Reads a payload back; `None` if any byte is not as [`Stamp::payload`] wrote it.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let rest = payload.strip_prefix(BEFORE_NUMBER.as_bytes())?;
        let (number, rest) = rest.split_at_checked(NUMBER_DIGITS)?;
        let rest = rest.strip_prefix(BEFORE_DUE.as_bytes())?;
        let (due, rest) = rest.split_at_checked(DUE_DIGITS)?;
        if rest != REST.as_bytes() {
            return None;
        }
        Some(Self {
            number: u32::try_from(decimal(number)?).ok()?,
            due_unix_ns: decimal(due)?,
        })
    }

    fn append_to(self, text: &mut String) {
        let Self {
            number,
            due_unix_ns,
        } = self;
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{BEFORE_NUMBER}{number:0NUMBER_DIGITS$}");
        let _ = write!(text, "{BEFORE_DUE}{due_unix_ns:0DUE_DIGITS$}{REST}");
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp {
        number: 49_999,
        due_unix_ns: 1_795_000_000_123_456_789,
    };

    #[test]
    fn a_payload_is_json_of_600_bytes() {
        let payload = STAMP.payload();
        let json: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(json["number"], "0000049999");
        assert_eq!(json["dueUnixNs"], "01795000000123456789");
        assert_eq!(payload.len(), PAYLOAD_BYTES);
        assert!(
            (580..=620).contains(&payload.len()),
            "{} bytes",
            payload.len()
        );
    }

    #[test]
    fn a_message_carries_the_payload_untouched() {
        let message = STAMP.message();
        let json: serde_json::Value = serde_json::from_slice(&message).unwrap();
        assert_eq!(json["eventType"], "invoice.paid");
        let payload = STAMP.payload();
        assert!(
            message
                .windows(payload.len())
                .any(|window| window == payload)
        );
    }

    #[test]
    fn reading_a_payload_returns_its_stamp() {
        assert_eq!(Stamp::read(&STAMP.payload()), Some(STAMP));
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        let payload = STAMP.payload();
        for position in 0..payload.len() {
            let mut changed = payload.to_vec();
            changed[position] = if changed[position] == b'~' {
                b'!'
            } else {
                b'~'
            };
            assert_eq!(Stamp::read(&changed), None, "position {position}");
        }
        assert_eq!(Stamp::read(&payload[..payload.len() - 1]), None);
        assert_eq!(Stamp::read(b""), None);
    }
}
