//! Changes of a client identity: what it becomes, and making that so.

use std::collections::BTreeMap;
use std::sync::Arc;

use hookseal_domain::id::OrgId;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::identity::{
    CERTIFICATES_MAX, ClientIdentity, IdentityCertificate, IssuedCertificate,
};
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::pin::Force;
use hookseal_domain::transport::rotation::{RotationError, Stage, StageTimes, Standing, Step};
use hookseal_store::error::ChangeError;
use hookseal_store::publish::Idempotency;

use crate::api::ApiContext;
use crate::api::error::{ApiError, ErrorCode};
use crate::api::transport::change::{Made, TRIES};
use crate::api::transport::client_identity::WHAT;
use crate::api::transport::client_identity::given::Uploaded;
use crate::api::transport::named::check_new_name;

/// How many endpoints accepted each certificate last, by its number.
pub(super) type Counts = BTreeMap<u32, u64>;

/// Most retired certificates that are kept to be looked at; older ones go.
const RETIRED_MAX: usize = 8;

/// The identity with another key. A name that is new has to be one that may be given.
pub(super) fn with_key(
    name: &Name,
    before: Option<&ClientIdentity>,
    certificate: IdentityCertificate,
) -> Result<Made<ClientIdentity>, ApiError> {
    if before.is_none() {
        check_new_name(name)?;
    }
    let mut identity = before.cloned().unwrap_or_else(|| empty(name));
    let live = identity.certificates.iter();
    let live = live.filter(|one| one.stage != Stage::Retired).count();
    if live >= CERTIFICATES_MAX {
        let detail = format!(
            "a client identity has at most {CERTIFICATES_MAX} certificates that are not retired; \
             retire one first"
        );
        return Err(ApiError::new(ErrorCode::LimitReached, detail));
    }
    let highest = identity.certificates.iter().map(|one| one.number).max();
    let number = highest.unwrap_or(0).saturating_add(1);
    let certificate = IdentityCertificate {
        number,
        ..certificate
    };
    identity.certificates.push(certificate);
    forget_retired(&mut identity);
    Ok(Made {
        document: identity,
        number,
    })
}

/// A certificate that was brought along, in the stage that it begins in.
pub(super) fn brought(given: Uploaded, stage: Stage, now: Timestamp) -> IdentityCertificate {
    IdentityCertificate {
        number: 0,
        stage,
        times: StageTimes {
            issued_at: Some(now),
            distributed_at: (stage == Stage::Distributed).then_some(now),
            ..StageTimes::default()
        },
        added_at: now,
        key: given.key,
        csr_pem: None,
        issued: Some(given.issued),
    }
}

/// The identity with the answer of the CA for a key that waits for it.
pub(super) fn installed(
    before: Option<&ClientIdentity>,
    number: u32,
    issued: IssuedCertificate,
    now: Timestamp,
) -> Result<Made<ClientIdentity>, ApiError> {
    let others_presented = before.is_some_and(|identity| identity.presentable().next().is_some());
    let stand = Standing {
        successor_seen: false,
        endpoints_on_it: 0,
    };
    changed(before, number, |one| {
        let mut stage = one.stage.after(Step::Install, stand, Force::No)?;
        one.times.issued_at = Some(now);
        // The first one has no receiver that knows another.
        if !others_presented {
            stage = stage.after(Step::Distribute, stand, Force::No)?;
            one.times.distributed_at = Some(now);
        }
        one.stage = stage;
        one.issued = Some(issued);
        Ok(())
    })
}

