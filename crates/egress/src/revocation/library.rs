//! Where lists and answers come from: URLs that certificates name, and those of the policy.
//!
//! **Invariant:** what is kept was believed when it came, under the key that it was believed for:
//! nobody can spoil it for others by certificates of a CA of their own.

use std::fmt;
use std::sync::Arc;

use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::name::Name;
use hookseal_pki::certificate::{CertificateSha256, SpkiSha256};
use hookseal_pki::revocation::Link;
use hookseal_pki::revocation::crl::{CRL_PEM_BYTES_MAX, Crl};
use hookseal_pki::revocation::ocsp::{self, Answer, REQUEST_MEDIA_TYPE, RESPONSE_BYTES_MAX};
use hookseal_pki::verify::Seconds;
use tokio::task::spawn_blocking;

use super::fetches::{Fetches, Party};
use super::limits::{ANSWERS_MAX, LISTS_BYTES_MAX, LISTS_MAX};
use super::shelf::{Bounds, Cause, Fetched, Pending, Shelf};
use super::unix_time;
use crate::error::reason;
use crate::fetch::{FetchRequest, FetchUrl, Fetcher};
use crate::proxy::Proxy;

/// Keeps lists and answers.
pub(super) struct Library {
    fetcher: Arc<Fetcher>,
    lists: Shelf<ListKey, Arc<Crl>>,
    answers: Shelf<AnswerKey, Answer>,
}

/// How something is fetched.
#[derive(Clone, Copy)]
pub(super) struct Errand<'a> {
    pub(super) url: &'a str,
    /// The policy's proxy: what goes nowhere but through it is not fetched past it.
    pub(super) proxy: Option<&'a Arc<Proxy>>,
    /// The key of the root above the certificates in question.
    pub(super) root: Option<SpkiSha256>,
    pub(super) now: Timestamp,
}

/// Where something was fetched from, and through which proxy.
type Place = (String, Option<Name>);
/// A place, and the key of the CA, or of the root above it, that the list was believed for.
type ListKey = (Place, SpkiSha256);
/// A place, a certificate and the key of its issuer.
type AnswerKey = (Place, CertificateSha256, SpkiSha256);

/// What a list that was not refused proved when it came.
enum Proof {
    /// That a CA of the path in question signed it.
    Signed,
    /// Nothing: whoever is said to have made it is not on the path.
    Nothing,
}

// === impl Library ===

impl Library {
    pub(super) fn new(fetcher: Fetcher) -> Self {
        let fetches = Fetches::new();
        let lists = Bounds {
            values_max: LISTS_MAX,
            bytes_max: LISTS_BYTES_MAX,
        };
        let answers = Bounds {
            values_max: ANSWERS_MAX,
            bytes_max: usize::MAX,
        };
        Self {
            fetcher: Arc::new(fetcher),
            lists: Shelf::new(lists, Arc::clone(&fetches)),
            answers: Shelf::new(answers, fetches),
        }
    }

    /// The list at a URL that a certificate names. It counts if it says something of that one.
    pub(super) fn list_of(&self, errand: Errand<'_>, link: &Link) -> Pending<Arc<Crl>> {
        let (_, issuer_key) = link.key();
        let (link, now) = (link.clone(), unix_time(errand.now));
        let judge = move |list: &Crl| match list.check(&link, now) {
            Ok(_) => Ok(Proof::Signed),
            Err(refused) => Err(refused.to_string()),
        };
        let cause = errand.root.map(Party::Root);
        self.list(errand, issuer_key, cause, judge)
    }

    /// The list at a URL that a certificate names, if it is kept.
    pub(super) fn kept_list(&self, errand: Errand<'_>, link: &Link) -> Option<Arc<Crl>> {
        let key = (errand.place(), link.key().1);
        let is_kept = self.lists.keeps(&key, errand.now);
        // Taken as always, so that it is fetched again when it grows old.
        let list = is_kept.then(|| self.list_of(errand, link))?;
        list.here()
    }

    /// The list at a URL of the policy. It counts if it says something of those certificates that
    /// its CA issued, though it may have issued none of them: then its signature can't be checked,
    /// and it is not kept.
    pub(super) fn given_list(&self, errand: Errand<'_>, links: &[Link]) -> Pending<Arc<Crl>> {
        let Some(root_key) = links.last().map(|last| last.key().1) else {
            return Pending::Here(Err("there is no certificate to look for".into()));
        };
        let (links, now) = (links.to_vec(), unix_time(errand.now));
        let judge = move |list: &Crl| {
            let mut proof = Proof::Nothing;
            for link in links.iter().filter(|link| list.is_of_issuer(link)) {
                match list.check(link, now) {
                    Err(refused) if !refused.is_out_of_scope() => return Err(refused.to_string()),
                    _ => proof = Proof::Signed,
                }
            }
            Ok(proof)
        };
        self.list(errand, root_key, Some(Party::Policies), judge)
    }

