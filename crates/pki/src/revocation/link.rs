//! One certificate of a verified path with the one who issued it: what revocation is asked of.
//!
//! **Invariant:** made of a [`VerifiedChain`] only, so that issuer and certificate belong
//! together by signature, not by name.

use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer, TrustAnchor};
use webpki::EndEntityCert;
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension};
use x509_parser::oid_registry::OID_X509_EXT_CRL_DISTRIBUTION_POINTS;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

use crate::certificate::{
    Certificate, CertificateSha256, SpkiSha256, Stapling, distinguished_name, parse_x509,
};
use crate::chain::ObservedChain;
use crate::der::{self, Reader, SEQUENCE};
use crate::trust_anchor::TrustAnchors;
use crate::verify::{VerifiedChain, Which};

/// One certificate of a verified path with the one who issued it.
#[derive(Clone, Debug)]
pub struct Link {
    which: Which,
    facts: Certificate,
    /// The contents of the serial number's INTEGER.
    pub(super) serial: Vec<u8>,
    /// Where its issuer publishes lists that cover it for every reason, by its own word: the
    /// distribution points that an issuing distribution point may match. `None` if it does not say.
    pub(super) points: Option<Vec<String>>,
    pub(super) issuer: Issuer,
}

/// The one who issued a certificate.
#[derive(Clone, Debug)]
pub(super) struct Issuer {
    /// The contents of its Name, without tag and length.
    pub(super) name: Vec<u8>,
    pub(super) key: SubjectPublicKeyInfoDer<'static>,
    pub(super) key_sha256: SpkiSha256,
    /// Whether its key may sign revocation lists (RFC 5280 §4.2.1.3).
    pub(super) may_sign_lists: bool,
}

/// The path is not one of these certificates.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the verified path can't be put together from the certificates at hand")]
pub struct LinkError;

/// The certificates of a verified path, the server's own first. The root is not among them: nobody
/// can revoke it but those who trust it.
pub fn links(
    observed: &ObservedChain<'_>,
    verified: &VerifiedChain,
    anchors: &TrustAnchors,
) -> Result<Vec<Link>, LinkError> {
    let on_path: Vec<_> = verified
        .path()
        .iter()
        .rev()
        .skip(1)
        .rev()
        .map(|on_path| on_path.sha256().and_then(|sha256| find(observed, sha256)))
        .collect::<Option<_>>()
        .ok_or(LinkError)?;
    let issuers = on_path
        .iter()
        .skip(1)
        .map(|der| Issuer::of_certificate(der));
    let last = on_path.last().ok_or(LinkError)?;
    let anchor = Issuer::of_anchor(last, verified.anchor().spki_sha256(), anchors);
    on_path
        .iter()
        .zip(issuers.chain([anchor]))
        .enumerate()
        .map(|(place, (certificate, issuer))| {
            Link::new(Which::by(place == 0), certificate, issuer?)
        })
        .collect()
}

fn find<'a>(
    observed: &ObservedChain<'a>,
    sha256: CertificateSha256,
) -> Option<&'a CertificateDer<'a>> {
    [observed.leaf()]
        .into_iter()
        .chain(observed.intermediates())
        .find(|der| CertificateSha256::of_der(der) == sha256)
}

// === impl Link ===

impl Link {
    fn new(
        which: Which,
        certificate: &CertificateDer<'_>,
        issuer: Issuer,
    ) -> Result<Self, LinkError> {
        let raw = EndEntityCert::try_from(certificate).map_err(|_| LinkError)?;
        let parsed = parse_x509(certificate).map_err(|_| LinkError)?;
        if raw.issuer() != issuer.name {
            return Err(LinkError);
        }
        Ok(Self {
            which,
            facts: Certificate::of(&parsed),
            serial: raw.serial().to_vec(),
            points: points(&parsed),
            issuer,
        })
    }

    /// Which of the path it is.
    pub fn which(&self) -> Which {
        self.which
    }

    /// Its facts: whom it was issued to, where its lists and responders are.
    pub fn certificate(&self) -> &Certificate {
        &self.facts
    }

