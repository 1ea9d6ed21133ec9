//! Revocation looked up between handshake and first byte: what reaches the receiver, and what the
//! lookup costs.

use std::sync::Arc;

use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::handshake::{HandshakeReport, RevocationWord};
use hookseal_domain::transport::policy::{RevocationMode, TlsVersion};
use hookseal_testkit::test_ca::{CrlSpec, Leaf, LeafSpec, OcspSpec, Speaks, TestCa};
use parking_lot::Mutex;

use crate::client::{Client, check_status, check_tls_failure};
use crate::server::{Server, serve};
use crate::tls_receiver::TlsReceiver;

/// A server that publishes whatever is put there.
struct Publisher {
    server: Server,
    answer: Arc<Mutex<Vec<u8>>>,
}

impl Publisher {
    async fn start() -> Self {
        let answer = Arc::new(Mutex::new(Vec::new()));
        let published = Arc::clone(&answer);
        let server = Server::start(move |stream, _| {
            let answer = published.lock().clone();
            async move { serve(stream, &answer).await }
        })
        .await;
        Self { server, answer }
    }

    fn publish(&self, body: &[u8]) {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        *self.answer.lock() = [head.as_bytes(), body].concat();
    }

    fn refuse(&self) {
        *self.answer.lock() = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec();
    }
}

/// A receiver whose certificate names a list.
struct Story {
    ca: TestCa,
    lists: Publisher,
    leaf: Leaf,
    receiver: TlsReceiver,
}

impl Story {
    async fn begin(speaks: Speaks) -> Self {
        let ca = TestCa::new("Root").unwrap();
        let lists = Publisher::start().await;
        let spec = LeafSpec {
            crl_urls: vec![lists.server.url()],
            ..LeafSpec::server("hooks.test")
        };
        let leaf = ca.issue(&spec).unwrap();
        let receiver = TlsReceiver::start(leaf.acceptor(speaks).unwrap()).await;
        Self {
            ca,
            lists,
            leaf,
            receiver,
        }
    }

    fn list(&self, revoked: Vec<&Leaf>) -> Vec<u8> {
        let spec = CrlSpec {
            revoked,
            ..CrlSpec::default()
        };
        self.ca.crl(&spec).unwrap().to_vec()
    }

    fn client(&self, mode: RevocationMode) -> Client {
        let mut client = Client::trusting(&self.ca.root_pem());
        client.set_policy(|policy| policy.revocation = mode);
        client
    }
}

fn detail(report: &HandshakeReport) -> &str {
    report.revocation.detail.as_deref().unwrap_or_default()
}

#[tokio::test]
async fn a_list_is_fetched_once_for_all_handshakes() {
    for speaks in [Speaks::Http1, Speaks::Http2] {
        let story = Story::begin(speaks).await;
        story.lists.publish(&story.list(vec![]));
        let mut client = story.client(RevocationMode::Hard);
        for generation in 1..=3 {
            client.set_generation(generation);
            for _ in 0..2 {
                check_status(&client.post(&story.receiver.url()).await, 200);
            }
        }
        assert_eq!(story.receiver.connections(), 3);
        assert_eq!(story.receiver.requests(), 6);
        assert_eq!(story.lists.server.connections(), 1);
    }
}

#[tokio::test]
async fn the_report_says_who_said_so() {
    let story = Story::begin(Speaks::Http2).await;
    story.lists.publish(&story.list(vec![]));
    let client = story.client(RevocationMode::Soft);
    let exchanged = client.post(&story.receiver.url()).await;
    let report = exchanged.handshake.unwrap();
    assert_eq!(report.revocation.status, RevocationWord::Good);
    let list = format!("the revocation list {}", story.lists.server.url());
    assert_eq!(detail(&report), list);
}

#[tokio::test]
async fn a_revoked_receiver_is_sent_nothing() {
    let story = Story::begin(Speaks::Http1).await;
    story.lists.publish(&story.list(vec![&story.leaf]));
    for mode in [RevocationMode::Soft, RevocationMode::Hard] {
        let client = story.client(mode);
        let exchanged = client.post(&story.receiver.url()).await;
        let words = ["(CN=Test receiver) was revoked on 2020-01-01", "says so"];
        check_tls_failure(&exchanged, TlsFailure::PeerRevoked, &words);
        let report = exchanged.handshake.unwrap();
        assert_eq!(report.revocation.status, RevocationWord::Revoked);
        // A probe sees the same.
        let report = client.probe(&story.receiver.url()).await;
        assert_eq!(report.result(), "peer_revoked");
    }
    let client = story.client(RevocationMode::Off);
    assert_eq!(story.receiver.bytes(), 0);
    check_status(&client.post(&story.receiver.url()).await, 200);
}

