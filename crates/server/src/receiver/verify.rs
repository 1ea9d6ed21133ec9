//! Verifies Standard Webhooks as a receiver does: written from the specification, apart from the
//! code that signs, so that neither can excuse the other. Never says which byte differed.

use std::fmt;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use zeroize::Zeroizing;

use hookseal_domain::time::Timestamp;

use crate::receiver::limits::{CLOCK_TOLERANCE, SIGNATURES_MAX};

const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";

/// Bytes of an ed25519 public key (RFC 8032 §5.1.5).
const PUBLIC_KEY_BYTES: usize = 32;

/// What a receiver knows of its sender's key.
pub struct Verifier(Key);

enum Key {
    HmacSha256(Box<hmac::Key>),
    Ed25519(UnparsedPublicKey<Vec<u8>>),
}

/// How a signature was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// `v1`: HMAC-SHA256.
    V1,
    /// `v1a`: ed25519.
    V1a,
}

/// A request that the sender signed a moment ago.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verified {
    /// Which message it carries; what a receiver recognises repetitions by.
    pub message_id: String,
    /// How it was signed.
    pub scheme: Scheme,
}

/// Text that is no key to verify with.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// The private half was given.
    #[error("is a private signing key (whsk_): a receiver needs the public one (whpk_)")]
    Private,
    /// Neither form.
    #[error("must be whsec_ and base64, or whpk_ and the base64 of a 32-byte ed25519 public key")]
    Shape,
}

/// Why a request is not to be believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum VerifyError {
    /// A header that must be there is not, or is no text.
    #[error("no {0} header")]
    Missing(&'static str),
    /// The timestamp is no number of seconds.
    #[error("webhook-timestamp is not a number of seconds")]
    Timestamp,
    /// Sent too long ago: it may be a recording.
    #[error("webhook-timestamp is {age_seconds} s old: at most 300 s are accepted")]
    TooOld {
        /// How old it claims to be.
        age_seconds: u64,
    },
    /// Sent in the future: one of the clocks is wrong.
    #[error(
        "webhook-timestamp is {ahead_seconds} s ahead of this clock: at most 300 s are accepted"
    )]
    TooNew {
        /// How far ahead it claims to be.
        ahead_seconds: u64,
    },
    /// It is signed, but in no way that the key can check.
    #[error("no {0} signature, and this key makes only those")]
    OtherScheme(Scheme),
    /// Made with another key, or for other bytes.
    #[error("no signature matches: other key, or changed on the way")]
    Mismatch,
}

// === impl Verifier ===