    /// Whether a status has to be stapled for it (RFC 7633). What an intermediate certificate says
    /// of that binds its CA, not this handshake.
    pub fn must_be_stapled(&self) -> bool {
        self.which == Which::Server && self.facts.stapling() == Stapling::Must
    }

    /// Names it and its issuer's key: answers about it are kept under this.
    pub fn key(&self) -> (CertificateSha256, SpkiSha256) {
        (self.facts.sha256(), self.issuer.key_sha256)
    }
}

/// The URIs of the distribution points that stand for all reasons and whose lists the issuer signs
/// itself: the others belong to lists that we don't read.
fn points(certificate: &X509Certificate<'_>) -> Option<Vec<String>> {
    let extension = certificate
        .extensions()
        .iter()
        .find(|extension| extension.oid == OID_X509_EXT_CRL_DISTRIBUTION_POINTS)?;
    let points = match extension.parsed_extension() {
        ParsedExtension::CRLDistributionPoints(points) => points.points.as_slice(),
        // What can't be read matches nothing.
        _ => &[],
    };
    let names = points
        .iter()
        .filter(|point| point.reasons.is_none() && point.crl_issuer.is_none())
        .filter_map(|point| match &point.distribution_point {
            Some(DistributionPointName::FullName(names)) => Some(names),
            _ => None,
        });
    let uris = names.flatten().filter_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    Some(uris.collect())
}

// === impl Issuer ===

impl Issuer {
    fn of_certificate(der: &CertificateDer<'_>) -> Result<Self, LinkError> {
        let raw = EndEntityCert::try_from(der).map_err(|_| LinkError)?;
        let parsed = parse_x509(der).map_err(|_| LinkError)?;
        let usage = parsed.key_usage().map_err(|_| LinkError)?;
        let key = raw.subject_public_key_info();
        Ok(Self {
            name: raw.subject().to_vec(),
            key_sha256: SpkiSha256::of_spki(&key),
            key,
            may_sign_lists: usage.is_none_or(|usage| usage.value.crl_sign()),
        })
    }

    /// The root that issued `certificate`. A root's key usage is not known, and it is trusted
    /// anyway.
    fn of_anchor(
        certificate: &CertificateDer<'_>,
        key_sha256: SpkiSha256,
        anchors: &TrustAnchors,
    ) -> Result<Self, LinkError> {
        let raw = EndEntityCert::try_from(certificate).map_err(|_| LinkError)?;
        let is_it = |anchor: &&TrustAnchor<'_>| {
            *anchor.subject == *raw.issuer()
                && SpkiSha256::of_spki(&webpki::spki_for_anchor(anchor)) == key_sha256
        };
        let anchor = anchors.as_slice().iter().find(is_it).ok_or(LinkError)?;
        Ok(Self {
            name: anchor.subject.to_vec(),
            key: webpki::spki_for_anchor(anchor),
            key_sha256,
            may_sign_lists: anchors
                .facts(anchor)
                .is_none_or(|facts| facts.may_sign_lists),
        })
    }

    /// The Name with tag and length.
    pub(super) fn name_der(&self) -> Vec<u8> {
        der::write(SEQUENCE, &[&self.name])
    }

    /// The key as such, without its algorithm.
    pub(super) fn key_bits(&self) -> Option<&[u8]> {
        key_bits(&self.key)
    }
}

/// The contents of a SubjectPublicKeyInfo's BIT STRING.
pub(super) fn key_bits(spki: &[u8]) -> Option<&[u8]> {
    let mut contents = Reader::new(spki).enter(SEQUENCE).ok()?;
    contents.take(SEQUENCE).ok()?;
    contents.take_bit_string().ok()
}

