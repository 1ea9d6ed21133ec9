//! The bytes that the roots of a trust anchor set are sealed as.

use serde::{Deserialize, Serialize};

use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::anchor_set::Anchor;
use hookseal_pki::certificate::SpkiSha256;

use crate::seal::document::{self, Sha256, Tail};

const FORMAT: u8 = 1;

/// All but the certificate, which is in the tail.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Root {
    der_bytes: u32,
    sha256: Sha256,
    spki_sha256: Sha256,
    subject: String,
    not_before_ms: i64,
    not_after_ms: i64,
    added_at_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retiring_since_ms: Option<i64>,
}

/// The bytes to seal.
pub(crate) fn encode(anchors: &[Anchor]) -> Vec<u8> {
    let roots: Vec<_> = anchors.iter().map(Root::of).collect();
    let tail: Vec<_> = anchors.iter().map(|anchor| anchor.der.as_slice()).collect();
    document::encode(FORMAT, &roots, &tail)
}

/// The roots; `None` for bytes that no version of ours wrote.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<Anchor>> {
    let (roots, mut tail) = document::decode::<Vec<Root>>(FORMAT, bytes)?;
    let anchors = roots.into_iter().map(|root| root.into_anchor(&mut tail));
    let anchors = anchors.collect::<Option<_>>()?;
    tail.end()?;
    Some(anchors)
}

// === impl Root ===

impl Root {
    fn of(anchor: &Anchor) -> Self {
        Self {
            der_bytes: document::length(&anchor.der),
            sha256: Sha256(anchor.sha256),
            spki_sha256: Sha256(*anchor.spki_sha256.as_bytes()),
            subject: anchor.subject.clone(),
            not_before_ms: anchor.not_before.as_millis(),
            not_after_ms: anchor.not_after.as_millis(),
            added_at_ms: anchor.added_at.as_millis(),
            retiring_since_ms: anchor.retiring_since.map(Timestamp::as_millis),
        }
    }

    fn into_anchor(self, tail: &mut Tail<'_>) -> Option<Anchor> {
        Some(Anchor {
            der: tail.part(self.der_bytes)?.to_vec(),
            sha256: self.sha256.0,
            spki_sha256: SpkiSha256::from_bytes(self.spki_sha256.0),
            subject: self.subject,
            not_before: Timestamp::from_millis(self.not_before_ms),
            not_after: Timestamp::from_millis(self.not_after_ms),
            added_at: Timestamp::from_millis(self.added_at_ms),
            retiring_since: self.retiring_since_ms.map(Timestamp::from_millis),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        let anchor = |byte: u8, retiring_since| Anchor {
            der: vec![byte; usize::from(byte)],
            sha256: [byte; 32],
            spki_sha256: SpkiSha256::from_bytes([byte + 1; 32]),
            subject: "CN=\"Root\"".to_owned(),
            not_before: Timestamp::from_millis(-5),
            not_after: Timestamp::MAX,
            added_at: Timestamp::from_millis(7),
            retiring_since,
        };
        let all = [
            anchor(1, None),
            anchor(200, Some(Timestamp::from_millis(9))),
        ];
        for anchors in [&all[..0], &all] {
            let bytes = encode(anchors);
            assert_eq!(decode(&bytes).as_deref(), Some(anchors));
            for cut in 0..bytes.len() {
                assert_eq!(decode(&bytes[..cut]), None, "cut at {cut}");
            }
            assert_eq!(decode(&[bytes.as_slice(), b"more"].concat()), None);
        }
    }
}
