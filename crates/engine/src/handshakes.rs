//! What the latest handshakes showed, by endpoint: for metrics, the log and the store.
//!
//! **Invariant:** bounded, and never in the way of a delivery: what the store does not take is
//! offered again later, and what does not fit is dropped.

use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tracing::{debug, error, info, warn};

use hookseal_domain::id::EndpointId;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::handshake::HandshakeReport;
use hookseal_domain::transport::pin::{PinSet, PinWarning};
use hookseal_domain::transport::policy::Pinning;
use hookseal_store::transport::SeenHandshake;

use crate::shared::Shared;

/// Most endpoints that are kept in mind, a few kilobytes each; the one that was quiet for longest
/// is forgotten first.
const ENDPOINTS_MAX: usize = 10_000;
/// Most different results of one endpoint that wait to be written: servers behind one name can
/// differ, and each second they are written anew.
const UNWRITTEN_PER_ENDPOINT_MAX: usize = 4;
/// How often what changed is written.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// How long to leave the store alone when it refused.
const WRITE_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Most handshakes in one write.
const WRITE_MAX: usize = 500;
/// How often a result that stays the same is written.
const SAME_EVERY: Duration = Duration::from_secs(5 * 60);

/// What the latest handshakes showed.
#[derive(Default)]
pub(crate) struct Handshakes {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    latest: HashMap<EndpointId, Latest>,
    /// Endpoints in the order of their latest handshakes.
    order: BTreeMap<u64, EndpointId>,
    seen: u64,
    unwritten: HashMap<EndpointId, Vec<SeenHandshake>>,
}

/// What is known of one endpoint.
struct Latest {
    place: u64,
    report: HandshakeReport,
    expiry: Expiry,
    /// What its pins deserve to be told since the latest good handshake.
    warnings: Vec<PinWarning>,
    /// When it was last given to be written; `None` if there was no room for it.
    noted_at: Option<Timestamp>,
}

/// When the certificates of an endpoint's connections end, as far as any handshake showed them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Expiry {
    /// The receiver's own.
    pub(crate) peer: Option<Timestamp>,
    /// The one that we presented.
    pub(crate) ours: Option<Timestamp>,
}

/// What a handshake changed.
#[derive(Debug, Eq, PartialEq)]
struct Taken {
    news: News,
    /// Warnings that were not there before.
    began: Vec<PinWarning>,
    /// Warnings that are over.
    ended: Vec<PinWarning>,
}

/// Whether a handshake came to what the one before it came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum News {
    /// Nothing new in one word.
    Same,
    /// The first one, and good.
    First,
    /// It failed, which the one before did not, or for another reason.
    Failed,
    /// It is good, which the one before was not.
    Mended,
}

// === impl Handshakes ===

impl Handshakes {
    /// Takes note of a handshake with an endpoint that has these pins, and says in the log what is
    /// new about it.
    pub(crate) fn saw(&self, seen: SeenHandshake, pins: &PinSet) {
        let taken = self.known.lock().take(&seen, pins);
        say(&seen, taken.news);
        say_warnings(seen.endpoint, &taken);
    }

    /// Forgets an endpoint that is gone.
    pub(crate) fn forget(&self, endpoint: EndpointId) {
        let mut known = self.known.lock();
        known.unwritten.remove(&endpoint);
        if let Some(latest) = known.latest.remove(&endpoint) {
            known.order.remove(&latest.place);
        }
    }

    /// When the certificates of each endpoint end.
    pub(crate) fn expiries(&self) -> Vec<(EndpointId, Expiry)> {
        let known = self.known.lock();
        let all = known.latest.iter();
        all.map(|(endpoint, latest)| (*endpoint, latest.expiry))
            .collect()
    }

    /// How many of the endpoints that are kept in mind have each warning now.
    pub(crate) fn pin_warnings(&self) -> [(PinWarning, usize); 4] {
        let known = self.known.lock();
        PinWarning::ALL.map(|warning| {
            let all = known.latest.values();
            let having = all.filter(|latest| latest.warnings.contains(&warning));
            (warning, having.count())
        })
    }

    fn take_unwritten(&self) -> Vec<SeenHandshake> {
        let unwritten = mem::take(&mut self.known.lock().unwritten);
        unwritten.into_values().flatten().collect()
    }

    /// Takes back what the store did not take, unless there is newer by now.
    fn put_back(&self, refused: Vec<SeenHandshake>) {
        let mut known = self.known.lock();
        for seen in refused {
            let newer = known.unwritten.get(&seen.endpoint);
            let superseded = newer.is_some_and(|newer| {
                newer.len() >= UNWRITTEN_PER_ENDPOINT_MAX
                    || newer
                        .iter()
                        .any(|one| one.report.came_to_the_same(&seen.report))
            });
            if !superseded {
                known.offer(seen, Place::First);
            }
        }
    }
}

