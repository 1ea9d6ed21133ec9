//! A client identity: the certificates that we present under one name, several of them while they
//! rotate.

use std::cmp::Reverse;

use crate::secret::Secret;
use crate::time::Timestamp;
use crate::transport::name::Name;
use crate::transport::pin::Force;
use crate::transport::rotation::{Stage, StageTimes, Standing, Step};

/// Most certificates of one identity that are not retired: the current one, its successor, and
/// room for a mistake.
pub const CERTIFICATES_MAX: usize = 8;

/// A client identity as of one version. Two are equal if they present the same under the same name,
/// whatever else was done to them: a version begins again when a name is used again.
#[derive(Clone, Debug)]
pub struct ClientIdentity {
    /// Its name.
    pub name: Name,
    /// Grows with each change of its certificates or their stages (not with what is observed).
    pub version: i64,
    /// Its certificates, by number.
    pub certificates: Vec<IdentityCertificate>,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// One key of an identity, with its certificate once there is one.
#[derive(Clone, Debug)]
pub struct IdentityCertificate {
    /// Counts from 1 within the identity; a newer one has a higher number.
    pub number: u32,
    /// Where it stands.
    pub stage: Stage,
    /// When it came there.
    pub times: StageTimes,
    /// When it was made or uploaded.
    pub added_at: Timestamp,
    /// The private key: PKCS#8 in DER.
    pub key: Secret<Vec<u8>>,
    /// The certificate request, in PEM, where the key was made here.
    pub csr_pem: Option<String>,
    /// The certificate; there from [`Stage::Issued`] on.
    pub issued: Option<IssuedCertificate>,
}

/// A certificate that was issued to us.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IssuedCertificate {
    /// In DER, our own first, without the root.
    pub chain_der: Vec<Vec<u8>>,
    /// SHA-256 of our own certificate: names it.
    pub sha256: [u8; 32],
    /// Whom it was issued to, for people.
    pub subject: String,
    /// Who issued it, for people.
    pub issuer: String,
    /// Its first second.
    pub not_before: Timestamp,
    /// Its last second.
    pub not_after: Timestamp,
}

// === impl ClientIdentity ===

impl ClientIdentity {
    /// The certificates that may be presented, preferred first: those that the receivers know
    /// ([`Stage::is_known`]), newest first, and then those they were not told of, newest first.
    ///
    /// This looks at no clock. Whoever presents leaves out what is not valid now, and uses one that
    /// receivers were not told of only where no known one is valid now: neither first nor to fall
    /// back on.
    pub fn presentable(&self) -> impl Iterator<Item = (&IdentityCertificate, &IssuedCertificate)> {
        let mut usable: Vec<_> = self
            .certificates
            .iter()
            .filter(|one| one.stage.is_known() || one.stage == Stage::Issued)
            .filter_map(|one| Some((one, one.issued.as_ref()?)))
            .collect();
        usable.sort_by_key(|(one, _)| (!one.stage.is_known(), Reverse(one.number)));
        usable.into_iter()
    }
}

impl PartialEq for ClientIdentity {
    fn eq(&self, other: &Self) -> bool {
        let presented = |one: &Self| -> Vec<_> {
            let presentable = one.presentable();
            presentable
                .map(|(one, issued)| (one.number, one.stage.is_known(), issued.clone()))
                .collect()
        };
        self.name == other.name && presented(self) == presented(other)
    }
}

// === impl IdentityCertificate ===

impl IdentityCertificate {
    /// Notes that a receiver accepted it. One that is retired stays so.
    pub fn observe(&mut self, at: Timestamp) {
        let standing = Standing {
            successor_seen: false,
            endpoints_on_it: 0,
        };
        if let Ok(stage) = self.stage.after(Step::Observe, standing, Force::No) {
            self.stage = stage;
        }
        self.times.seen_at.get_or_insert(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(stages: &[Stage]) -> ClientIdentity {
        let at = Timestamp::from_millis(0);
        let certificates = (1..)
            .zip(stages)
            .map(|(number, stage)| IdentityCertificate {
                number,
                stage: *stage,
                times: StageTimes::default(),
                added_at: at,
                key: Secret::new(vec![]),
                csr_pem: None,
                issued: (*stage != Stage::Requested).then(|| IssuedCertificate {
                    chain_der: vec![],
                    sha256: [0; 32],
                    subject: String::new(),
                    issuer: String::new(),
                    not_before: at,
                    not_after: at,
                }),
            })
            .collect();
        ClientIdentity {
            name: Name::parse("us").unwrap(),
            version: 1,
            certificates,
            updated_at: at,
        }
    }

    #[test]
    fn an_acceptance_is_noted_once() {
        let check = |stage, expect| {
            let mut one = identity(&[stage]).certificates.remove(0);
            for millis in [5, 6] {
                one.observe(Timestamp::from_millis(millis));
            }
            assert_eq!(one.stage, expect);
            assert_eq!(one.times.seen_at, Some(Timestamp::from_millis(5)));
        };
        check(Stage::Issued, Stage::Seen);
        check(Stage::Distributed, Stage::Seen);
        check(Stage::Retired, Stage::Retired);
    }

    #[test]
    fn the_newest_that_receivers_know_is_preferred() {
        let check = |stages: &[Stage], expect: &[u32]| {
            let identity = identity(stages);
            let numbers: Vec<_> = identity.presentable().map(|(one, _)| one.number).collect();
            assert_eq!(numbers, expect);
        };
        use Stage::{Distributed, Issued, Requested, Retired, Seen};
        check(&[Seen, Distributed], &[2, 1]);
        check(&[Seen, Issued], &[1, 2]);
        check(&[Issued, Distributed, Issued, Seen], &[4, 2, 3, 1]);
        check(&[Issued], &[1]);
        check(&[Issued, Issued], &[2, 1]);
        check(&[Retired, Requested], &[]);
        check(&[Retired, Seen, Requested], &[2]);
    }

    #[test]
    fn identities_are_equal_that_present_the_same() {
        let one = identity(&[Stage::Seen]);
        let asked_for_another = identity(&[Stage::Seen, Stage::Requested]);
        assert_eq!(one, asked_for_another);
        assert_ne!(one, identity(&[Stage::Seen, Stage::Distributed]));
        // Of the same order, but one of them is used only where the other is not valid.
        let in_reserve = identity(&[Stage::Issued, Stage::Seen]);
        assert_ne!(in_reserve, identity(&[Stage::Seen, Stage::Seen]));
        let mut made_anew = one.clone();
        for certificate in &mut made_anew.certificates {
            let issued = certificate.issued.as_mut().unwrap();
            issued.chain_der.push(vec![1]);
        }
        assert_ne!(one, made_anew, "though of the same version");
    }
}
