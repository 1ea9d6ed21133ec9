//! Which certificates a revocation list covers (RFC 5280 §5.2.5).

use crate::der::{self, BadDer, Reader};
use crate::revocation::link::Link;
use crate::verify::Which;

/// Longest list of names that is kept of one list: real ones have one or two.
const NAMES_MAX: usize = 16;

/// distributionPoint, onlyContainsUserCerts and onlyContainsCACerts.
const DISTRIBUTION_POINT: u8 = der::context_constructed(0);
const ONLY_USERS: u8 = der::context(1);
const ONLY_CAS: u8 = der::context(2);
/// uniformResourceIdentifier (RFC 5280 §4.2.1.6).
const URI: u8 = der::context(6);

/// Which certificates of its issuer a list covers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Scope {
    /// The URIs that certificates name this list by; `None` if it covers all of them.
    uris: Option<Vec<String>>,
    whose: Whose,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Whose {
    Everybody,
    Users,
    Cas,
    Nobody,
}

/// A list is of the right CA, but of others of its certificates.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OutOfScope {
    /// The certificate names another part of the CA's list.
    #[error(
        "its issuing distribution point is none of the distribution points that the certificate \
         names (RFC 5280 §5.2.5)"
    )]
    OtherPart,
    /// It lists certificates of CAs only, or of others only.
    #[error("it covers {covered} only")]
    OtherKind {
        /// Whose certificates it lists.
        covered: &'static str,
    },
}

impl Scope {
    pub(super) fn everything() -> Self {
        Self {
            uris: None,
            whose: Whose::Everybody,
        }
    }

    /// Reads an issuing distribution point, which the library has found to have a full name and
    /// none of the features that it does not know.
    pub(super) fn read(extension: &[u8]) -> Result<Self, BadDer> {
        let mut point = Reader::new(extension).enter(der::SEQUENCE)?;
        let mut scope = Self {
            uris: Some(Vec::new()),
            whose: Whose::Everybody,
        };
        let (mut users, mut cas) = (false, false);
        while let Some(tag) = point.peek() {
            match (tag, point.take(tag)?) {
                (DISTRIBUTION_POINT, name) => scope.uris = Some(uris(name)?),
                (ONLY_USERS, value) => users = flag(value)?,
                (ONLY_CAS, value) => cas = flag(value)?,
                _ => {}
            }
        }
        scope.whose = match (users, cas) {
            (false, false) => Whose::Everybody,
            (true, false) => Whose::Users,
            (false, true) => Whose::Cas,
            (true, true) => Whose::Nobody,
        };
        Ok(scope)
    }

    /// Whether the list covers a certificate. One that names no distribution points can't say that
    /// it belongs elsewhere.
    pub(super) fn covers(&self, link: &Link) -> Result<(), OutOfScope> {
        let other = |covered| Err(OutOfScope::OtherKind { covered });
        match (self.whose, link.which()) {
            (Whose::Users, Which::Intermediate) => return other("the certificates of non-CAs"),
            (Whose::Cas, Which::Server) => return other("the certificates of CAs"),
            (Whose::Nobody, _) => return other("the certificates of nobody"),
            _ => {}
        }
        match (&self.uris, &link.points) {
            (Some(ours), Some(theirs)) if !theirs.iter().any(|uri| ours.contains(uri)) => {
                Err(OutOfScope::OtherPart)
            }
            _ => Ok(()),
        }
    }
}

/// The contents of a `BOOLEAN DEFAULT FALSE`.
fn flag(value: &[u8]) -> Result<bool, BadDer> {
    match value {
        [0] => Ok(false),
        [0xff] => Ok(true),
        _ => Err(BadDer),
    }
}

/// The URIs among the full name's GeneralNames.
fn uris(name: &[u8]) -> Result<Vec<String>, BadDer> {
    let mut names = Reader::new(name).enter(der::context_constructed(0))?;
    let mut uris = Vec::new();
    while let Some(tag) = names.peek() {
        if uris.len() == NAMES_MAX {
            return Err(BadDer);
        }
        let name = names.take(tag)?;
        if tag == URI {
            uris.push(str::from_utf8(name).map_err(|_| BadDer)?.to_owned());
        }
    }
    Ok(uris)
}
