//! Pins: compared with the verified path, on the very connection that carries the data.

use hookseal_domain::delivery::outcome::FailureKind;
use hookseal_domain::id::EndpointId;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::policy::{Pinning, ResolvedTransport, TlsVersion};
use hookseal_pki::certificate::{Certificate, SpkiSha256};
use hookseal_testkit::test_ca::{Leaf, LeafSpec, Speaks, TestCa};

use crate::client::{Client, check_failure, check_status, check_tls_failure};
use crate::tls_receiver::{TlsReceiver, leaf};

fn key(leaf: &Leaf) -> SpkiSha256 {
    SpkiSha256::parse(&leaf.spki_sha256()).unwrap()
}

fn key_of(der: &[u8]) -> SpkiSha256 {
    Certificate::parse(der).unwrap().spki_sha256()
}

fn enforcing(pins: &[SpkiSha256]) -> impl FnOnce(&mut ResolvedTransport) + use<> {
    let pins = pins.to_vec();
    move |policy| {
        policy.pinning = Pinning::Enforce;
        policy.pins = pins;
    }
}

#[tokio::test]
async fn any_key_of_the_verified_path_matches() {
    let root = TestCa::new("Root").unwrap();
    let ca = root.intermediate("Intermediate").unwrap();
    let leaf = leaf(&ca);
    let receiver = TlsReceiver::start(leaf.acceptor(Speaks::Http2).unwrap()).await;
    let mut client = Client::trusting(&root.root_pem());
    let path = [key(&leaf), key_of(&ca.der()), key_of(&root.der())];
    for pin in path {
        client.set_policy(enforcing(&[pin, SpkiSha256::from_bytes([1; 32])]));
        let exchanged = client.post(&receiver.url()).await;
        check_status(&exchanged, 200);
        let report = exchanged.handshake.unwrap();
        assert_eq!(report.failure, None);
        assert_eq!(report.pins.matched, [pin]);
        assert_eq!(report.verified_keys(), path);
        let subjects: Vec<_> = report.verified.iter().map(|one| &*one.subject).collect();
        assert_eq!(subjects, ["CN=Test receiver", "CN=Intermediate", "CN=Root"]);
        assert_eq!(report.observed.len(), 2);
        assert_eq!(report.verified[..2], report.observed);
    }
}

#[tokio::test]
async fn another_key_gets_nothing() {
    let ca = TestCa::new("Root").unwrap();
    let (pinned, shown) = (leaf(&ca), leaf(&ca));
    for speaks in [Speaks::Http2, Speaks::Http1, Speaks::OldTls] {
        let receiver = TlsReceiver::start(shown.acceptor(speaks).unwrap()).await;
        let mut client = Client::trusting(&ca.root_pem());
        client.set_policy(|policy| {
            policy.tls_min_version = TlsVersion::Tls12;
            enforcing(&[key(&pinned)])(policy);
        });
        let exchanged = client.post(&receiver.url()).await;
        check_failure(&exchanged, FailureKind::NotTrusted, &[]);
        let words = [
            "no pinned key is in the server's verified path",
            &*shown.spki_sha256(),
            "Ask the receiver",
        ];
        check_tls_failure(&exchanged, TlsFailure::PinMismatch, &words);
        let report = exchanged.handshake.unwrap();
        assert_eq!(report.pins.pinning, Pinning::Enforce);
        assert_eq!(report.verified_keys()[0], key(&shown));
        assert_eq!(receiver.bytes(), 0);
    }
}

#[tokio::test]
async fn a_report_only_looks() {
    let ca = TestCa::new("Root").unwrap();
    let (pinned, shown) = (leaf(&ca), leaf(&ca));
    let receiver = TlsReceiver::start(shown.acceptor(Speaks::Http2).unwrap()).await;
    let mut client = Client::trusting(&ca.root_pem());
    client.set_policy(|policy| {
        policy.pinning = Pinning::Report;
        policy.pins = vec![key(&pinned)];
    });
    let exchanged = client.post(&receiver.url()).await;
    check_status(&exchanged, 200);
    let report = exchanged.handshake.unwrap();
    assert_eq!(report.failure, None);
    assert_eq!(report.pins.pinning, Pinning::Report);
    assert_eq!(report.pins.matched, []);
}

