//! Client identities as the store would give them.

use std::sync::Arc;

use hookseal_domain::secret::Secret;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::identity::{
    ClientIdentity, IdentityCertificate, IssuedCertificate,
};
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::{IdentityChoice, ResolvedTransport};
use hookseal_domain::transport::rotation::{Stage, StageTimes};
use hookseal_pki::certificate::Certificate;
use hookseal_testkit::test_ca::Leaf;

/// An identity called `us` with these certificates, by number.
pub(crate) fn client_identity(certificates: &[(u32, &Leaf, Stage)]) -> ClientIdentity {
    let one = |(number, leaf, stage): &(u32, &Leaf, Stage)| IdentityCertificate {
        number: *number,
        stage: *stage,
        times: StageTimes::default(),
        added_at: Timestamp::default(),
        key: Secret::new(leaf.key().secret_der().to_vec()),
        csr_pem: None,
        issued: Some(issued(leaf)),
    };
    ClientIdentity {
        name: Name::parse("us").unwrap(),
        version: 1,
        certificates: certificates.iter().map(one).collect(),
        updated_at: Timestamp::default(),
    }
}

fn issued(leaf: &Leaf) -> IssuedCertificate {
    let certificate = Certificate::parse(leaf.certificate()).unwrap();
    let at = |secs: i64| Timestamp::from_millis(secs * 1000);
    IssuedCertificate {
        chain_der: leaf.chain().iter().map(|der| der.to_vec()).collect(),
        sha256: *certificate.sha256().as_bytes(),
        subject: certificate.subject().to_owned(),
        issuer: certificate.issuer().to_owned(),
        not_before: at(certificate.not_before_secs()),
        not_after: at(certificate.not_after_secs()),
    }
}

/// Makes a policy present them.
pub(crate) fn presenting(
    certificates: &[(u32, &Leaf, Stage)],
) -> impl FnOnce(&mut ResolvedTransport) + use<> {
    let identity = Arc::new(client_identity(certificates));
    move |policy| policy.client_identity = Some(IdentityChoice::Own(identity))
}