impl Verifier {
    /// Reads a shared secret (`whsec_…`, or bare base64) or an ed25519 public key (`whpk_…`).
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let decode = |encoded: &str| {
            let bytes = STANDARD.decode(encoded).map_err(|_| KeyError::Shape)?;
            Ok(Zeroizing::new(bytes))
        };
        let text = text.trim();
        let (kind, encoded) = text.split_once('_').unwrap_or(("whsec", text));
        match kind {
            "whsec" => {
                let secret = decode(encoded)?;
                if secret.is_empty() {
                    return Err(KeyError::Shape);
                }
                let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
                Ok(Self(Key::HmacSha256(Box::new(key))))
            }
            "whpk" => {
                let public = decode(encoded)?;
                if public.len() != PUBLIC_KEY_BYTES {
                    return Err(KeyError::Shape);
                }
                let key = UnparsedPublicKey::new(&ED25519, public.to_vec());
                Ok(Self(Key::Ed25519(key)))
            }
            "whsk" => Err(KeyError::Private),
            _ => Err(KeyError::Shape),
        }
    }

    /// Whether the request is what the sender signed, and fresh at `now`.
    pub fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Verified, VerifyError> {
        let id = text_of(headers, ID)?;
        let sent_at = text_of(headers, TIMESTAMP)?;
        let signatures = text_of(headers, SIGNATURE)?;
        check_age(sent_at, now)?;
        let signed = [id.as_bytes(), b".", sent_at.as_bytes(), b".", body];

        let scheme = self.scheme();
        let mut ours = signatures
            .split(' ')
            .take(SIGNATURES_MAX)
            .filter_map(|signature| signature.split_once(','))
            .filter(|(version, _)| *version == scheme.as_str())
            .peekable();
        if ours.peek().is_none() {
            return Err(VerifyError::OtherScheme(scheme));
        }
        let is_ours = ours
            .filter_map(|(_, encoded)| STANDARD.decode(encoded).ok())
            .any(|signature| self.has_made(&signed, &signature));
        if !is_ours {
            return Err(VerifyError::Mismatch);
        }
        Ok(Verified {
            message_id: id.to_owned(),
            scheme,
        })
    }

    fn scheme(&self) -> Scheme {
        match self.0 {
            Key::HmacSha256(_) => Scheme::V1,
            Key::Ed25519(_) => Scheme::V1a,
        }
    }

    fn has_made(&self, signed: &[&[u8]], signature: &[u8]) -> bool {
        match &self.0 {
            Key::HmacSha256(key) => {
                let mut context = hmac::Context::with_key(key);
                for part in signed {
                    context.update(part);
                }
                let tag = context.sign();
                constant_time::verify_slices_are_equal(tag.as_ref(), signature).is_ok()
            }
            Key::Ed25519(key) => key.verify(&signed.concat(), signature).is_ok(),
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({})", self.scheme())
    }
}

// === impl Scheme ===

impl Scheme {
    /// The version that stands before the signature.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1a => "v1a",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn text_of<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<&'h str, VerifyError> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .filter(|value| !value.is_empty())
        .ok_or(VerifyError::Missing(name))
}