/// The identity after a step of one certificate.
pub(super) fn stepped(
    before: Option<&ClientIdentity>,
    number: u32,
    step: Step,
    counts: &Counts,
    force: Force,
    now: Timestamp,
) -> Result<Made<ClientIdentity>, ApiError> {
    let seen = |other: &IdentityCertificate| {
        let issued = other.issued.as_ref();
        other.number != number
            && other.stage == Stage::Seen
            && issued.is_some_and(|issued| is_valid(issued, now))
    };
    let standing = Standing {
        successor_seen: before.is_some_and(|identity| identity.certificates.iter().any(seen)),
        endpoints_on_it: counts.get(&number).copied().unwrap_or(0),
    };
    changed(before, number, |one| {
        let stage = one.stage.after(step, standing, force)?;
        match (stage, step) {
            (Stage::Retired, _) => _ = one.times.retired_at.get_or_insert(now),
            (_, Step::Distribute) => _ = one.times.distributed_at.get_or_insert(now),
            _ => {}
        }
        one.stage = stage;
        Ok(())
    })
}

/// The identity that presents this certificate and, should a receiver refuse it, the one that was
/// preferred before, and the newest that was seen at work, for as long as that is valid. All others
/// are retired.
pub(crate) fn presented_alone(
    name: &Name,
    before: Option<&ClientIdentity>,
    given: &Uploaded,
    now: Timestamp,
) -> ClientIdentity {
    let mut identity = before.cloned().unwrap_or_else(|| empty(name));
    let mut presentable = identity.presentable();
    let preferred = presentable
        .next()
        .map(|(one, issued)| (one.number, issued.sha256));
    drop(presentable);
    if preferred.is_some_and(|(_, sha256)| sha256 == given.issued.sha256) {
        return identity;
    }
    let works = |one: &&IdentityCertificate| {
        let issued = one.issued.as_ref();
        one.stage == Stage::Seen && issued.is_some_and(|issued| is_valid(issued, now))
    };
    let seen = identity.certificates.iter().filter(works);
    let kept = [
        preferred.map(|(number, _)| number),
        seen.map(|one| one.number).max(),
    ];
    for one in &mut identity.certificates {
        if !kept.contains(&Some(one.number)) && one.stage != Stage::Retired {
            one.stage = Stage::Retired;
            one.times.retired_at = Some(now);
        }
    }
    let highest = identity.certificates.iter().map(|one| one.number).max();
    let certificate = brought(given.clone(), Stage::Distributed, now);
    identity.certificates.push(IdentityCertificate {
        number: highest.unwrap_or(0).saturating_add(1),
        ..certificate
    });
    forget_retired(&mut identity);
    identity
}

fn is_valid(issued: &IssuedCertificate, now: Timestamp) -> bool {
    issued.not_before <= now && now <= issued.not_after
}

fn changed(
    before: Option<&ClientIdentity>,
    number: u32,
    change: impl FnOnce(&mut IdentityCertificate) -> Result<(), RotationError>,
) -> Result<Made<ClientIdentity>, ApiError> {
    let mut document = before.cloned().ok_or_else(|| ApiError::not_found(WHAT))?;
    let mut certificates = document.certificates.iter_mut();
    let one = certificates.find(|one| one.number == number);
    let one = one.ok_or_else(|| ApiError::not_found("the certificate"))?;
    change(one).map_err(refused)?;
    forget_retired(&mut document);
    Ok(Made { document, number })
}

fn refused(error: RotationError) -> ApiError {
    let code = match error {
        RotationError::Order { .. } => ErrorCode::WrongStage,
        RotationError::SuccessorNotSeen | RotationError::InUse { .. } => ErrorCode::WouldInterrupt,
    };
    ApiError::new(code, error.to_string())
}

/// Drops the oldest of those that were retired, beyond what is kept.
fn forget_retired(identity: &mut ClientIdentity) {
    let retired = |one: &&IdentityCertificate| one.stage == Stage::Retired;
    let mut left = identity.certificates.iter().filter(retired).count();
    identity.certificates.retain(|one| {
        if one.stage != Stage::Retired || left <= RETIRED_MAX {
            return true;
        }
        left -= 1;
        false
    });
}

