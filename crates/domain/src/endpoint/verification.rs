//! Whether an endpoint's receiver wants what is sent to it: how it is asked, and what its answer means.
//!
//! **Invariant:** no clock, no IO. Whatever an answer does not say plainly is no consent.

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value as Json;

use crate::secret::Secret;
use crate::time::Timestamp;
use crate::violation::Violation;

/// Who asks (CloudEvents' HTTP 1.1 Web Hooks for Event Delivery 1.0.2, §4.1.2).
pub const REQUEST_ORIGIN: &str = "webhook-request-origin";
/// Where consent may be given later (§4.1.3).
pub const REQUEST_CALLBACK: &str = "webhook-request-callback";
/// How often we would like to send, per minute (§4.1.4).
pub const REQUEST_RATE: &str = "webhook-request-rate";
/// Who may send (§4.2.1).
pub const ALLOWED_ORIGIN: &str = "webhook-allowed-origin";
/// How often, per minute (§4.2.2).
pub const ALLOWED_RATE: &str = "webhook-allowed-rate";

/// Longest origin: that of a DNS name (RFC 1035 §2.3.4).
const ORIGIN_BYTES_MAX: usize = 253;
/// Most digits of a rate: whoever grants more of them grants no limit that we could keep.
const RATE_DIGITS_MAX: usize = 10;
/// What a challenge says that it is.
pub const CHALLENGE_TYPE: &str = "endpoint.verification";
/// Longest reason that is kept.
pub const REASON_CHARS_MAX: usize = 300;

/// How a receiver is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Method {
    /// By the abuse protection of CloudEvents: `OPTIONS`, answered in headers.
    CloudEvents,
    /// By a signed request with a random text, which comes back in the answer.
    Challenge,
}

/// What is known of an endpoint's verification.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Verification {
    /// Whether deliveries wait for it.
    pub standing: Standing,
    /// The last one that was begun of this URL.
    pub last: Option<Last>,
    /// When this URL was verified, if that holds.
    pub verified_at: Option<Timestamp>,
    /// What its receiver granted last.
    pub grant: Option<Grant>,
}

/// Whether deliveries wait for a verification.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Standing {
    /// They go, as far as verification is concerned.
    #[default]
    Free,
    /// They wait: the operator demands one, and there is none that holds.
    Withheld,
}

/// Whether the operator demands that endpoints are verified.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Demand {
    /// No.
    #[default]
    None,
    /// Nothing is sent before.
    Verified,
}

/// A verification that was begun.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Last {
    /// How the receiver is asked.
    pub method: Method,
    /// How far it came.
    pub stage: Stage,
}

/// How far a verification came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Stage {
    /// The answer is still to come.
    Pending {
        /// Until when it counts.
        until: Timestamp,
    },
    /// The receiver wants it.
    Passed,
    /// It does not, or did not say so.
    Failed {
        /// Why, for people.
        reason: String,
    },
}

/// What people are told of a verification.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// Nobody asked.
    Unverified,
    /// The answer is still to come.
    Pending,
    /// The receiver wants it.
    Verified,
    /// It does not, or did not say so.
    Failed,
}

/// What a receiver granted by the handshake of CloudEvents.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    /// Whom: named with each delivery from then on (§4.1.2).
    pub origin: Origin,
    /// Most requests per minute; `None` for no limit.
    pub rate: Option<NonZeroU32>,
}

/// A DNS name that stands for all of the sending system.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin(String);

/// The question of a handshake.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Question {
    /// Who asks.
    pub origin: Origin,
    /// How often they would like to send, per minute.
    pub rate: Option<NonZeroU32>,
}

/// What an answer to a handshake means.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Consent {
    /// Yes.
    Granted(Grant),
    /// It says nothing, which a callback may do later (§4.2).
    Silent,
    /// It says something else.
    Refused(Refusal),
}

