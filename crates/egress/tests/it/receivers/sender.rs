//! Sends to servers of others under one transport policy.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookseal_domain::endpoint::url::EndpointUrl;
use hookseal_domain::id::EndpointId;
use hookseal_domain::limits::RESPONSE_BODY_BYTES_MAX;
use hookseal_domain::secret::Secret;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::anchor_set::{Anchor, AnchorSet};
use hookseal_domain::transport::identity::{
    ClientIdentity, IdentityCertificate, IssuedCertificate,
};
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::{
    IdentityChoice, Pinning, ResolvedTransport, RevocationMode, TlsVersion, Trust,
};
use hookseal_domain::transport::rotation::{Stage, StageTimes};
use hookseal_egress::{DeliveryRequest, Egress, EgressConfig, Exchanged, Target, Transport};
use hookseal_pki::certificate::Certificate;
use hookseal_testkit::test_ca::{Leaf, TestCa};
use http::{HeaderMap, Method};

use crate::client::config;

/// Within all certificates that are not made to be expired or not yet valid.
pub(crate) const NOW: &str = "2026-11-23T00:00:00Z";

/// Sends under one policy at one time.
pub(crate) struct Sender {
    egress: Egress,
    transport: Arc<Transport>,
}

impl Sender {
    pub(crate) fn new(policy: &ResolvedTransport, now: &str) -> Self {
        Self::with(config(), policy, now)
    }

    pub(crate) fn with(config: EgressConfig, policy: &ResolvedTransport, now: &str) -> Self {
        let now = Timestamp::parse_rfc3339(now).unwrap();
        let egress = Egress::new(config, Arc::new(move || now)).unwrap();
        let transport = egress.transport(policy).unwrap();
        Self { egress, transport }
    }

    /// Posts to `hooks.test`, which is this machine.
    pub(crate) async fn post(&self, port: u16, body: Bytes) -> Exchanged {
        let url = EndpointUrl::parse(&format!("https://hooks.test:{port}/hook")).unwrap();
        let request = DeliveryRequest {
            endpoint: EndpointId::from_raw(7),
            generation: 1,
            transport: Arc::clone(&self.transport),
            target: Arc::new(Target::new(&url)),
            method: Method::POST,
            headers: HeaderMap::new(),
            body,
            answer_bytes_max: RESPONSE_BODY_BYTES_MAX,
            answer_headers: &[],
            timeout: Duration::from_secs(20),
        };
        self.egress.exchange(request).await
    }
}

/// Trusts these roots only, and nothing else is demanded.
pub(crate) fn policy(roots: &[&TestCa]) -> ResolvedTransport {
    let anchors = roots.iter().map(|root| anchor(&root.root_der())).collect();
    let set = AnchorSet {
        name: Name::parse("roots").unwrap(),
        version: 1,
        anchors,
        updated_at: Timestamp::default(),
    };
    ResolvedTransport {
        tls_min_version: TlsVersion::Tls13,
        key_exchange_groups: Default::default(),
        trust: Trust::Private,
        trust_anchors: Some(Arc::new(set)),
        pinning: Pinning::Off,
        pins: Vec::new(),
        client_identity: None,
        revocation: RevocationMode::Off,
        crl_urls: Vec::new(),
        server_name: None,
        proxy: None,
    }
}

fn anchor(der: &[u8]) -> Anchor {
    let facts = Certificate::parse(der).unwrap();
    Anchor {
        der: der.to_vec(),
        sha256: *facts.sha256().as_bytes(),
        spki_sha256: facts.spki_sha256(),
        subject: facts.subject().to_owned(),
        not_before: secs(facts.not_before_secs()),
        not_after: secs(facts.not_after_secs()),
        added_at: Timestamp::default(),
        retiring_since: None,
    }
}

/// Presents this and nothing else.
pub(crate) fn identity(leaf: &Leaf) -> IdentityChoice {
    let facts = Certificate::parse(leaf.certificate()).unwrap();
    let issued = IssuedCertificate {
        chain_der: leaf.chain().iter().map(|der| der.to_vec()).collect(),
        sha256: *facts.sha256().as_bytes(),
        subject: facts.subject().to_owned(),
        issuer: facts.issuer().to_owned(),
        not_before: secs(facts.not_before_secs()),
        not_after: secs(facts.not_after_secs()),
    };
    let certificate = IdentityCertificate {
        number: 1,
        stage: Stage::Distributed,
        times: StageTimes::default(),
        added_at: Timestamp::default(),
        key: Secret::new(leaf.key().secret_der().to_vec()),
        csr_pem: None,
        issued: Some(issued),
    };
    IdentityChoice::Own(Arc::new(ClientIdentity {
        name: Name::parse("us").unwrap(),
        version: 1,
        certificates: vec![certificate],
        updated_at: Timestamp::default(),
    }))
}

fn secs(secs: i64) -> Timestamp {
    Timestamp::from_millis(secs * 1000)
}