/// Where among the unwritten.
enum Place {
    First,
    Last,
}

// === impl Known ===

impl Known {
    fn take(&mut self, seen: &SeenHandshake, pins: &PinSet) -> Taken {
        let report = &seen.report;
        self.seen += 1;
        let place = self.seen;
        let before = self.latest.remove(&seen.endpoint);
        if let Some(before) = &before {
            self.order.remove(&before.place);
        }
        let same = before
            .as_ref()
            .filter(|before| before.report.came_to_the_same(report));
        let noted_at = same.and_then(|before| before.noted_at);
        let noted_at = match noted_at {
            Some(noted_at) if report.at.since(noted_at) < SAME_EVERY => Some(noted_at),
            _ => self.offer(seen.clone(), Place::Last).then_some(report.at),
        };
        let was = before.as_ref().map_or(&[][..], |before| &before.warnings);
        let warnings = warnings_after(report, pins, was);
        let taken = Taken {
            news: News::of(before.as_ref().map(|before| &before.report), report),
            began: only_in(&warnings, was),
            ended: only_in(was, &warnings),
        };
        let latest = Latest {
            place,
            warnings,
            expiry: Expiry::of(report, before.as_ref().map(|before| before.expiry)),
            report: report.clone(),
            noted_at,
        };
        self.latest.insert(seen.endpoint, latest);
        self.order.insert(place, seen.endpoint);
        if self.latest.len() > ENDPOINTS_MAX
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.latest.remove(&oldest);
        }
        taken
    }

    /// Keeps a handshake to be written; the latest of those that came to the same. Tells whether
    /// there was room.
    fn offer(&mut self, seen: SeenHandshake, place: Place) -> bool {
        if self.unwritten.len() >= ENDPOINTS_MAX && !self.unwritten.contains_key(&seen.endpoint) {
            return false;
        }
        let waiting = self.unwritten.entry(seen.endpoint).or_default();
        waiting.retain(|one| !one.report.came_to_the_same(&seen.report));
        match place {
            Place::First => waiting.insert(0, seen),
            Place::Last => waiting.push(seen),
        }
        if waiting.len() > UNWRITTEN_PER_ENDPOINT_MAX {
            waiting.remove(0);
        }
        true
    }
}

// === impl Expiry ===

impl Expiry {
    /// What a handshake shows, whether it is good or not; what it does not show is as it was.
    fn of(report: &HandshakeReport, before: Option<Self>) -> Self {
        let before = before.unwrap_or_default();
        let leaf = report.observed.first().and_then(|leaf| leaf.not_after);
        let presented = report.client.presented.as_ref();
        // A session without a question, or a question without an answer, ends what was known.
        let decided = report.failure.is_none() || report.client.requested;
        Self {
            peer: leaf.or(before.peer),
            ours: match presented {
                Some(presented) => Some(presented.not_after),
                None if decided => None,
                None => before.ours,
            },
        }
    }
}

// === impl News ===

impl News {
    fn of(before: Option<&HandshakeReport>, report: &HandshakeReport) -> Self {
        match (before, &report.failure) {
            (Some(before), _) if before.result() == report.result() => Self::Same,
            (_, Some(_)) => Self::Failed,
            (Some(_), None) => Self::Mended,
            (None, None) => Self::First,
        }
    }
}

/// What pins deserve to be told: a failed handshake shows nothing new of them.
fn warnings_after(
    report: &HandshakeReport,
    pins: &PinSet,
    before: &[PinWarning],
) -> Vec<PinWarning> {
    if report.failure.is_some() {
        return before.to_vec();
    }
    match report.pins.pinning {
        Pinning::Off => Vec::new(),
        Pinning::Report | Pinning::Enforce => pins.warnings(&report.verified_keys()),
    }
}

fn only_in(some: &[PinWarning], others: &[PinWarning]) -> Vec<PinWarning> {
    let only = some.iter().filter(|one| !others.contains(one));
    only.copied().collect()
}

fn say_warnings(endpoint: EndpointId, taken: &Taken) {
    for warning in &taken.began {
        warn!(
            endpoint.id = %endpoint,
            warning = warning.as_str(),
            advice = warning.advice(),
            "The pins of endpoint {endpoint} need attention: {}. {}",
            warning.as_str(), warning.advice()
        );
    }
    for warning in &taken.ended {
        info!(
            endpoint.id = %endpoint,
            warning = warning.as_str(),
            "The warning {} about the pins of endpoint {endpoint} is over", warning.as_str()
        );
    }
}

