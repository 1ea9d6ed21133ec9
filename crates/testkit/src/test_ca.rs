//! A certificate authority made on the spot. **Invariant:** reads no clock: validity is fixed.

mod crl;
mod der;
mod leaf;
mod ocsp;
mod spec;

use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls_pki_types::CertificateDer;

pub use crl::CrlSpec;
pub use leaf::{Leaf, LeafFiles, Speaks};
pub use ocsp::{OcspSigner, OcspSpec, OcspStatus};
pub use spec::{KeyKind, LeafSpec, Purpose, Stapling, Validity};

/// An authority: a root, or one that another authority issued.
pub struct TestCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    root_pem: String,
    /// What servers send after their own certificate: this authority's certificate and those above
    /// it, without the root.
    path: Vec<CertificateDer<'static>>,
    serials: AtomicU64,
}

// === impl TestCa ===

impl TestCa {
    /// Makes a root with this common name.
    pub fn new(common_name: &str) -> anyhow::Result<Self> {
        Self::valid(common_name, Validity::Current)
    }

    /// Makes a root that is valid for this time.
    pub fn valid(common_name: &str, validity: Validity) -> anyhow::Result<Self> {
        let params = authority_params(common_name, validity)?;
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self {
            root: issuer.der().clone(),
            root_pem: issuer.pem(),
            issuer,
            path: Vec::new(),
            serials: AtomicU64::new(1),
        })
    }

    /// Issues an authority below this one; servers whose certificates it issues send its too.
    pub fn intermediate(&self, common_name: &str) -> anyhow::Result<Self> {
        self.intermediate_valid(common_name, Validity::Current)
    }

    /// The same, valid for this time.
    pub fn intermediate_valid(
        &self,
        common_name: &str,
        validity: Validity,
    ) -> anyhow::Result<Self> {
        let mut params = authority_params(common_name, validity)?;
        params.serial_number = Some(self.next_serial().into());
        params.use_authority_key_identifier_extension = true;
        let issuer = CertifiedIssuer::signed_by(params, KeyPair::generate()?, &self.issuer)?;
        let mut path = vec![issuer.der().clone()];
        path.extend(self.path.iter().cloned());
        Ok(Self {
            issuer,
            root: self.root.clone(),
            root_pem: self.root_pem.clone(),
            path,
            serials: AtomicU64::new(1),
        })
    }

    /// The root above it, or itself, as PEM.
    pub fn root_pem(&self) -> String {
        self.root_pem.clone()
    }

    /// The root above it, or itself, as DER.
    pub fn root_der(&self) -> CertificateDer<'static> {
        self.root.clone()
    }

    /// Its own certificate, as DER.
    pub fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// Its own certificate, as PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Its own key, as PEM: for what only other tools can issue.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Issues a leaf with a key of its own.
    pub fn issue(&self, spec: &LeafSpec) -> anyhow::Result<Leaf> {
        self.issue_for(spec, spec.key.generate()?)
    }

    /// Issues another leaf for the key of `leaf`, whoever issued that one.
    pub fn reissue(&self, leaf: &Leaf, spec: &LeafSpec) -> anyhow::Result<Leaf> {
        self.issue_for(spec, leaf.key_pair()?)
    }

    fn issue_for(&self, spec: &LeafSpec, key: KeyPair) -> anyhow::Result<Leaf> {
        let mut params = spec.params()?;
        params.serial_number = Some(self.next_serial().into());
        let certificate = params.signed_by(&key, &self.issuer)?;
        let mut chain = vec![certificate.der().clone()];
        chain.extend(self.path.iter().cloned());
        Ok(Leaf::new(chain, &key))
    }

    /// Small, and no two alike.
    fn next_serial(&self) -> u64 {
        self.serials.fetch_add(1, Ordering::Relaxed)
    }
}

fn authority_params(common_name: &str, validity: Validity) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    validity.set(&mut params);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{CertificateRevocationList, FromDer};

    use super::*;

    #[test]
    fn a_chain_holds_what_is_between_the_leaf_and_the_root() {
        let root = TestCa::new("Root").unwrap();
        let upper = root.intermediate("Upper").unwrap();
        let lower = upper.intermediate("Lower").unwrap();
        let leaf = lower.issue(&LeafSpec::default()).unwrap();
        let between = [lower.der(), upper.der()];
        assert_eq!(leaf.chain().get(1..), Some(&between[..]));
        assert_eq!(lower.root_der(), root.der());
        assert_eq!(leaf.alone().chain().len(), 1);
    }

    #[test]
    fn a_reissued_leaf_has_the_key_and_nothing_else() {
        let (old, new) = (TestCa::new("Old").unwrap(), TestCa::new("New").unwrap());
        let leaf = old.issue(&LeafSpec::default()).unwrap();
        let again = new.reissue(&leaf, &LeafSpec::default()).unwrap();
        assert_eq!(leaf.spki_sha256(), again.spki_sha256());
        assert_ne!(leaf.chain(), again.chain());
        let other = new.issue(&LeafSpec::default()).unwrap();
        assert_ne!(leaf.spki_sha256(), other.spki_sha256());
    }

    #[test]
    fn a_revocation_list_names_the_serial_number() {
        let ca = TestCa::new("Root").unwrap();
        let [kept, revoked] = [(); 2].map(|()| ca.issue(&LeafSpec::default()).unwrap());
        let spec = CrlSpec {
            revoked: vec![&revoked],
            ..CrlSpec::default()
        };
        let list = ca.crl(&spec).unwrap();
        let (_, list) = CertificateRevocationList::from_der(&list).unwrap();
        let serials: Vec<&[u8]> = list
            .iter_revoked_certificates()
            .map(|revoked| revoked.raw_serial())
            .collect();
        assert_eq!(serials, [revoked.serial().unwrap()]);
        assert_ne!(serials, [kept.serial().unwrap()]);
    }
}
