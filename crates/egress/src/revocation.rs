//! Finds out whether the certificates of a server were revoked, before anything is sent to it.
//!
//! **Invariant:** in hard mode nothing is sent unless all is known to be good or nothing can be
//! known; a revocation that is known stops the sending in soft mode too. What can't be found out is
//! reported as unknown, never as good.

mod fetches;
mod library;
mod limits;
mod shelf;

use std::sync::Arc;
use std::time::Duration;

use hookseal_domain::address_policy::AddressPolicy;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::handshake::{Failed, RevocationFinding, RevocationWord};
use hookseal_domain::transport::policy::RevocationMode;
use hookseal_pki::chain::ObservedChain;
use hookseal_pki::revocation::{self, Inquiry, RevocationStatus, Source, Standing};
use hookseal_pki::trust_anchor::TrustAnchors;
use hookseal_pki::verify::VerifiedChain;
use rustls_pki_types::UnixTime;
use tokio::time::Instant;

use self::library::{Errand, Library};
use self::limits::{FETCH_TIME_MAX, SOFT_WAIT_MAX, URLS_TRIED_MAX};
use self::shelf::Patience;
use crate::fetch::Fetcher;
use crate::limits::REASON_CHARS_MAX;
use crate::proxy::Proxy;
use crate::resolve::Names;

/// Finds out about revocation, for all endpoints together: what one has fetched serves the others.
pub(crate) struct Revocation {
    library: Library,
}

/// What is asked after a handshake.
pub(crate) struct Question<'a> {
    pub(crate) mode: RevocationMode,
    /// What the server sent.
    pub(crate) observed: &'a ObservedChain<'a>,
    /// What of it was verified.
    pub(crate) verified: &'a VerifiedChain,
    /// The sets of roots of which it leads to one.
    pub(crate) roots: &'a [Arc<TrustAnchors>],
    /// The OCSP answer that the server stapled; empty if there was none.
    pub(crate) staple: &'a [u8],
    /// The policy's lists.
    pub(crate) crl_urls: &'a [String],
    /// The policy's proxy.
    pub(crate) proxy: Option<&'a Arc<Proxy>>,
    pub(crate) now: Timestamp,
    /// How long finding out may take.
    pub(crate) within: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) finding: RevocationFinding,
    /// Why nothing may be sent.
    pub(crate) failure: Option<Failed>,
}

/// One question while it is being looked into.
struct Lookup<'a> {
    library: &'a Library,
    question: &'a Question<'a>,
    patience: Patience,
    inquiry: Inquiry,
    /// Why sources that were to be had are not, whatever the others say.
    missing: Vec<String>,
}

// === impl Revocation ===

impl Revocation {
    pub(crate) fn new(names: Arc<Names>, address_policy: AddressPolicy) -> Self {
        Self {
            library: Library::new(Fetcher::new(names, address_policy)),
        }
    }

    /// Finds out whether anything may be sent.
    pub(crate) async fn check(&self, question: &Question<'_>) -> Verdict {
        if question.mode == RevocationMode::Off {
            return Verdict {
                finding: RevocationFinding::default(),
                failure: None,
            };
        }
        let links = question
            .roots
            .iter()
            .find_map(|roots| revocation::links(question.observed, question.verified, roots).ok());
        let Some(links) = links else {
            let why = revocation::LinkError.to_string();
            return Verdict::of_status(RevocationStatus::Unknown { why }, question.mode);
        };
        let mut lookup = Lookup {
            library: &self.library,
            question,
            patience: patience(question),
            inquiry: Inquiry::new(links),
            missing: Vec::new(),
        };
        if let Err(failed) = lookup.judge_staple() {
            return failed.into();
        }
        lookup.recall();
        lookup.read_lists().await;
        lookup.ask_responders().await;
        lookup.conclude()
    }
}

/// A slow source costs a delivery little where what can't be found out is let through.
fn patience(question: &Question<'_>) -> Patience {
    let longest = match question.mode {
        RevocationMode::Hard => FETCH_TIME_MAX,
        RevocationMode::Soft | RevocationMode::Off => SOFT_WAIT_MAX,
    };
    Patience {
        until: Instant::now() + question.within.min(longest),
        fetch_age_max: longest,
    }
}