fn say(seen: &SeenHandshake, news: News) {
    let endpoint = seen.endpoint;
    match (news, &seen.report.failure) {
        (News::Failed, Some(failed)) => warn!(
            endpoint.id = %endpoint,
            failure = failed.failure.as_str(),
            "The TLS handshake with endpoint {endpoint} failed: {}",
            failed.reason
        ),
        (News::Mended, _) => info!(
            endpoint.id = %endpoint,
            "The TLS handshake with endpoint {endpoint} succeeds again"
        ),
        _ => debug!(
            endpoint.id = %endpoint,
            result = seen.report.result(),
            "Made a TLS handshake with endpoint {endpoint}: {}", seen.report.result()
        ),
    }
}

/// Writes down what changed, once a second.
pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        let wait = if write(&shared).await {
            WRITE_EVERY
        } else {
            WRITE_AGAIN_AFTER
        };
        let next = shared.clock.now().plus(wait);
        shared.clock.sleep_until(next).await;
    }
}

/// Writes down what is not written yet; tells whether the store took it.
pub(crate) async fn write(shared: &Shared) -> bool {
    let mut unwritten = shared.handshakes.take_unwritten();
    while !unwritten.is_empty() {
        let rest = unwritten.split_off(unwritten.len().min(WRITE_MAX));
        if let Err(error) = shared.store.record_handshakes(unwritten.clone()).await {
            error!(error = %error, "Could not keep what TLS handshakes showed; trying again");
            unwritten.extend(rest);
            shared.handshakes.put_back(unwritten);
            return false;
        }
        unwritten = rest;
    }
    true
}

#[cfg(test)]
mod tests {
    use hookseal_domain::id::{AppId, OrgId};
    use hookseal_domain::transport::failure::TlsFailure;
    use hookseal_domain::transport::handshake::{
        ClientCertificate, Failed, PinVerdict, RevocationFinding, SeenCertificate,
    };
    use hookseal_domain::transport::pin::{Pin, PinState};
    use hookseal_pki::certificate::SpkiSha256;

    use super::*;

    fn seen(endpoint: i64, at_secs: i64, failure: Option<TlsFailure>) -> SeenHandshake {
        SeenHandshake {
            org: OrgId::parse("org_23rb8YdGqMT0qIzpgGwdXfHirMu").unwrap(),
            app: AppId::from_raw(1),
            endpoint: EndpointId::from_raw(endpoint),
            report: HandshakeReport {
                at: Timestamp::from_millis(at_secs * 1000),
                duration_ms: 1,
                failure: failure.map(|failure| Failed {
                    failure,
                    reason: "because".to_owned(),
                }),
                remote_ip: None,
                proxy: None,
                tls: None,
                observed: Vec::new(),
                verified: Vec::new(),
                pins: PinVerdict::default(),
                client: ClientCertificate::default(),
                revocation: RevocationFinding::default(),
            },
        }
    }

    /// When each of what is to be written was, oldest first.
    fn unwritten(handshakes: &Handshakes) -> Vec<i64> {
        let all = handshakes.take_unwritten();
        let mut at: Vec<_> = all.iter().map(|seen| seen.report.at.as_secs()).collect();
        at.sort_unstable();
        at
    }

    #[test]
    fn what_stays_the_same_is_written_every_five_minutes() {
        let handshakes = Handshakes::default();
        for at in [0, 1, 299] {
            handshakes.saw(seen(1, at, None), &PinSet::default());
        }
        assert_eq!(unwritten(&handshakes), [0]);
        handshakes.saw(seen(1, 300, None), &PinSet::default());
        handshakes.saw(seen(1, 301, None), &PinSet::default());
        handshakes.saw(
            seen(1, 302, Some(TlsFailure::PeerExpired)),
            &PinSet::default(),
        );
        handshakes.saw(seen(1, 303, None), &PinSet::default());
        // The latest good one, and the failure between.
        assert_eq!(unwritten(&handshakes), [302, 303]);
    }

    #[test]
    fn an_endpoint_never_waits_with_more_than_a_few() {
        let handshakes = Handshakes::default();
        for (at, failure) in (0..).zip(TlsFailure::ALL) {
            handshakes.saw(seen(1, at, Some(*failure)), &PinSet::default());
        }
        assert_eq!(unwritten(&handshakes).len(), UNWRITTEN_PER_ENDPOINT_MAX);
    }

    #[test]
    fn what_was_refused_comes_back_unless_there_is_newer() {
        let handshakes = Handshakes::default();
        handshakes.saw(seen(1, 0, None), &PinSet::default());
        handshakes.saw(seen(2, 0, None), &PinSet::default());
        let refused = handshakes.take_unwritten();
        handshakes.saw(
            seen(2, 1, Some(TlsFailure::PeerExpired)),
            &PinSet::default(),
        );
        handshakes.saw(seen(2, 2, None), &PinSet::default());
        handshakes.put_back(refused);
        assert_eq!(unwritten(&handshakes), [0, 1, 2]);
    }