#[tokio::test]
async fn what_can_t_be_found_out_stops_the_sending_in_hard_mode() {
    let story = Story::begin(Speaks::Http1).await;
    story.lists.refuse();
    let client = story.client(RevocationMode::Hard);
    let exchanged = client.post(&story.receiver.url()).await;
    let words = ["it could not be found out", "it answers 404 Not Found"];
    check_tls_failure(&exchanged, TlsFailure::RevocationUnknown, &words);
    assert_eq!(story.receiver.bytes(), 0);
    let client = story.client(RevocationMode::Soft);
    let exchanged = client.post(&story.receiver.url()).await;
    check_status(&exchanged, 200);
    let report = exchanged.handshake.unwrap();
    assert_eq!(report.revocation.status, RevocationWord::Unknown);
    assert!(detail(&report).contains("it answers 404"), "{report:?}");
}

/// A certificate can't make us connect where endpoints can't.
#[tokio::test]
async fn lists_come_from_allowed_addresses_only() {
    let ca = TestCa::new("Root").unwrap();
    let metadata = "http://169.254.169.254/latest/meta-data";
    let spec = LeafSpec {
        crl_urls: vec![metadata.to_owned()],
        ..LeafSpec::server("hooks.test")
    };
    let leaf = ca.issue(&spec).unwrap();
    let receiver = TlsReceiver::start(leaf.acceptor(Speaks::Http1).unwrap()).await;
    let mut client = Client::trusting(&ca.root_pem());
    client.set_policy(|policy| policy.revocation = RevocationMode::Hard);
    let exchanged = client.post(&receiver.url()).await;
    let words = ["address 169.254.169.254 is refused: it is a link-local address"];
    check_tls_failure(&exchanged, TlsFailure::RevocationUnknown, &words);
    assert_eq!(receiver.bytes(), 0);
}

/// The list that a policy names counts for a private CA whose certificates name none.
#[tokio::test]
async fn a_policy_s_list_counts() {
    let ca = TestCa::new("Root").unwrap();
    let lists = Publisher::start().await;
    let [kept, revoked] = [(); 2].map(|()| ca.issue(&LeafSpec::server("hooks.test")).unwrap());
    let spec = CrlSpec {
        revoked: vec![&revoked],
        ..CrlSpec::default()
    };
    lists.publish(&ca.crl(&spec).unwrap());
    let mut client = Client::trusting(&ca.root_pem());
    client.set_policy(|policy| {
        policy.revocation = RevocationMode::Hard;
        policy.crl_urls = vec![lists.server.url()];
    });
    let receiver = TlsReceiver::start(kept.acceptor(Speaks::Http1).unwrap()).await;
    check_status(&client.post(&receiver.url()).await, 200);
    let receiver = TlsReceiver::start(revoked.acceptor(Speaks::Http1).unwrap()).await;
    client.set_generation(2);
    let exchanged = client.post(&receiver.url()).await;
    check_tls_failure(&exchanged, TlsFailure::PeerRevoked, &["was revoked"]);
    assert_eq!(receiver.bytes(), 0);
    assert_eq!(lists.server.connections(), 1);
}

/// In both versions of TLS the staple arrives, each in its own message.
#[tokio::test]
async fn staples_of_both_versions() {
    for speaks in [Speaks::OldTls, Speaks::Http1] {
        let ca = TestCa::new("Root").unwrap();
        let leaf = ca.issue(&LeafSpec::server("hooks.test")).unwrap();
        let mut client = Client::trusting(&ca.root_pem());
        client.set_policy(|policy| {
            policy.revocation = RevocationMode::Soft;
            policy.tls_min_version = TlsVersion::Tls12;
        });
        let stapling = async |spec: OcspSpec<'_>| {
            let answer = ca.ocsp_answer(&spec).unwrap();
            TlsReceiver::start(leaf.acceptor_stapling(speaks, answer).unwrap()).await
        };
        let receiver = stapling(OcspSpec::good(&leaf)).await;
        let exchanged = client.post(&receiver.url()).await;
        check_status(&exchanged, 200);
        let report = exchanged.handshake.unwrap();
        assert_eq!(report.revocation.status, RevocationWord::Good);
        assert_eq!(detail(&report), "the stapled OCSP answer");
        let receiver = stapling(OcspSpec::revoked(&leaf)).await;
        client.set_generation(2);
        let exchanged = client.post(&receiver.url()).await;
        check_tls_failure(
            &exchanged,
            TlsFailure::PeerRevoked,
            &["the stapled OCSP answer"],
        );
        assert_eq!(receiver.bytes(), 0);
    }
}

#[tokio::test]
async fn a_responder_is_asked_where_there_is_no_list() {
    let ca = TestCa::new("Root").unwrap();
    let responder = Publisher::start().await;
    let spec = LeafSpec {
        ocsp_urls: vec![responder.server.url()],
        ..LeafSpec::server("hooks.test")
    };
    let leaf = ca.issue(&spec).unwrap();
    let receiver = TlsReceiver::start(leaf.acceptor(Speaks::Http1).unwrap()).await;
    let mut client = Client::trusting(&ca.root_pem());
    client.set_policy(|policy| policy.revocation = RevocationMode::Hard);
    responder.publish(&ca.ocsp_answer(&OcspSpec::good(&leaf)).unwrap());
    for generation in 1..=3 {
        client.set_generation(generation);
        check_status(&client.post(&receiver.url()).await, 200);
    }
    assert_eq!(responder.server.connections(), 1);
}
