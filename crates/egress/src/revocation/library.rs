//! Where lists and answers come from: URLs that certificates name, and those of the policy.
//!
//! **Invariant:** what is kept was believed when it came, under the key that it was believed for:
//! nobody can spoil it for others by certificates of a CA of their own.

use std::fmt;
use std::sync::Arc;

use hookseal_domain::time::Timestamp;
use hookseal_pki::certificate::{CertificateSha256, SpkiSha256};
use hookseal_pki::revocation::Link;
use hookseal_pki::revocation::crl::{CRL_PEM_BYTES_MAX, Crl};
use hookseal_pki::revocation::ocsp::{self, Answer, REQUEST_MEDIA_TYPE, RESPONSE_BYTES_MAX};
use hookseal_pki::verify::Seconds;

use super::limits::{ANSWERS_MAX, LISTS_BYTES_MAX, LISTS_MAX};
use super::shelf::{Bounds, Fetched, Pending, Shelf, fetches};
use super::unix_time;
use crate::error::reason;
use crate::fetch::{FetchRequest, FetchUrl, Fetcher};

/// Keeps lists and answers.
pub(super) struct Library {
    fetcher: Arc<Fetcher>,
    lists: Shelf<ListKey, Arc<Crl>>,
    answers: Shelf<AnswerKey, Answer>,
}

/// A URL, and the key of the CA, or of the root above it, that the list was believed for.
type ListKey = (String, SpkiSha256);
/// A URL, a certificate and the key of its issuer.
type AnswerKey = (String, CertificateSha256, SpkiSha256);

// === impl Library ===

impl Library {
    pub(super) fn new(fetcher: Fetcher) -> Self {
        let fetches = fetches();
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
    pub(super) fn list_of(&self, url: &str, link: &Link, now: Timestamp) -> Pending<Arc<Crl>> {
        let (_, issuer_key) = link.key();
        let link = link.clone();
        let judge = move |list: &Crl| match list.check(&link, unix_time(now)) {
            Ok(_) => Ok(()),
            Err(refused) => Err(refused.to_string()),
        };
        self.list(url, issuer_key, now, judge)
    }

    /// The list at a URL of the policy. It counts if it says something of those certificates that
    /// its CA issued, though it may have issued none of them.
    pub(super) fn given_list(
        &self,
        url: &str,
        links: &[Link],
        now: Timestamp,
    ) -> Pending<Arc<Crl>> {
        let Some(root_key) = links.last().map(|last| last.key().1) else {
            return Pending::Here(Err("there is no certificate to look for".into()));
        };
        let links = links.to_vec();
        let judge = move |list: &Crl| {
            let current = unix_time(now);
            let mut issued = links.iter().filter(|link| list.is_of_issuer(link));
            let refused = issued.find_map(|link| match list.check(link, current) {
                Err(refused) if !refused.is_out_of_scope() => Some(refused.to_string()),
                _ => None,
            });
            match refused {
                Some(refused) => Err(refused),
                None => Ok(()),
            }
        };
        self.list(url, root_key, now, judge)
    }

    fn list(
        &self,
        url: &str,
        key: SpkiSha256,
        now: Timestamp,
        judge: impl FnOnce(&Crl) -> Result<(), String> + Send + 'static,
    ) -> Pending<Arc<Crl>> {
        let fetch_url = match FetchUrl::parse(url) {
            Ok(fetch_url) => fetch_url,
            Err(error) => return refused(error),
        };
        let fetcher = Arc::clone(&self.fetcher);
        let fetch = async move {
            let request = FetchRequest::Get;
            let fetched = fetcher.fetch(&fetch_url, request, CRL_PEM_BYTES_MAX).await;
            let bytes = fetched.map_err(|error| reason(&error))?;
            let list = Crl::parse(&bytes).map_err(|error| error.to_string())?;
            judge(&list)?;
            let facts = list.facts();
            Ok(Fetched {
                as_of_secs: facts.this_update.0,
                until: timestamp(facts.next_update),
                bytes: list.bytes(),
                value: Arc::new(list),
            })
        };
        self.lists.obtain(&(url.to_owned(), key), now, fetch)
    }

    /// What the responder at a URL answers about a certificate.
    pub(super) fn answer(&self, url: &str, link: &Link, now: Timestamp) -> Pending<Answer> {
        let fetch_url = match FetchUrl::parse(url) {
            Ok(fetch_url) => fetch_url,
            Err(error) => return refused(error),
        };
        let (certificate, issuer_key) = link.key();
        let (fetcher, link) = (Arc::clone(&self.fetcher), link.clone());
        let fetch = async move {
            let body = ocsp::request(&link).map_err(|error| error.to_string())?;
            let request = FetchRequest::Post {
                media_type: REQUEST_MEDIA_TYPE,
                body,
            };
            let fetched = fetcher.fetch(&fetch_url, request, RESPONSE_BYTES_MAX).await;
            let bytes = fetched.map_err(|error| reason(&error))?;
            let answer = ocsp::verify(&bytes, &link, unix_time(now));
            let value = answer.map_err(|error| error.to_string())?;
            Ok(Fetched {
                value,
                as_of_secs: value.this_update.0,
                until: timestamp(value.until),
                bytes: 0,
            })
        };
        let key = (url.to_owned(), certificate, issuer_key);
        self.answers.obtain(&key, now, fetch)
    }
}

fn refused<V>(error: impl fmt::Display) -> Pending<V> {
    Pending::Here(Err(error.to_string().into()))
}

fn timestamp(seconds: Seconds) -> Timestamp {
    Timestamp::from_millis(seconds.0.saturating_mul(1000))
}