/// Why an answer to a handshake is no consent, though it speaks of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Another origin is allowed.
    #[error("the answer's WebHook-Allowed-Origin names another origin")]
    OtherOrigin,
    /// A header stands there more than once.
    #[error("the answer has more than one WebHook-Allowed-Origin or WebHook-Allowed-Rate")]
    Ambiguous,
    /// A rate was asked for, and none is there.
    #[error("the answer has no WebHook-Allowed-Rate, though a rate was asked for")]
    NoRate,
    /// The rate is none.
    #[error("the answer's WebHook-Allowed-Rate is no number of requests per minute above 0, nor *")]
    NotARate,
}

// === impl Method ===

impl Method {
    /// Its name, for the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CloudEvents => "cloudevents",
            Self::Challenge => "challenge",
        }
    }

    /// What has this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::CloudEvents, Self::Challenge]
            .into_iter()
            .find(|one| one.as_str() == name)
    }
}

// === impl State ===

impl State {
    /// Its name, for the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unverified => "unverified",
            Self::Pending => "pending",
            Self::Verified => "verified",
            Self::Failed => "failed",
        }
    }
}

// === impl Verification ===

impl Verification {
    /// How it stands at `now`. One that nobody answered in time has failed, unless an earlier one
    /// holds.
    pub fn state(&self, now: Timestamp) -> State {
        match &self.last {
            Some(last) if last.is_pending(now) => State::Pending,
            _ if self.verified_at.is_some() => State::Verified,
            Some(_) => State::Failed,
            None => State::Unverified,
        }
    }

    /// Why the last one failed, at `now`.
    pub fn reason(&self, now: Timestamp) -> Option<&str> {
        match &self.last.as_ref()?.stage {
            Stage::Failed { reason } => Some(reason),
            Stage::Pending { until } if *until <= now => Some("nobody answered in time"),
            Stage::Pending { .. } | Stage::Passed => None,
        }
    }
}

// === impl Last ===

impl Last {
    fn is_pending(&self, now: Timestamp) -> bool {
        matches!(self.stage, Stage::Pending { until } if now < until)
    }
}

// === impl Origin ===

