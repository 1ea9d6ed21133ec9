//! Puts together what several sources say of the certificates of one path.
//!
//! **Invariant:** whoever says that a certificate is revoked wins; a path is good only if no
//! certificate of it is open.

use rustls_pki_types::UnixTime;

use super::crl::{Crl, CrlRefused};
use super::link::Link;
use super::ocsp::{self, OcspError};
use super::{Revoked, Source, Standing};
use crate::verify::Which;

/// What has been found out so far.
#[derive(Debug)]
pub struct Inquiry {
    links: Vec<Link>,
    states: Vec<State>,
}

#[derive(Debug)]
enum State {
    /// Not known, and why the sources that were asked did not help.
    Open(Vec<String>),
    Known(Standing, Source),
}

/// What is known of a path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RevocationStatus {
    /// None of its certificates is revoked; those that name no source at all are not counted.
    Good {
        /// Who said so.
        sources: Vec<Source>,
    },
    /// One is.
    Revoked {
        /// Which.
        which: Which,
        /// Whom it was issued to.
        subject: String,
        /// Since when, and why.
        revoked: Revoked,
        /// Who said so.
        source: Source,
    },
    /// It could not be found out.
    Unknown {
        /// Why, for people.
        why: String,
    },
    /// The certificates name neither lists nor responders, and no list was given.
    NotApplicable,
}

// === impl Inquiry ===

impl Inquiry {
    /// Nothing is known yet.
    pub fn new(links: Vec<Link>) -> Self {
        let states = links.iter().map(|_| State::Open(Vec::new())).collect();
        Self { links, states }
    }

    /// The certificates in question, the server's own first.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The places, in [`Inquiry::links`], of the certificates of which nothing is known.
    pub fn open(&self) -> Vec<usize> {
        let places = self.states.iter().enumerate();
        places
            .filter(|(_, state)| matches!(state, State::Open(_)))
            .map(|(place, _)| place)
            .collect()
    }

    /// Whether one is known to be revoked: no more has to be asked.
    pub fn is_settled(&self) -> bool {
        let revoked = |state: &State| matches!(state, State::Known(Standing::Revoked(_), _));
        self.states.iter().any(revoked)
    }

    /// Takes the OCSP answer that the server stapled for its own certificate.
    pub fn hear_staple(&mut self, staple: &[u8], now: UnixTime) -> Result<(), OcspError> {
        let Some(link) = self.links.first() else {
            return Ok(());
        };
        match ocsp::verify(staple, link, now) {
            Ok(answer) => {
                self.hear(0, answer.standing, Source::Staple);
                Ok(())
            }
            Err(error) => {
                self.note(
                    0,
                    format!("the stapled OCSP answer proves nothing: {error}"),
                );
                Err(error)
            }
        }
    }

    /// Asks a list that was given for no certificate in particular about all of its CA.
    pub fn read_given_list(&mut self, list: &Crl, url: &str, now: UnixTime) {
        for place in 0..self.links.len() {
            if self
                .links
                .get(place)
                .is_some_and(|link| list.is_of_issuer(link))
            {
                self.read_list(place, list, url, now);
            }
        }
    }

    /// Asks the list at `url` about one certificate.
    pub fn read_list(&mut self, place: usize, list: &Crl, url: &str, now: UnixTime) {
        let Some(link) = self.links.get(place) else {
            return;
        };
        match list.check(link, now) {
            Ok(standing) => self.hear(place, standing, Source::Crl(url.to_owned())),
            Err(refused) => self.note_list(place, url, &refused),
        }
    }

    fn note_list(&mut self, place: usize, url: &str, refused: &CrlRefused) {
        self.note(
            place,
            format!("the revocation list {url} proves nothing: {refused}"),
        );
    }

    /// Takes what a source says of one certificate.
    pub fn hear(&mut self, place: usize, standing: Standing, source: Source) {
        if let Some(state) = self.states.get_mut(place) {
            match (&state, standing) {
                (State::Known(..), Standing::Good) => {}
                _ => *state = State::Known(standing, source),
            }
        }
    }

    /// Notes why a source did not help.
    pub fn note(&mut self, place: usize, why: String) {
        if let Some(State::Open(reasons)) = self.states.get_mut(place) {
            reasons.push(why);
        }
    }

