//! Standard Webhooks `v1` signatures, written apart from the server's so that neither excuses the
//! other. Never a check of anything but the benchmark's own keys.

use std::fmt;

use anyhow::Context;
use aws_lc_rs::{constant_time, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const SECRET_PREFIX: &str = "whsec_";
const SECRET_BYTES: usize = 32;

/// The HMAC-SHA256 key of one endpoint.
#[derive(Clone)]
pub(crate) struct SigningKey(hmac::Key);

/// The secret of one benchmark endpoint, in its `whsec_` form. Known to all; it guards nothing.
pub(crate) fn endpoint_secret(endpoint: u16) -> String {
    let mut bytes = [0x5a; SECRET_BYTES];
    for (byte, part) in bytes.iter_mut().zip(endpoint.to_be_bytes()) {
        *byte = part;
    }
    format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes))
}

/// The keys of endpoints 0 to `count` - 1. They differ, so that a delivery signed for another
/// endpoint is noticed.
pub(crate) fn endpoint_keys(count: u16) -> anyhow::Result<Vec<SigningKey>> {
    (0..count)
        .map(|endpoint| SigningKey::parse(&endpoint_secret(endpoint)))
        .collect()
}

// === impl SigningKey ===

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    /// Reads a `whsec_` secret.
    pub(crate) fn parse(secret: &str) -> anyhow::Result<Self> {
        let encoded = secret
            .strip_prefix(SECRET_PREFIX)
            .context("no whsec_ prefix")?;
        let bytes = STANDARD
            .decode(encoded)
            .context("the secret is not base64")?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// The value of `webhook-signature`.
    pub(crate) fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        let tag = self.tag(id, timestamp, body);
        let mut header = String::with_capacity(48);
        header.push_str("v1,");
        STANDARD.encode_string(tag, &mut header);
        header
    }

    /// Whether one of the space-separated signatures in `header` is ours.
    pub(crate) fn verifies(&self, id: &str, timestamp: &str, body: &[u8], header: &str) -> bool {
        let expected = self.tag(id, timestamp, body);
        header
            .split(' ')
            .filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok())
            .any(|given| constant_time::verify_slices_are_equal(&given, expected.as_ref()).is_ok())
    }

    fn tag(&self, id: &str, timestamp: &str, body: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            context.update(part);
        }
        context.sign()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of the Standard Webhooks reference libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const TIMESTAMP: &str = "1614265330";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn signs_the_published_example() {
        let key = SigningKey::parse(SECRET).unwrap();
        assert_eq!(key.sign(ID, TIMESTAMP, BODY), SIGNATURE);
    }

    #[test]
    fn verifies_one_signature_among_several() {
        let key = SigningKey::parse(SECRET).unwrap();
        let header = format!("v1a,AAAA v1,AAAA {SIGNATURE}");
        assert!(key.verifies(ID, TIMESTAMP, BODY, &header));
    }

    #[test]
    fn refuses_what_was_changed() {
        let key = SigningKey::parse(SECRET).unwrap();
        assert!(!key.verifies("msg_other", TIMESTAMP, BODY, SIGNATURE));
        assert!(!key.verifies(ID, "1614265331", BODY, SIGNATURE));
        assert!(!key.verifies(ID, TIMESTAMP, b"{}", SIGNATURE));
        assert!(!key.verifies(ID, TIMESTAMP, BODY, ""));
        assert!(!key.verifies(ID, TIMESTAMP, BODY, &SIGNATURE.replace("v1,", "v2,")));
    }

    #[test]
    fn endpoints_have_keys_of_their_own() {
        let keys = endpoint_keys(2).unwrap();
        let signature = keys[0].sign(ID, TIMESTAMP, BODY);
        assert!(keys[0].verifies(ID, TIMESTAMP, BODY, &signature));
        assert!(!keys[1].verifies(ID, TIMESTAMP, BODY, &signature));
    }
}
