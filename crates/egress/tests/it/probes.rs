//! Handshakes that are made to look: they report everything and send nothing.

use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::handshake::{HandshakeReport, PresentDecision};
use hookseal_domain::transport::policy::{Pinning, TlsVersion};
use hookseal_domain::transport::rotation::Stage;
use hookseal_pki::certificate::SpkiSha256;
use hookseal_testkit::test_ca::{LeafSpec, Speaks, TestCa, Validity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::Client;
use crate::identities::presenting;
use crate::server::Server;
use crate::tls_receiver::{TlsReceiver, leaf};

/// The report says that it failed like this.
#[track_caller]
fn check_failed(report: &HandshakeReport, expect: TlsFailure, words: &[&str]) {
    let failed = report.failure.as_ref().unwrap();
    assert_eq!(failed.failure, expect, "{report:?}");
    for word in words {
        assert!(failed.reason.contains(word), "{word:?}: {failed:?}");
    }
}

#[tokio::test]
async fn a_look_sends_nothing() {
    let ca = TestCa::new("Root").unwrap();
    let leaf = leaf(&ca);
    for speaks in [Speaks::Http2, Speaks::Http1, Speaks::OldTls] {
        let receiver = TlsReceiver::start(leaf.acceptor(speaks).unwrap()).await;
        let mut client = Client::trusting(&ca.root_pem());
        client.set_policy(|policy| {
            policy.tls_min_version = TlsVersion::Tls12;
            policy.pinning = Pinning::Enforce;
            policy.pins = vec![SpkiSha256::from_bytes([1; 32])];
        });
        // Pins are compared, and not enforced.
        let report = client.probe(&receiver.url()).await;
        assert_eq!(report.failure, None);
        assert_eq!(report.pins.pinning, Pinning::Enforce);
        assert_eq!(report.pins.matched, []);
        let tls = report.tls.unwrap();
        assert_eq!(tls.peer_spki_sha256, leaf.spki_sha256());
        assert_eq!(report.verified.len(), 2);
        assert_eq!(report.remote_ip.unwrap().to_string(), "127.0.0.1");
        assert_eq!(receiver.connections(), 1);
        // Nothing of it is kept.
        client.set_policy(|policy| policy.tls_min_version = TlsVersion::Tls12);
        client.post(&receiver.url()).await;
        assert_eq!((receiver.connections(), receiver.requests()), (2, 1));
    }
}

/// What is wrong with a server is shown together with what it shows.
#[tokio::test]
async fn a_look_at_a_server_that_is_refused() {
    let ca = TestCa::new("Root").unwrap();
    let spec = LeafSpec {
        validity: Validity::Past,
        ..LeafSpec::server("hooks.test")
    };
    let expired = ca.issue(&spec).unwrap();
    let unknown = leaf(&TestCa::new("Unknown").unwrap());
    let client = Client::trusting(&ca.root_pem());
    for (shown, failure, words) in [
        (&expired, TlsFailure::PeerExpired, "expired on 2020-01-31"),
        (&unknown, TlsFailure::PeerUnknownIssuer, "no trusted root"),
    ] {
        let receiver = TlsReceiver::start(shown.acceptor(Speaks::Http2).unwrap()).await;
        let report = client.probe(&receiver.url()).await;
        check_failed(&report, failure, &[words]);
        assert_eq!(report.observed.len(), 1);
        let own = &report.observed[0];
        assert_eq!(own.subject, "CN=Test receiver");
        assert_eq!(own.spki_sha256.to_string(), shown.spki_sha256());
        assert_eq!(report.verified, []);
        let tls = report.tls.unwrap();
        assert_eq!(Some(tls.certificate_expires_at), own.not_after);
        assert_eq!(receiver.bytes(), 0);
    }
}

#[tokio::test]
async fn a_look_shows_our_certificate() {
    let (servers, clients) = (
        TestCa::new("Servers").unwrap(),
        TestCa::new("Clients").unwrap(),
    );
    let ours = clients.issue(&LeafSpec::client("us")).unwrap();
    let wrong = TestCa::new("Strangers").unwrap();
    let wrong = wrong.issue(&LeafSpec::client("us")).unwrap();
    for speaks in [Speaks::Http2, Speaks::Http1, Speaks::OldTls] {
        let acceptor = leaf(&servers).acceptor_demanding(speaks, &clients).unwrap();
        let receiver = TlsReceiver::start(acceptor).await;
        let mut client = Client::trusting(&servers.root_pem());
        client.set_policy(|policy| policy.tls_min_version = TlsVersion::Tls12);
        let report = client.probe(&receiver.url()).await;
        check_failed(&report, TlsFailure::CertificateRequired, &["the alert "]);
        assert_eq!(report.client.decision, PresentDecision::NoIdentity);
        for (leaf, failure) in [(&wrong, Some(TlsFailure::UnknownCa)), (&ours, None)] {
            client.set_policy(|policy| {
                policy.tls_min_version = TlsVersion::Tls12;
                presenting(&[(4, leaf, Stage::Seen)])(policy);
            });
            let report = client.probe(&receiver.url()).await;
            assert_eq!(report.failure.map(|failed| failed.failure), failure);
            assert_eq!(report.client.presented.unwrap().number, 4);
        }
        assert_eq!(receiver.bytes(), 0);
    }
}

#[tokio::test]
async fn where_there_is_no_handshake() {
    let client = Client::trusting(&TestCa::new("Root").unwrap().root_pem()).impatient();
    let report = client.probe("https://unknown.test/").await;
    check_failed(&report, TlsFailure::NotReached, &["does not exist. Mend"]);
    let report = client.probe("http://hooks.test/").await;
    check_failed(&report, TlsFailure::NotReached, &["no TLS"]);
    let report = client.probe("https://169.254.169.254/").await;
    check_failed(&report, TlsFailure::NotReached, &["nothing was sent"]);
    let mute = Server::start(|mut stream, _| async move {
        let _read = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let report = client.probe(&mute.tls_url()).await;
    check_failed(&report, TlsFailure::NotReached, &["300 ms"]);
    assert_eq!(report.remote_ip.unwrap().to_string(), "127.0.0.1");
    let other = Server::start(|mut stream, _| async move {
        let _written = stream.write_all(b"SSH-2.0-OpenSSH_9.2p1\r\n").await;
        let _read = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let report = client.probe(&other.tls_url()).await;
    check_failed(&report, TlsFailure::NotTls, &["is not TLS"]);
}
