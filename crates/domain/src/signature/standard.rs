//! Standard Webhooks 1.0: `v1` (HMAC-SHA256) and `v1a` (ed25519) over `id.timestamp.body`.
//!
//! **Invariant:** pure; the same arguments sign to the same header.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::signature::key::{Signer, SigningKey};
use crate::time::Timestamp;

/// The value of `webhook-signature`: one signature per key, separated by spaces. `sent_at` is the
/// value of `webhook-timestamp`, in whole seconds.
pub fn sign<'k>(
    keys: impl IntoIterator<Item = &'k SigningKey>,
    message_id: &str,
    sent_at: Timestamp,
    body: &[u8],
) -> String {
    let secs = sent_at.as_secs().to_string();
    let mut header = String::with_capacity(64);
    for key in keys {
        if !header.is_empty() {
            header.push(' ');
        }
        match key.signer() {
            Signer::HmacSha256(key) => {
                let mut context = hmac::Context::with_key(key);
                for part in [message_id.as_bytes(), b".", secs.as_bytes(), b".", body] {
                    context.update(part);
                }
                header.push_str("v1,");
                STANDARD.encode_string(context.sign(), &mut header);
            }
            Signer::Ed25519(pair) => {
                let signed = [message_id.as_bytes(), b".", secs.as_bytes(), b".", body].concat();
                header.push_str("v1a,");
                STANDARD.encode_string(pair.sign(&signed), &mut header);
            }
        }
    }
    header
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: Timestamp = Timestamp::from_millis(1_614_265_330_999);
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn vector_of_the_specification() {
        let key = SigningKey::parse(SECRET).unwrap();
        let expect = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(sign([&key], ID, AT, BODY), expect);
    }

    #[test]
    fn every_key_signs_while_rotating() {
        let hmac = SigningKey::parse(SECRET).unwrap();
        let seed = format!("whsk_{}", STANDARD.encode([1; 32]));
        let ed25519 = SigningKey::parse(&seed).unwrap();
        let header = sign([&ed25519, &hmac], ID, AT, BODY);
        let (first, second) = header.split_once(' ').unwrap();
        assert_eq!(second, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");

        let public = ed25519.receiver_text();
        let public = STANDARD
            .decode(public.expose().strip_prefix("whpk_").unwrap())
            .unwrap();
        let signature = STANDARD
            .decode(first.strip_prefix("v1a,").unwrap())
            .unwrap();
        let signed = [ID.as_bytes(), b".1614265330.", BODY].concat();
        UnparsedPublicKey::new(&ED25519, public)
            .verify(&signed, &signature)
            .unwrap();
    }
}