    fn list(
        &self,
        errand: Errand<'_>,
        key: SpkiSha256,
        cause: Option<Party>,
        judge: impl FnOnce(&Crl) -> Result<Proof, String> + Send + 'static,
    ) -> Pending<Arc<Crl>> {
        let url = match FetchUrl::parse(errand.url) {
            Ok(url) => url,
            Err(error) => return refused(error),
        };
        let cause = errand.cause(&url, cause);
        let (fetcher, proxy) = (Arc::clone(&self.fetcher), errand.proxy.cloned());
        let fetch = async move {
            let (proxy, request) = (proxy.as_deref(), FetchRequest::Get);
            let fetched = fetcher.fetch(&url, proxy, request, CRL_PEM_BYTES_MAX);
            let bytes = fetched.await.map_err(|error| reason(&error))?;
            // A long list takes longer to read and to hash than others should wait for this thread.
            let reading = spawn_blocking(move || {
                let list = Crl::parse(&bytes).map_err(|error| error.to_string())?;
                judge(&list).map(|proof| (list, proof))
            });
            let (list, proof) = reading.await.map_err(|error| error.to_string())??;
            let facts = list.facts();
            Ok(Fetched {
                as_of_secs: facts.this_update.0,
                until: match proof {
                    Proof::Signed => Some(timestamp(facts.next_update)),
                    Proof::Nothing => None,
                },
                bytes: list.bytes(),
                value: Arc::new(list),
            })
        };
        let key = (errand.place(), key);
        self.lists.obtain(&key, errand.now, cause, fetch)
    }

    /// What the responder at a URL has answered about a certificate, if it is kept.
    pub(super) fn kept_answer(&self, errand: Errand<'_>, link: &Link) -> Option<Answer> {
        let (certificate, issuer_key) = link.key();
        let key = (errand.place(), certificate, issuer_key);
        let is_kept = self.answers.keeps(&key, errand.now);
        let answer = is_kept.then(|| self.answer(errand, link))?;
        answer.here()
    }

    /// What the responder at a URL answers about a certificate.
    pub(super) fn answer(&self, errand: Errand<'_>, link: &Link) -> Pending<Answer> {
        let url = match FetchUrl::parse(errand.url) {
            Ok(url) => url,
            Err(error) => return refused(error),
        };
        let (certificate, issuer_key) = link.key();
        let cause = errand.cause(&url, errand.root.map(Party::Root));
        let (fetcher, proxy) = (Arc::clone(&self.fetcher), errand.proxy.cloned());
        let (link, now) = (link.clone(), unix_time(errand.now));
        let fetch = async move {
            let body = ocsp::request(&link).map_err(|error| error.to_string())?;
            let request = FetchRequest::Post {
                media_type: REQUEST_MEDIA_TYPE,
                body,
            };
            let fetched = fetcher.fetch(&url, proxy.as_deref(), request, RESPONSE_BYTES_MAX);
            let bytes = fetched.await.map_err(|error| reason(&error))?;
            let answer = ocsp::verify(&bytes, &link, now);
            let value = answer.map_err(|error| error.to_string())?;
            Ok(Fetched {
                value,
                as_of_secs: value.this_update.0,
                until: Some(timestamp(value.until)),
                bytes: 0,
            })
        };
        let key = (errand.place(), certificate, issuer_key);
        self.answers.obtain(&key, errand.now, cause, fetch)
    }
}

// === impl Errand ===

impl Errand<'_> {
    fn place(&self) -> Place {
        let proxy = self.proxy.map(|proxy| proxy.name.clone());
        (self.url.to_owned(), proxy)
    }

    fn cause(&self, url: &FetchUrl, cause: Option<Party>) -> Cause {
        let host = Party::Host(url.host_text());
        Cause {
            parties: [host].into_iter().chain(cause).collect(),
            root: self.root,
        }
    }
}

fn refused<V>(error: impl fmt::Display) -> Pending<V> {
    Pending::Here(Err(error.to_string().into()))
}

fn timestamp(seconds: Seconds) -> Timestamp {
    Timestamp::from_millis(seconds.0.saturating_mul(1000))
}