// === impl Lookup ===

impl Lookup<'_> {
    /// What comes with the handshake is judged first: it costs nothing. A server whose certificate
    /// demands a staple fails without a good one (RFC 7633), and in hard mode one that staples
    /// what proves nothing does, too.
    fn judge_staple(&mut self) -> Result<(), Failed> {
        let must = self
            .inquiry
            .links()
            .first()
            .is_some_and(|link| link.must_be_stapled());
        if self.question.staple.is_empty() {
            return match must {
                true => Err(Failed {
                    failure: TlsFailure::StapleMissing,
                    reason: "the server's certificate demands a stapled OCSP answer (RFC 7633), \
                             and the server sent none"
                        .to_owned(),
                }),
                false => Ok(()),
            };
        }
        let now = unix_time(self.question.now);
        match self.inquiry.hear_staple(self.question.staple, now) {
            Ok(()) => Ok(()),
            Err(error) if must || self.question.mode == RevocationMode::Hard => Err(Failed {
                failure: TlsFailure::StapleInvalid,
                reason: format!("the OCSP answer that the server stapled proves nothing: {error}"),
            }),
            Err(_) => Ok(()),
        }
    }

    /// A revocation that is kept counts whoever says what: an answer from before it is as rightly
    /// signed, and may be shown again for as long as it counts. Nothing is fetched to look for one.
    fn recall(&mut self) {
        let now = unix_time(self.question.now);
        let mut revoked = Vec::new();
        for (place, link) in self.inquiry.links().iter().enumerate() {
            let certificate = link.certificate();
            for url in certificate.crl_urls().iter().take(URLS_TRIED_MAX) {
                let list = self.library.kept_list(self.errand(url), link);
                if let Some(Ok(standing @ Standing::Revoked(_))) =
                    list.map(|list| list.check(link, now))
                {
                    revoked.push((place, standing, Source::Crl(shown(url).to_owned())));
                }
            }
            for url in certificate.ocsp_urls().iter().take(URLS_TRIED_MAX) {
                let answer = self.library.kept_answer(self.errand(url), link);
                if let Some(standing @ Standing::Revoked(_)) = answer.map(|answer| answer.standing)
                {
                    revoked.push((place, standing, Source::Ocsp(shown(url).to_owned())));
                }
            }
        }
        for (place, standing, source) in revoked {
            self.inquiry.hear(place, standing, source);
        }
    }

    /// The lists of the policy are all read; those that certificates name, until one says
    /// something. All that are needed are fetched at the same time.
    async fn read_lists(&mut self) {
        let now = unix_time(self.question.now);
        let given = self.question.crl_urls.iter().map(|url| {
            let links = self.inquiry.links();
            let list = self.library.given_list(self.errand(url), links);
            (url, list)
        });
        let given: Vec<_> = given.collect();
        for round in 0..URLS_TRIED_MAX {
            let mut named = Vec::new();
            for place in self.unsettled() {
                let link = self.inquiry.links().get(place);
                let urls = link.map(|link| link.certificate().crl_urls());
                if let (Some(link), Some(url)) = (link, urls.and_then(|urls| urls.get(round))) {
                    let url = url.clone();
                    let list = self.library.list_of(self.errand(&url), link);
                    named.push((place, url, list));
                }
            }
            for (place, url, list) in named {
                match list.wait(self.patience).await {
                    Ok(list) => {
                        self.inquiry.read_list(place, &list, shown(&url), now);
                    }
                    Err(why) => {
                        let why = format!("the revocation list {}: {why}", shown(&url));
                        self.inquiry.note(place, why);
                    }
                }
            }
        }
        for (url, list) in given {
            match list.wait(self.patience).await {
                Ok(list) => self.inquiry.read_given_list(&list, shown(url), now),
                Err(why) => {
                    let why = format!("the configured revocation list {}: {why}", shown(url));
                    self.missing.push(why);
                }
            }
        }
    }

    /// Responders are asked about what lists don't tell.
    async fn ask_responders(&mut self) {
        for round in 0..URLS_TRIED_MAX {
            let mut asked = Vec::new();
            for place in self.unsettled() {
                let link = self.inquiry.links().get(place);
                let urls = link.map(|link| link.certificate().ocsp_urls());
                if let (Some(link), Some(url)) = (link, urls.and_then(|urls| urls.get(round))) {
                    let url = url.clone();
                    let answer = self.library.answer(self.errand(&url), link);
                    asked.push((place, url, answer));
                }
            }
            for (place, url, answer) in asked {
                match answer.wait(self.patience).await {
                    Ok(answer) => {
                        let source = Source::Ocsp(shown(&url).to_owned());
                        self.inquiry.hear(place, answer.standing, source);
                    }
                    Err(why) => {
                        let why = format!("the OCSP responder {}: {why}", shown(&url));
                        self.inquiry.note(place, why);
                    }
                }
            }
        }
    }

    fn errand<'a>(&'a self, url: &'a str) -> Errand<'a> {
        Errand {
            url,
            proxy: self.question.proxy,
            root: self.inquiry.links().last().map(|last| last.key().1),
            now: self.question.now,
        }
    }

    /// The certificates to ask about; none once one is known to be revoked.
    fn unsettled(&self) -> Vec<usize> {
        match self.inquiry.is_settled() {
            true => Vec::new(),
            false => self.inquiry.open(),
        }
    }

    fn conclude(mut self) -> Verdict {
        let mut status = self.inquiry.status(self.question.crl_urls.len());
        let is_revoked = matches!(status, RevocationStatus::Revoked { .. });
        if !self.missing.is_empty() && !is_revoked {
            if let RevocationStatus::Unknown { why } = status {
                self.missing.push(why);
            }
            let why = self.missing.join("; ");
            status = RevocationStatus::Unknown { why };
        }
        Verdict::of_status(status, self.question.mode)
    }
}

