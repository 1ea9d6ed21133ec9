//! The bytes that the certificates and private keys of a client identity are sealed as. Must never
//! have a private key in a text.

use serde::{Deserialize, Serialize};

use hookseal_domain::secret::Secret;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::identity::{IdentityCertificate, IssuedCertificate};
use hookseal_domain::transport::rotation::{Stage, StageTimes};

use crate::seal::document::{self, Sha256, Tail};

const FORMAT: u8 = 1;

/// All but the key and the certificates, which are in the tail in this order.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Certificate {
    number: u32,
    stage: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issued_at_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    distributed_at_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seen_at_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retired_at_ms: Option<i64>,
    added_at_ms: i64,
    key_bytes: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    csr_pem: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issued: Option<Issued>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Issued {
    chain_bytes: Vec<u32>,
    sha256: Sha256,
    subject: String,
    issuer: String,
    not_before_ms: i64,
    not_after_ms: i64,
}

/// The bytes to seal.
pub(crate) fn encode(certificates: &[IdentityCertificate]) -> Vec<u8> {
    let objects: Vec<_> = certificates.iter().map(Certificate::of).collect();
    let parts = certificates.iter().flat_map(|one| {
        let chain = one.issued.iter().flat_map(|issued| &issued.chain_der);
        std::iter::once(one.key.expose()).chain(chain)
    });
    let tail: Vec<_> = parts.map(Vec::as_slice).collect();
    document::encode(FORMAT, &objects, &tail)
}

/// The certificates; `None` for bytes that no version of ours wrote.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<IdentityCertificate>> {
    let (objects, mut tail) = document::decode::<Vec<Certificate>>(FORMAT, bytes)?;
    let certificates = objects.into_iter().map(|one| one.with(&mut tail));
    let certificates = certificates.collect::<Option<_>>()?;
    tail.end()?;
    Some(certificates)
}

// === impl Certificate ===

impl Certificate {
    fn of(one: &IdentityCertificate) -> Self {
        Self {
            number: one.number,
            stage: one.stage.as_str().to_owned(),
            issued_at_ms: one.times.issued_at.map(Timestamp::as_millis),
            distributed_at_ms: one.times.distributed_at.map(Timestamp::as_millis),
            seen_at_ms: one.times.seen_at.map(Timestamp::as_millis),
            retired_at_ms: one.times.retired_at.map(Timestamp::as_millis),
            added_at_ms: one.added_at.as_millis(),
            key_bytes: document::length(one.key.expose()),
            csr_pem: one.csr_pem.clone(),
            issued: one.issued.as_ref().map(Issued::of),
        }
    }

    fn with(self, tail: &mut Tail<'_>) -> Option<IdentityCertificate> {
        Some(IdentityCertificate {
            number: self.number,
            stage: Stage::parse(&self.stage)?,
            times: StageTimes {
                issued_at: self.issued_at_ms.map(Timestamp::from_millis),
                distributed_at: self.distributed_at_ms.map(Timestamp::from_millis),
                seen_at: self.seen_at_ms.map(Timestamp::from_millis),
                retired_at: self.retired_at_ms.map(Timestamp::from_millis),
            },
            added_at: Timestamp::from_millis(self.added_at_ms),
            key: Secret::new(tail.part(self.key_bytes)?.to_vec()),
            csr_pem: self.csr_pem,
            issued: match self.issued {
                Some(issued) => Some(issued.with(tail)?),
                None => None,
            },
        })
    }
}

// === impl Issued ===

impl Issued {
    fn of(issued: &IssuedCertificate) -> Self {
        let lengths = issued.chain_der.iter().map(|der| document::length(der));
        Self {
            chain_bytes: lengths.collect(),
            sha256: Sha256(issued.sha256),
            subject: issued.subject.clone(),
            issuer: issued.issuer.clone(),
            not_before_ms: issued.not_before.as_millis(),
            not_after_ms: issued.not_after.as_millis(),
        }
    }

    fn with(self, tail: &mut Tail<'_>) -> Option<IssuedCertificate> {
        let parts = self.chain_bytes.into_iter();
        let chain = parts.map(|length| Some(tail.part(length)?.to_vec()));
        Some(IssuedCertificate {
            chain_der: chain.collect::<Option<_>>()?,
            sha256: self.sha256.0,
            subject: self.subject,
            issuer: self.issuer,
            not_before: Timestamp::from_millis(self.not_before_ms),
            not_after: Timestamp::from_millis(self.not_after_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(number: u32, stage: Stage, issued: Option<usize>) -> IdentityCertificate {
        let at = |millis| Timestamp::from_millis(millis);
        IdentityCertificate {
            number,
            stage,
            times: StageTimes {
                issued_at: Some(at(1)),
                distributed_at: None,
                seen_at: Some(at(2)),
                retired_at: None,
            },
            added_at: at(3),
            key: Secret::new(vec![0xff; 5]),
            csr_pem: issued.is_none().then(|| "a request".to_owned()),
            issued: issued.map(|chain| IssuedCertificate {
                chain_der: (0..chain).map(|length| vec![7; length]).collect(),
                sha256: [9; 32],
                subject: "CN=us".to_owned(),
                issuer: "CN=theirs".to_owned(),
                not_before: at(4),
                not_after: at(5),
            }),
        }
    }

    #[test]
    fn round_trips() {
        let certificates = [
            certificate(1, Stage::Retired, Some(3)),
            certificate(2, Stage::Requested, None),
        ];
        let bytes = encode(&certificates);
        let read = decode(&bytes).unwrap();
        assert_eq!(format!("{read:?}"), format!("{certificates:?}"));
        let keys = read.iter().zip(&certificates);
        assert!(keys.clone().all(|(read, one)| read.key.matches(&one.key)));
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut]).is_none(), "cut at {cut}");
        }
        assert!(decode(&[bytes.as_slice(), b"more"].concat()).is_none());
        assert!(decode(&encode(&[])).is_some_and(|none| none.is_empty()));
    }

    #[test]
    fn a_stage_that_is_not_known_is_refused() {
        let mut object = Certificate::of(&certificate(1, Stage::Seen, None));
        object.stage = "revoked".to_owned();
        let bytes = document::encode(FORMAT, &[object], &[&[0xff; 5]]);
        assert!(decode(&bytes).is_none());
    }
}
