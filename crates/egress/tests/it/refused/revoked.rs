//! Certificates that were revoked, or that nothing proves not to be.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::policy::{ResolvedTransport, RevocationMode};
use hookseal_testkit::test_ca::{
    CrlSpec, Leaf, LeafSpec, OcspSpec, Speaks, Stapling, TestCa, Validity,
};

use super::counting::Counting;
use super::{BODY, Refused, showing, spec};
use crate::client::check_status;
use crate::receivers::sender::{NOW, Sender, policy};
use crate::server::{Server, serve};

#[tokio::test]
async fn a_revoked_certificate() {
    let ca = TestCa::new("Root").unwrap();
    let list = Arc::new(OnceLock::new());
    let lists = serving(Arc::clone(&list)).await;
    let listed = LeafSpec {
        crl_urls: vec![lists.url()],
        ..spec()
    };
    let [listed, unlisted] = [(); 2].map(|()| ca.issue(&listed).unwrap());
    let crl = CrlSpec {
        revoked: vec![&listed],
        ..CrlSpec::default()
    };
    list.set(ca.crl(&crl).unwrap().to_vec()).unwrap();
    let by_list = Refused {
        what: "revoked by CRL",
        server: showing(&listed).await,
        policy: hard(&ca),
        expect: TlsFailure::PeerRevoked,
        words: &["revoked"],
    };
    by_list.check().await;
    check_delivered(&ca, &showing(&unlisted).await).await;

    let leaf = ca.issue(&spec()).unwrap();
    let by_staple = Refused {
        what: "revoked by OCSP staple",
        server: stapling(&ca, &leaf, OcspSpec::revoked(&leaf)).await,
        policy: hard(&ca),
        expect: TlsFailure::PeerRevoked,
        words: &["revoked"],
    };
    by_staple.check().await;
    check_delivered(&ca, &stapling(&ca, &leaf, OcspSpec::good(&leaf)).await).await;
}

#[tokio::test]
async fn a_staple_that_proves_nothing() {
    let ca = TestCa::new("Root").unwrap();
    let leaf = ca.issue(&spec()).unwrap();
    let stale = OcspSpec {
        validity: Validity::Past,
        ..OcspSpec::good(&leaf)
    };
    let stale = Refused {
        what: "stale OCSP staple",
        server: stapling(&ca, &leaf, stale).await,
        policy: hard(&ca),
        expect: TlsFailure::StapleInvalid,
        words: &["2020-01-31"],
    };
    stale.check().await;

    let demanding = LeafSpec {
        stapling: Stapling::Demanded,
        ..spec()
    };
    let demanding = ca.issue(&demanding).unwrap();
    let missing = Refused {
        what: "OCSP staple demanded, none sent",
        server: showing(&demanding).await,
        policy: hard(&ca),
        expect: TlsFailure::StapleMissing,
        words: &["RFC 7633"],
    };
    missing.check().await;
    let good = OcspSpec::good(&demanding);
    check_delivered(&ca, &stapling(&ca, &demanding, good).await).await;
}

/// So that those who are refused are refused for what is wrong with them alone.
async fn check_delivered(ca: &TestCa, server: &Counting) {
    let sender = Sender::new(&hard(ca), NOW);
    let exchanged = sender.post(server.port(), Bytes::from_static(BODY)).await;
    check_status(&exchanged, 200);
}

fn hard(ca: &TestCa) -> ResolvedTransport {
    ResolvedTransport {
        revocation: RevocationMode::Hard,
        ..policy(&[ca])
    }
}

async fn stapling(ca: &TestCa, leaf: &Leaf, answer: OcspSpec<'_>) -> Counting {
    let answer = ca.ocsp_answer(&answer).unwrap();
    Counting::rustls(leaf.acceptor_stapling(Speaks::Http1, answer).unwrap()).await
}

/// Answers every request with these bytes, once they are there.
async fn serving(bytes: Arc<OnceLock<Vec<u8>>>) -> Server {
    Server::start(move |stream, _| {
        let body = bytes.get().cloned().unwrap_or_default();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        let answer = [head.into_bytes(), body].concat();
        async move { serve(stream, &answer).await }
    })
    .await
}