/// A URL for people: what follows its path may be a secret of whoever configured it.
fn shown(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

fn unix_time(now: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(now.since(Timestamp::default()))
}

// === impl Verdict ===

impl Verdict {
    fn of_status(status: RevocationStatus, mode: RevocationMode) -> Self {
        match status {
            RevocationStatus::NotApplicable => Self::passed(RevocationWord::NotApplicable, None),
            RevocationStatus::Good { sources } => {
                let sources: Vec<_> = sources.iter().map(ToString::to_string).collect();
                Self::passed(RevocationWord::Good, Some(sources.join(", ")))
            }
            RevocationStatus::Revoked {
                which,
                subject,
                revoked,
                source,
            } => Failed {
                failure: TlsFailure::PeerRevoked,
                reason: format!("{which} ({subject}) was revoked {revoked}: {source} says so"),
            }
            .into(),
            RevocationStatus::Unknown { why } if mode == RevocationMode::Hard => Failed {
                failure: TlsFailure::RevocationUnknown,
                reason: format!(
                    "it could not be found out whether the server's certificates were revoked: \
                     {why}"
                ),
            }
            .into(),
            RevocationStatus::Unknown { why } => Self::passed(RevocationWord::Unknown, Some(why)),
        }
    }

    fn passed(status: RevocationWord, detail: Option<String>) -> Self {
        Self {
            finding: RevocationFinding {
                status,
                detail: detail.map(shortened),
            },
            failure: None,
        }
    }
}

impl From<Failed> for Verdict {
    fn from(failed: Failed) -> Self {
        let failed = Failed {
            reason: shortened(failed.reason),
            ..failed
        };
        let status = match failed.failure {
            TlsFailure::PeerRevoked => RevocationWord::Revoked,
            _ => RevocationWord::Unknown,
        };
        Self {
            finding: RevocationFinding {
                status,
                detail: Some(failed.reason.clone()),
            },
            failure: Some(failed),
        }
    }
}

/// Certificates' and servers' words may be part of a reason.
fn shortened(reason: String) -> String {
    match reason.char_indices().nth(REASON_CHARS_MAX) {
        Some((end, _)) => reason.get(..end).unwrap_or_default().to_owned(),
        None => reason,
    }
}

#[cfg(test)]
mod tests;