fn empty(name: &Name) -> ClientIdentity {
    ClientIdentity {
        name: name.clone(),
        version: 0,
        certificates: Vec::new(),
        updated_at: Timestamp::default(),
    }
}

impl ApiContext {
    /// Makes of an identity what `edit` makes of it, which is asked again when somebody else
    /// changed it meanwhile.
    pub(super) async fn edit_identity(
        &self,
        org: OrgId,
        name: &Name,
        request: Option<Idempotency>,
        edit: impl Fn(Option<&ClientIdentity>, &Counts) -> Result<Made<ClientIdentity>, ApiError>
        + Send
        + Sync,
    ) -> Result<Made<ClientIdentity>, ApiError> {
        for _ in 0..TRIES {
            let book = self.book(org).await?;
            let counts = self.engine.store().identity_standing(org, name).await?;
            let before = book.identities.get(name).map(Arc::as_ref);
            let made = edit(before, &counts)?;
            match self.put_identity(org, &made, request).await? {
                Err(ChangeError::Stale) => {}
                Err(error) => return Err(ApiError::change(WHAT, error)),
                Ok(_) => return Ok(made),
            }
        }
        Err(ApiError::change(WHAT, ChangeError::Stale))
    }

    /// Keeps an identity as it was decided on.
    pub(crate) async fn put_identity(
        &self,
        org: OrgId,
        made: &Made<ClientIdentity>,
        request: Option<Idempotency>,
    ) -> Result<Result<i64, ChangeError>, ApiError> {
        let (identity, number) = (made.document.clone(), made.number);
        let now = self.engine.now();
        self.change_organisation(org, move |store| async move {
            match request {
                None => store.put_client_identity(org, identity, now).await,
                Some(request) => {
                    store
                        .put_client_identity_as_asked(org, identity, request, number, now)
                        .await
                }
            }
        })
        .await
    }

    /// Deletes an identity that nothing names.
    pub(crate) async fn delete_identity(&self, org: OrgId, name: Name) -> Result<(), ApiError> {
        let deleted = self.change_organisation(org, move |store| async move {
            store.delete_client_identity(org, &name).await
        });
        deleted
            .await?
            .map_err(|error| ApiError::change(WHAT, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1000);

    fn given(byte: u8) -> Uploaded {
        Uploaded::for_tests(IssuedCertificate {
            chain_der: vec![],
            sha256: [byte; 32],
            subject: String::new(),
            issuer: String::new(),
            not_before: Timestamp::from_millis(0),
            not_after: Timestamp::from_millis(2000),
        })
    }

    fn stages(identity: &ClientIdentity) -> Vec<Stage> {
        identity.certificates.iter().map(|one| one.stage).collect()
    }

    #[test]
    fn what_works_stays_until_its_successor_was_seen() {
        let name = Name::parse("us").unwrap();
        let put = |before: Option<&ClientIdentity>, byte, now| {
            presented_alone(&name, before, &given(byte), now)
        };
        let mut identity = put(None, 1, NOW);
        identity.certificates[0].observe(NOW);
        let expired = identity.clone();
        for byte in [2, 3] {
            identity = put(Some(&identity), byte, NOW);
        }
        use Stage::{Distributed, Retired, Seen};
        assert_eq!(stages(&identity), [Seen, Distributed, Distributed]);
        identity = put(Some(&identity), 4, NOW);
        let unseen = [Seen, Retired, Distributed, Distributed];
        assert_eq!(stages(&identity), unseen);
        identity.certificates[3].observe(NOW);
        identity = put(Some(&identity), 5, NOW);
        let seen = [Retired, Retired, Retired, Seen, Distributed];
        assert_eq!(stages(&identity), seen);

        let later = Timestamp::from_millis(3000);
        identity = put(Some(&expired), 2, NOW);
        identity = put(Some(&identity), 3, later);
        assert_eq!(stages(&identity), [Retired, Distributed, Distributed]);
    }
}