/// A Name given without tag and length, for messages.
pub(super) fn name_text(contents: &[u8]) -> String {
    let der = der::write(SEQUENCE, &[contents]);
    match X509Name::from_der(&der) {
        Ok((_, name)) => distinguished_name(&name),
        Err(_) => "an unreadable name".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::ServerName;

    use super::*;
    use crate::revocation::fixture::{Ca, now, server, server_with_point};
    use crate::verify::verify;

    #[test]
    fn links_follow_the_verified_path() {
        let root = Ca::root("Root");
        let upper = root.intermediate(Ca::params("Upper"));
        let lower = upper.intermediate(Ca::params("Lower"));
        let smuggled = Ca::root("Smuggled");
        let leaf = lower.issue(&server(1));
        // In the wrong order, and with one too many.
        let links = root.links(&[leaf, upper.der, smuggled.der, lower.der]);
        let seen: Vec<_> = links
            .iter()
            .map(|link| {
                let facts = link.certificate();
                (link.which(), facts.subject(), name_text(&link.issuer.name))
            })
            .collect();
        let issued_by = |name: &str| format!("CN={name}");
        assert_eq!(
            seen,
            [
                (Which::Server, "CN=server", issued_by("Lower")),
                (Which::Intermediate, "CN=Lower", issued_by("Upper")),
                (Which::Intermediate, "CN=Upper", issued_by("Root")),
            ]
        );
    }

    #[test]
    fn a_path_belongs_to_its_chain() {
        let root = Ca::root("Root");
        let [leaf, other] = [1, 2].map(|serial| root.issue(&server(serial)));
        let (anchors, name) = (root.anchors(), ServerName::try_from("a.example").unwrap());
        let observed = ObservedChain::new(&leaf, &[]).unwrap();
        let verified = verify(&observed, &anchors, &name, now()).unwrap();
        let others = ObservedChain::new(&other, &[]).unwrap();
        assert_eq!(links(&others, &verified, &anchors).unwrap_err(), LinkError);
        let other_anchors = Ca::root("Root").anchors();
        let refused = links(&observed, &verified, &other_anchors);
        assert_eq!(refused.unwrap_err(), LinkError);
    }

    #[test]
    fn only_the_server_has_to_staple() {
        let mut must_staple = server(1);
        let feature = rcgen::CustomExtension::from_oid_content(
            &[1, 3, 6, 1, 5, 5, 7, 1, 24],
            vec![0x30, 3, 2, 1, 5],
        );
        must_staple.custom_extensions.push(feature.clone());
        let root = Ca::root("Root");
        let mut params = Ca::params("Intermediate");
        params.custom_extensions.push(feature);
        let ca = root.intermediate(params);
        let must = |leaf: &rcgen::CertificateParams| -> Vec<bool> {
            let links = root.links(&[ca.issue(leaf), ca.der.clone()]);
            links.iter().map(Link::must_be_stapled).collect()
        };
        assert_eq!(must(&must_staple), [true, false]);
        assert_eq!(must(&server(1)), [false, false]);
    }

    #[test]
    fn points_are_those_that_a_list_can_match() {
        let root = Ca::root("Root");
        let points = |leaf: &rcgen::CertificateParams| {
            let mut links = root.links(&[root.issue(leaf)]);
            links.remove(0).points
        };
        assert_eq!(points(&server(1)), None);
        let one = "http://ca.example/1.crl";
        assert_eq!(
            points(&server_with_point(1, one)),
            Some(vec![one.to_owned()])
        );
        let with = |content: &[u8]| {
            let mut params = server(1);
            let extension =
                rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 31], content.to_vec());
            params.custom_extensions.push(extension);
            points(&params)
        };
        // Some reasons only, [1]; another issuer's list, [2].
        let name: &[u8] = &[0xa0, 7, 0xa0, 5, 0x86, 3, b'a', b':', b'b'];
        let point = |rest: &[u8]| der::write(SEQUENCE, &[&der::write(SEQUENCE, &[name, rest])]);
        assert_eq!(with(&point(&[])), Some(vec!["a:b".to_owned()]));
        assert_eq!(with(&point(&[0x81, 2, 1, 2])), Some(vec![]));
        assert_eq!(
            with(&point(&[0xa2, 5, 0x86, 3, b'c', b':', b'd'])),
            Some(vec![])
        );
        assert_eq!(with(&[0x30, 2, 5, 0]), Some(vec![]));
    }
}