    #[test]
    fn the_endpoint_that_was_quiet_for_longest_is_forgotten() {
        let handshakes = Handshakes::default();
        let max = i64::try_from(ENDPOINTS_MAX).unwrap();
        for endpoint in 0..max {
            handshakes.saw(seen(endpoint, 0, None), &PinSet::default());
        }
        handshakes.saw(seen(0, 1, None), &PinSet::default());
        handshakes.saw(seen(max, 1, None), &PinSet::default());
        let known: Vec<_> = handshakes
            .expiries()
            .into_iter()
            .map(|(id, _)| id)
            .collect();
        assert_eq!(known.len(), ENDPOINTS_MAX);
        assert!(known.contains(&EndpointId::from_raw(0)));
        assert!(!known.contains(&EndpointId::from_raw(1)));
        handshakes.forget(EndpointId::from_raw(0));
        assert_eq!(handshakes.expiries().len(), ENDPOINTS_MAX - 1);
    }

    #[test]
    fn what_found_no_room_is_offered_again_with_the_next() {
        let handshakes = Handshakes::default();
        let max = i64::try_from(ENDPOINTS_MAX).unwrap();
        for endpoint in 0..=max {
            handshakes.saw(seen(endpoint, 0, None), &PinSet::default());
        }
        assert_eq!(unwritten(&handshakes).len(), ENDPOINTS_MAX);
        handshakes.saw(seen(max, 1, None), &PinSet::default());
        assert_eq!(unwritten(&handshakes), [1]);
        handshakes.saw(seen(max, 2, None), &PinSet::default());
        assert_eq!(unwritten(&handshakes), Vec::<i64>::new(), "now it is");
    }

    #[test]
    fn results_are_news_when_they_change() {
        let handshakes = Handshakes::default();
        let news = |failure| {
            let seen = seen(1, 0, failure);
            handshakes.known.lock().take(&seen, &PinSet::default()).news
        };
        assert_eq!(news(None), News::First);
        assert_eq!(news(None), News::Same);
        assert_eq!(news(Some(TlsFailure::PeerExpired)), News::Failed);
        assert_eq!(news(Some(TlsFailure::PeerExpired)), News::Same);
        assert_eq!(news(Some(TlsFailure::PeerRevoked)), News::Failed);
        assert_eq!(news(None), News::Mended);
    }

    #[test]
    fn warnings_are_told_when_they_begin_and_when_they_end() {
        let handshakes = Handshakes::default();
        let pins = |states: &[PinState]| {
            let pin = |(key, state): (u8, &PinState)| Pin {
                key: SpkiSha256::from_bytes([key; 32]),
                state: *state,
                note: String::new(),
                added_at: Timestamp::from_millis(0),
                first_seen_at: None,
                last_seen_at: None,
            };
            PinSet::from_stored((0..).zip(states).map(pin).collect())
        };
        let take = |pinning, failure, pins: &PinSet| {
            let mut seen = seen(1, 0, failure);
            seen.report.pins.pinning = pinning;
            seen.report.verified = vec![SeenCertificate {
                subject: String::new(),
                issuer: String::new(),
                spki_sha256: SpkiSha256::from_bytes([0; 32]),
                sha256: None,
                not_before: None,
                not_after: None,
            }];
            let taken = handshakes.known.lock().take(&seen, pins);
            (taken.began, taken.ended)
        };
        let nothing = (vec![], vec![]);
        let (staged, alone) = (PinWarning::LiveKeyIsStaged, PinWarning::NoBackup);
        let before = pins(&[PinState::Staged]);
        let began = take(Pinning::Report, None, &before);
        assert_eq!(began, (vec![alone, staged], vec![]));
        assert_eq!(take(Pinning::Report, None, &before), nothing, "told once");
        let after = pins(&[PinState::Active, PinState::Staged]);
        let failure = Some(TlsFailure::PeerExpired);
        let failed = take(Pinning::Enforce, failure, &after);
        assert_eq!(failed, nothing, "it proves nothing");
        let count = |of| {
            let all = handshakes.pin_warnings();
            all.iter().find(|(one, _)| *one == of).unwrap().1
        };
        assert_eq!((count(alone), count(staged)), (1, 1));
        let ended = take(Pinning::Enforce, None, &after);
        assert_eq!(ended, (vec![], vec![alone, staged]));
        take(Pinning::Report, None, &before);
        let off = take(Pinning::Off, None, &before);
        assert_eq!(off, (vec![], vec![alone, staged]), "nobody looks at them");
        take(Pinning::Report, None, &before);
        handshakes.forget(EndpointId::from_raw(1));
        assert_eq!((count(alone), count(staged)), (0, 0));
    }
}