    /// What is known of the whole path. `lists_given` is how many lists were given besides those
    /// that the certificates name: with one or more, every certificate has to be covered.
    pub fn status(&self, lists_given: usize) -> RevocationStatus {
        let mut sources = Vec::new();
        let mut open = Vec::new();
        for (link, state) in self.links.iter().zip(&self.states) {
            match state {
                State::Known(Standing::Revoked(revoked), source) => {
                    return RevocationStatus::Revoked {
                        which: link.which(),
                        subject: link.certificate().subject().to_owned(),
                        revoked: *revoked,
                        source: source.clone(),
                    };
                }
                State::Known(Standing::Good, source) if sources.contains(source) => {}
                State::Known(Standing::Good, source) => sources.push(source.clone()),
                State::Open(reasons) => open.extend(gap(link, reasons, lists_given)),
            }
        }
        if !open.is_empty() {
            let why = open.join("; ");
            return RevocationStatus::Unknown { why };
        }
        if sources.is_empty() {
            return RevocationStatus::NotApplicable;
        }
        RevocationStatus::Good { sources }
    }
}

/// Why nothing is known of a certificate, if something could be.
fn gap(link: &Link, reasons: &[String], lists_given: usize) -> Option<String> {
    let certificate = link.certificate();
    let who = format!("{} ({})", link.which(), certificate.subject());
    if !reasons.is_empty() {
        return Some(format!("{who}: {}", reasons.join(", ")));
    }
    let names_none = certificate.crl_urls().is_empty() && certificate.ocsp_urls().is_empty();
    match (names_none, lists_given) {
        (true, 0) => None,
        (true, _) => Some(format!(
            "{who} names neither a revocation list nor an OCSP responder, and no configured list \
             is of its issuer ({})",
            certificate.issuer()
        )),
        (false, _) => Some(format!("{who}: nobody was asked")),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::CertificateParams;

    use super::*;
    use crate::revocation::fixture::{
        Ca, DAY_SECS, List, NOW_SECS, Reply, now, revoked, server, server_with_point, unknown,
    };

    const URL: &str = "http://ca.example/1.crl";

    /// An inquiry about a certificate below an intermediate CA, and the two CAs.
    fn inquiry(leaf: &CertificateParams) -> (Inquiry, Ca, Ca) {
        let root = Ca::root("Root");
        let ca = root.intermediate(Ca::params("Intermediate"));
        let links = root.links(&[ca.issue(leaf), ca.der.clone()]);
        (Inquiry::new(links), root, ca)
    }

    fn list(ca: &Ca, list: &List<'_>) -> Crl {
        Crl::parse(&ca.list(list)).unwrap()
    }

    fn why(status: RevocationStatus) -> String {
        match status {
            RevocationStatus::Unknown { why } => why,
            other => panic!("{other:?}"),
        }
    }

    /// "No OCSP URL" is not a failure, and no list is none either where none was given.
    #[test]
    fn nothing_to_ask() {
        let (inquiry, ..) = inquiry(&server(1));
        assert_eq!(inquiry.status(0), RevocationStatus::NotApplicable);
        let why = why(inquiry.status(1));
        assert!(
            why.contains("no configured list is of its issuer (CN=Intermediate)"),
            "{why}"
        );
        assert!(
            why.contains("no configured list is of its issuer (CN=Root)"),
            "{why}"
        );
    }

    #[test]
    fn what_names_a_source_is_open_until_it_was_asked() {
        let (mut inquiry, _, ca) = inquiry(&server_with_point(1, URL));
        assert_eq!(inquiry.open(), [0, 1]);
        let who = "the server's certificate (CN=server)";
        assert_eq!(why(inquiry.status(0)), format!("{who}: nobody was asked"));
        let stale = List {
            next_update: NOW_SECS,
            ..List::default()
        };
        inquiry.read_list(0, &list(&ca, &stale), URL, now());
        let why = why(inquiry.status(0));
        assert_eq!(
            why,
            format!(
                "{who}: the revocation list {URL} proves nothing: it expired: the next one was due \
                 on 2026-11-23T00:00:00Z, it is 2026-11-23T00:00:00Z now"
            )
        );
        inquiry.read_list(0, &list(&ca, &List::default()), URL, now());
        let sources = vec![Source::Crl(URL.to_owned())];
        assert_eq!(inquiry.status(0), RevocationStatus::Good { sources });
        assert_eq!(inquiry.open(), [1]);
    }

    #[test]
    fn given_lists_have_to_cover_the_whole_path() {
        let (mut inquiry, root, ca) = inquiry(&server(1));
        inquiry.read_given_list(&list(&ca, &List::default()), URL, now());
        assert!(why(inquiry.status(1)).starts_with("an intermediate certificate"));
        inquiry.read_given_list(
            &list(&root, &List::default()),
            "http://root.example/",
            now(),
        );
        let sources = [URL, "http://root.example/"].map(|url| Source::Crl(url.to_owned()));
        let good = RevocationStatus::Good {
            sources: sources.to_vec(),
        };
        assert_eq!(inquiry.status(2), good);
    }

    #[test]
    fn a_staple_answers_for_the_server_only() {
        let (mut inquiry, _, ca) = inquiry(&server(0x2a));
        inquiry
            .hear_staple(&Reply::good(&ca, 0x2a).der(), now())
            .unwrap();
        assert_eq!(inquiry.open(), [1]);
        let sources = vec![Source::Staple];
        assert_eq!(inquiry.status(0), RevocationStatus::Good { sources });
    }

    #[test]
    fn a_staple_that_proves_nothing_leaves_the_question_open() {
        let (mut inquiry, _, ca) = inquiry(&server(0x2a));
        let mut reply = Reply::good(&ca, 0x2a);
        reply.status = unknown();
        let error = inquiry.hear_staple(&reply.der(), now()).unwrap_err();
        assert_eq!(error, OcspError::Unknown);
        assert!(why(inquiry.status(0)).contains("(status unknown)"));
    }

    #[test]
    fn a_revocation_wins_whoever_says_good() {
        let (mut inquiry, _, ca) = inquiry(&server(0x2a));
        inquiry
            .hear_staple(&Reply::good(&ca, 0x2a).der(), now())
            .unwrap();
        assert!(!inquiry.is_settled());
        let listed = List {
            revoked: &[(0x2a, None)],
            ..List::default()
        };
        inquiry.read_given_list(&list(&ca, &listed), URL, now());
        assert!(inquiry.is_settled());
        inquiry.read_list(0, &list(&ca, &List::default()), URL, now());
        let status = RevocationStatus::Revoked {
            which: Which::Server,
            subject: "CN=server".to_owned(),
            revoked: Revoked {
                at: crate::verify::Seconds(NOW_SECS - 2 * DAY_SECS),
                reason: None,
            },
            source: Source::Crl(URL.to_owned()),
        };
        assert_eq!(inquiry.status(0), status);
    }

    #[test]
    fn a_revoked_intermediate_revokes_the_path() {
        let root = Ca::root("Root");
        let mut params = Ca::params("Intermediate");
        params.serial_number = Some(9.into());
        let ca = root.intermediate(params);
        let mut inquiry = Inquiry::new(root.links(&[ca.issue(&server(1)), ca.der.clone()]));
        let listed = List {
            revoked: &[(9, None)],
            ..List::default()
        };
        inquiry.read_list(1, &list(&root, &listed), URL, now());
        let status = inquiry.status(0);
        let RevocationStatus::Revoked { which, .. } = status else {
            panic!("{status:?}")
        };
        assert_eq!(which, Which::Intermediate);
    }

    #[test]
    fn a_responder_s_word_counts_as_a_list_s() {
        let (mut inquiry, _, ca) = inquiry(&server(0x2a));
        let mut reply = Reply::good(&ca, 0x2a);
        reply.status = revoked(NOW_SECS - DAY_SECS, Some(1));
        inquiry.hear_staple(&reply.der(), now()).unwrap();
        let status = inquiry.status(0);
        let RevocationStatus::Revoked { revoked, .. } = status else {
            panic!("{status:?}")
        };
        assert_eq!(
            revoked.to_string(),
            "on 2026-11-22T00:00:00Z (keyCompromise)"
        );
    }
}