fn check_age(sent_at: &str, now: Timestamp) -> Result<(), VerifyError> {
    let is_number = sent_at.bytes().all(|c| c.is_ascii_digit());
    let sent_at: i64 = sent_at
        .parse()
        .ok()
        .filter(|_| is_number)
        .ok_or(VerifyError::Timestamp)?;
    let age_seconds = now.as_secs().saturating_sub(sent_at);
    if age_seconds.unsigned_abs() <= CLOCK_TOLERANCE.as_secs() {
        Ok(())
    } else if age_seconds > 0 {
        let age_seconds = age_seconds.unsigned_abs();
        Err(VerifyError::TooOld { age_seconds })
    } else {
        let ahead_seconds = age_seconds.unsigned_abs();
        Err(VerifyError::TooNew { ahead_seconds })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use hookseal_domain::signature::key::{KeyKind, SigningKey};
    use hookseal_domain::signature::standard::sign;

    use super::*;

    // The example of the Standard Webhooks reference libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const MESSAGE: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const SENT_AT: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn headers(signatures: &str) -> HeaderMap {
        HeaderMap::from_iter(
            [
                (ID, MESSAGE.to_owned()),
                (TIMESTAMP, SENT_AT.to_string()),
                (SIGNATURE, signatures.to_owned()),
            ]
            .map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, HeaderValue::from_str(&value).unwrap())
            }),
        )
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn check(signatures: &str, body: &[u8], now: i64, expect: Result<Scheme, VerifyError>) {
        let got = Verifier::parse(SECRET)
            .unwrap()
            .verify(&headers(signatures), body, at(now));
        assert_eq!(
            got.map(|verified| verified.scheme),
            expect,
            "{signatures} at {now}"
        );
    }

    #[test]
    fn the_published_example() {
        check(SIGNED, BODY, SENT_AT, Ok(Scheme::V1));
        check(
            &format!("v1a,AAAA v1,AAAA {SIGNED}"),
            BODY,
            SENT_AT,
            Ok(Scheme::V1),
        );
    }

    #[test]
    fn forgeries() {
        use VerifyError::{Mismatch, OtherScheme};
        check(SIGNED, b"{}", SENT_AT, Err(Mismatch));
        check("v1,", BODY, SENT_AT, Err(Mismatch));
        check("v1,not base64", BODY, SENT_AT, Err(Mismatch));
        check("v1,AAAA", BODY, SENT_AT, Err(Mismatch));
        check(
            &SIGNED.replace("v1", "v2"),
            BODY,
            SENT_AT,
            Err(OtherScheme(Scheme::V1)),
        );
        check("garbage", BODY, SENT_AT, Err(OtherScheme(Scheme::V1)));
        let hidden = format!("{}{SIGNED}", "v1,AAAA ".repeat(SIGNATURES_MAX));
        check(&hidden, BODY, SENT_AT, Err(Mismatch));
    }

    #[test]
    fn only_fresh_requests() {
        check(SIGNED, BODY, SENT_AT + 300, Ok(Scheme::V1));
        check(SIGNED, BODY, SENT_AT - 300, Ok(Scheme::V1));
        let age_seconds = 301;
        check(
            SIGNED,
            BODY,
            SENT_AT + 301,
            Err(VerifyError::TooOld { age_seconds }),
        );
        let ahead_seconds = 301;
        check(
            SIGNED,
            BODY,
            SENT_AT - 301,
            Err(VerifyError::TooNew { ahead_seconds }),
        );
    }

    #[test]
    fn missing_or_broken_headers() {
        let verifier = Verifier::parse(SECRET).unwrap();
        let verify = |headers: &HeaderMap| verifier.verify(headers, BODY, at(SENT_AT));
        for name in [ID, TIMESTAMP, SIGNATURE] {
            let mut headers = headers(SIGNED);
            headers.remove(name);
            assert_eq!(verify(&headers), Err(VerifyError::Missing(name)));
            headers.insert(name, HeaderValue::from_bytes(b"\xff").unwrap());
            assert_eq!(verify(&headers), Err(VerifyError::Missing(name)));
        }
        for sent_at in [
            "",
            "+1614265330",
            "-1",
            "1614265330.5",
            "99999999999999999999",
            "soon",
        ] {
            let mut headers = headers(SIGNED);
            headers.insert(TIMESTAMP, HeaderValue::from_static(sent_at));
            let expect = match sent_at {
                "" => VerifyError::Missing(TIMESTAMP),
                _ => VerifyError::Timestamp,
            };
            assert_eq!(verify(&headers), Err(expect), "{sent_at}");
        }
    }

    #[test]
    fn ed25519_by_the_public_half() {
        let key = SigningKey::from_bytes(KeyKind::Ed25519, &[7; 32]).unwrap();
        let verifier = Verifier::parse(key.receiver_text().expose()).unwrap();
        let signed = sign([&key], MESSAGE, at(SENT_AT), BODY);
        let verify = |signed: &str, body| verifier.verify(&headers(signed), body, at(SENT_AT));
        assert_eq!(verify(&signed, BODY).unwrap().scheme, Scheme::V1a);
        assert_eq!(verify(&signed, b"{}"), Err(VerifyError::Mismatch));
        assert_eq!(
            verify(SIGNED, BODY),
            Err(VerifyError::OtherScheme(Scheme::V1a))
        );
        assert_eq!(format!("{verifier:?}"), "Verifier(v1a)");
    }

    #[test]
    fn shapes_of_keys() {
        let check = |text: &str, expect: Result<(), KeyError>| {
            assert_eq!(Verifier::parse(text).map(drop), expect, "{text}");
        };
        check(SECRET, Ok(()));
        check("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", Ok(()));
        check("whsec_", Err(KeyError::Shape));
        check("whsec_not base64", Err(KeyError::Shape));
        check("whpk_AAAA", Err(KeyError::Shape));
        check("whsk_AAAA", Err(KeyError::Private));
        check("other_AAAA", Err(KeyError::Shape));
    }
}