/// What is sent along but is no part of the path proves nothing.
#[tokio::test]
async fn a_pinned_certificate_that_is_smuggled_in() {
    let (ours, theirs) = (TestCa::new("Ours").unwrap(), TestCa::new("Theirs").unwrap());
    let wanted = ours.intermediate("Wanted").unwrap();
    let pinned_leaf = leaf(&wanted);
    let other = leaf(&theirs);
    let sent = [wanted.der(), ours.der(), pinned_leaf.chain()[0].clone()];
    let forged = other.sending_along(sent);
    let receiver = TlsReceiver::start(forged.acceptor(Speaks::Http2).unwrap()).await;
    let mut client = Client::trusting(&(ours.root_pem() + &theirs.root_pem()));
    let pins = [
        key_of(&wanted.der()),
        key_of(&ours.der()),
        key(&pinned_leaf),
    ];
    client.set_policy(enforcing(&pins));
    let exchanged = client.post(&receiver.url()).await;
    check_tls_failure(&exchanged, TlsFailure::PinMismatch, &[]);
    assert_eq!(exchanged.handshake.unwrap().observed.len(), 4);
    assert_eq!(receiver.bytes(), 0);
}

/// Neither a session nor a connection of the time before is used.
#[tokio::test]
async fn a_withdrawn_pin_is_noticed_at_once() {
    let ca = TestCa::new("Root").unwrap();
    let (leaf, next) = (leaf(&ca), leaf(&ca));
    for speaks in [Speaks::Http2, Speaks::Http1] {
        let receiver = TlsReceiver::start(leaf.acceptor(speaks).unwrap()).await;
        let mut client = Client::trusting(&ca.root_pem());
        client.set_policy(enforcing(&[key(&leaf)]));
        for _ in 0..2 {
            check_status(&client.post(&receiver.url()).await, 200);
        }
        assert_eq!(receiver.connections(), 1);
        client.set_policy(enforcing(&[key(&next)]));
        for connections in [2, 3] {
            let exchanged = client.post(&receiver.url()).await;
            check_tls_failure(&exchanged, TlsFailure::PinMismatch, &[]);
            assert_eq!(receiver.connections(), connections);
        }
        assert_eq!(receiver.requests(), 2);
    }
}

/// The same host and port, another endpoint's policy.
#[tokio::test]
async fn a_laxer_neighbour_lends_no_connection() {
    let ca = TestCa::new("Root").unwrap();
    let (pinned, shown) = (leaf(&ca), leaf(&ca));
    for speaks in [Speaks::Http2, Speaks::Http1] {
        let receiver = TlsReceiver::start(shown.acceptor(speaks).unwrap()).await;
        let mut client = Client::trusting(&ca.root_pem());
        let (lax, strict) = (EndpointId::from_raw(1), EndpointId::from_raw(2));
        let url = receiver.url();
        check_status(&client.post_as(lax, &url).await, 200);
        let lenient = client.transport(|_| {});
        client.set_policy(enforcing(&[key(&pinned)]));
        let exchanged = client.post_as(strict, &url).await;
        check_tls_failure(&exchanged, TlsFailure::PinMismatch, &[]);
        // The same endpoint does not help either, not even if it was lax a moment ago.
        let exchanged = client.post_as(lax, &url).await;
        check_tls_failure(&exchanged, TlsFailure::PinMismatch, &[]);
        assert_eq!(receiver.requests(), 1);
        client.set_transport(lenient);
        check_status(&client.post_as(lax, &url).await, 200);
        assert_eq!(receiver.connections(), 4);
    }
}

/// HTTP/2 allows one connection for all hosts of a certificate (RFC 9113 §9.1.1); we don't.
#[tokio::test]
async fn hosts_of_one_certificate_are_not_coalesced() {
    let ca = TestCa::new("Root").unwrap();
    let spec = LeafSpec {
        names: vec!["hooks.test".to_owned(), "also.test".to_owned()],
        ..LeafSpec::default()
    };
    let leaf = ca.issue(&spec).unwrap();
    let receiver = TlsReceiver::start(leaf.acceptor(Speaks::Http2).unwrap()).await;
    let client = Client::trusting(&ca.root_pem());
    let also = receiver.url().replace("hooks.test", "also.test");
    for (url, connections) in [(receiver.url(), 1), (also.clone(), 2), (also, 2)] {
        check_status(&client.post(&url).await, 200);
        assert_eq!(receiver.connections(), connections);
    }
}