impl Origin {
    /// A DNS name.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        let is_label = |label: &str| {
            let fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            !label.is_empty() && label.len() <= 63 && label.bytes().all(fit)
        };
        if text.len() > ORIGIN_BYTES_MAX || !text.split('.').all(is_label) {
            let rule = "must be a DNS name such as hooks.example.com";
            return Err(Violation::new("value_error.pattern", rule));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// As it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Question ===

impl Question {
    /// What an answer means: its status, and all values of the two headers.
    pub fn answered(&self, status: u16, origins: &[&[u8]], rates: &[&[u8]]) -> Consent {
        // Servers that know nothing of it answer OPTIONS as well: the status alone is no consent,
        // and what was refused is none, whatever its headers say.
        let origin = match origins {
            [] => return Consent::Silent,
            _ if !(200..300).contains(&status) => return Consent::Silent,
            [one] => *one,
            _ => return Consent::Refused(Refusal::Ambiguous),
        };
        let is_ours = origin.eq_ignore_ascii_case(self.origin.0.as_bytes());
        if !is_ours && origin != b"*" {
            return Consent::Refused(Refusal::OtherOrigin);
        }
        let rate = match (rates, self.rate) {
            ([], None) => Ok(None),
            ([], Some(_)) => Err(Refusal::NoRate),
            ([one], _) => granted_rate(one),
            _ => Err(Refusal::Ambiguous),
        };
        match rate {
            Ok(rate) => Consent::Granted(self.granted(rate)),
            Err(refusal) => Consent::Refused(refusal),
        }
    }

    /// What a callback grants: what was asked for, where it names no rate of its own.
    pub fn called_back(&self, rates: &[&[u8]]) -> Result<Grant, Refusal> {
        let rate = match rates {
            [] => self.rate,
            [one] => granted_rate(one)?,
            _ => return Err(Refusal::Ambiguous),
        };
        Ok(self.granted(rate))
    }

    fn granted(&self, rate: Option<NonZeroU32>) -> Grant {
        Grant {
            origin: self.origin.clone(),
            rate,
        }
    }
}

fn granted_rate(text: &[u8]) -> Result<Option<NonZeroU32>, Refusal> {
    if text == b"*" {
        return Ok(None);
    }
    let is_number = text.iter().all(u8::is_ascii_digit);
    if text.is_empty() || text.len() > RATE_DIGITS_MAX || !is_number {
        return Err(Refusal::NotARate);
    }
    let number = text
        .iter()
        .fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    let rate = NonZeroU32::new(u32::try_from(number).unwrap_or(u32::MAX));
    rate.map(Some).ok_or(Refusal::NotARate)
}

/// Whether an answer brings a challenge back: as it is, or as the member `challenge` of a JSON object that
/// is not the request itself.
/// How long it takes says nothing of how much of it is right.
pub fn echoes(body: &[u8], challenge: &str) -> bool {
    let is_it = |text: &[u8]| verify_slices_are_equal(text, challenge.as_bytes()).is_ok();
    let text = body.trim_ascii();
    if !text.starts_with(b"{") {
        return is_it(text);
    }
    let object: Option<Json> = serde_json::from_slice(text).ok();
    let member = |name| {
        object
            .as_ref()
            .and_then(|object| object.get(name)?.as_str())
    };
    // Servers that send back whatever comes consent to nothing.
    let is_request = member("type") == Some(CHALLENGE_TYPE);
    !is_request && member("challenge").is_some_and(|said| is_it(said.as_bytes()))
}

/// A text that nobody guesses, by which a verification is answered.
pub fn answer_text(random: &Secret<[u8; 32]>) -> Secret<String> {
    Secret::new(URL_SAFE_NO_PAD.encode(random.expose()))
}

/// A reason as it is kept: a peer's words may be part of it.
pub fn shortened(reason: &str) -> String {
    reason.chars().take(REASON_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn question(rate: Option<u32>) -> Question {
        Question {
            origin: Origin::parse("Hooks.example.com").unwrap(),
            rate: rate.and_then(NonZeroU32::new),
        }
    }

    fn check(asked: Option<u32>, status: u16, origins: &[&str], rates: &[&str], expect: Consent) {
        let origin_bytes: Vec<&[u8]> = origins.iter().map(|text| text.as_bytes()).collect();
        let rate_bytes: Vec<&[u8]> = rates.iter().map(|text| text.as_bytes()).collect();
        let got = question(asked).answered(status, &origin_bytes, &rate_bytes);
        assert_eq!(got, expect, "{status} {origins:?} {rates:?}");
    }

    fn granted(rate: Option<u32>) -> Consent {
        Consent::Granted(Grant {
            origin: Origin::parse("hooks.example.com").unwrap(),
            rate: rate.and_then(NonZeroU32::new),
        })
    }

    #[test]
    fn consent_names_us_or_everybody_and_a_rate_where_one_was_asked_for() {
        check(None, 200, &["hooks.example.com"], &[], granted(None));
        check(None, 204, &["HOOKS.example.COM"], &["*"], granted(None));
        check(None, 200, &["*"], &["120"], granted(Some(120)));
        check(Some(600), 200, &["*"], &["120"], granted(Some(120)));
        check(Some(600), 200, &["*"], &["*"], granted(None));
        let most = granted(Some(u32::MAX));
        check(Some(600), 200, &["*"], &["9999999999"], most);
    }

    #[test]
    fn whatever_else_is_said_is_no_consent() {
        check(None, 200, &[], &["120"], Consent::Silent);
        for status in [100, 301, 400, 403, 405, 500] {
            check(None, status, &["*"], &["*"], Consent::Silent);
        }
        let refused = Consent::Refused;
        for other in [
            "",
            "example.com",
            "hooks.example.com.",
            "hooks.example.com, *",
            "**",
            "*.example.com",
            "https://hooks.example.com",
            "null",
        ] {
            check(None, 200, &[other], &[], refused(Refusal::OtherOrigin));
        }
        let twice = refused(Refusal::Ambiguous);
        check(None, 200, &["*", "*"], &[], twice.clone());
        check(None, 200, &["*"], &["1", "2"], twice);
        check(Some(1), 200, &["*"], &[], refused(Refusal::NoRate));
        for wrong in [
            "",
            "0",
            "000",
            "-1",
            "+1",
            "1.5",
            "1e3",
            " 1",
            "0x10",
            "12345678901",
            "１２",
            "* ",
        ] {
            check(None, 200, &["*"], &[wrong], refused(Refusal::NotARate));
        }
    }

    #[test]
    fn a_callback_grants_what_was_asked_for_or_what_it_says() {
        let rate = |asked, rates: &[&[u8]]| {
            let grant = question(asked).called_back(rates);
            grant.map(|grant| grant.rate.map(NonZeroU32::get))
        };
        assert_eq!(rate(None, &[]), Ok(None));
        assert_eq!(rate(Some(600), &[]), Ok(Some(600)));
        assert_eq!(rate(Some(600), &[b"60"]), Ok(Some(60)));
        assert_eq!(rate(Some(600), &[b"*"]), Ok(None));
        assert_eq!(rate(None, &[b"many"]), Err(Refusal::NotARate));
        assert_eq!(rate(None, &[b"1", b"2"]), Err(Refusal::Ambiguous));
    }

    #[test]
    fn an_echo_is_the_whole_challenge_and_nothing_else() {
        let check = |body: &str, expect: bool| {
            assert_eq!(echoes(body.as_bytes(), "abc-123"), expect, "{body}");
        };
        check("abc-123", true);
        check("  abc-123\r\n", true);
        check(r#"{"challenge": "abc-123"}"#, true);
        check(r#"{"ok": true, "challenge": "abc-123"}"#, true);
        for wrong in [
            "",
            "abc-12",
            "abc-1234",
            "ABC-123",
            "\"abc-123\"",
            "challenge=abc-123",
            r#"{"challenge": "abc-12"}"#,
            r#"{"challenge": ["abc-123"]}"#,
            r#"{"type": "x", "data": {"challenge": "abc-123"}}"#,
            r#"{"challenge": "abc-123""#,
            r#"["abc-123"]"#,
            r#"{"type": "endpoint.verification", "challenge": "abc-123"}"#,
        ] {
            check(wrong, false);
        }
        assert!(!echoes(&[0xff; 40], "abc-123"));
    }

    #[test]
    fn what_is_not_answered_in_time_has_failed_unless_an_earlier_one_holds() {
        let at = Timestamp::from_millis;
        let mut verification = Verification::default();
        assert_eq!(verification.state(at(0)), State::Unverified);
        verification.last = Some(Last {
            method: Method::CloudEvents,
            stage: Stage::Pending { until: at(10) },
        });
        assert_eq!(verification.state(at(9)), State::Pending);
        assert_eq!(verification.reason(at(9)), None);
        assert_eq!(verification.state(at(10)), State::Failed);
        assert_eq!(verification.reason(at(10)), Some("nobody answered in time"));
        verification.verified_at = Some(at(1));
        assert_eq!(verification.state(at(9)), State::Pending);
        assert_eq!(verification.state(at(10)), State::Verified);
    }

    #[test]
    fn origins_are_names() {
        for fit in ["a", "hooks.example.com", "x-1.test", "localhost"] {
            assert!(Origin::parse(fit).is_ok(), "{fit}");
        }
        let long = "a.".repeat(127);
        for wrong in [
            "",
            ".",
            "a..b",
            "https://a",
            "a b",
            "a:1",
            "*",
            "ä.de",
            &long,
        ] {
            assert!(Origin::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_judged(status in any::<u16>(), origin in any::<Vec<u8>>(), rate in any::<Vec<u8>>()) {
            let consent = question(Some(1)).answered(status, &[&origin], &[&rate]);
            if let Consent::Granted(_) = consent {
                prop_assert!(origin == b"*" || origin.eq_ignore_ascii_case(b"hooks.example.com"));
            }
            prop_assert!(!echoes(&rate, "a challenge that nobody guesses"));
        }
    }
}
