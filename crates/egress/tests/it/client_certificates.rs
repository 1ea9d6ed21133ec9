//! What we present of ourselves, and what is made of a refusal.

use std::sync::Arc;

use hookseal_domain::delivery::outcome::FailureKind;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::handshake::PresentDecision;
use hookseal_domain::transport::policy::{IdentityChoice, ResolvedTransport, TlsVersion};
use hookseal_domain::transport::rotation::Stage;
use hookseal_testkit::test_ca::{Leaf, LeafSpec, Speaks, TestCa, Validity};

use crate::client::{Client, check_failure, check_status, check_tls_failure};
use crate::identities::{client_identity, presenting};
use crate::server::{Server, serve};
use crate::tls_receiver::{TlsReceiver, leaf};

const EVERY: [Speaks; 3] = [Speaks::Http2, Speaks::Http1, Speaks::OldTls];

/// Who takes part: a receiver's CA, and the CA of the clients that it knows.
struct Cast {
    servers: TestCa,
    clients: TestCa,
    shown: Leaf,
}

impl Cast {
    fn new() -> Self {
        let servers = TestCa::new("Servers").unwrap();
        Self {
            shown: leaf(&servers),
            servers,
            clients: TestCa::new("Clients").unwrap(),
        }
    }

    async fn receiver(&self, speaks: Speaks) -> TlsReceiver {
        let acceptor = self.shown.acceptor_demanding(speaks, &self.clients);
        TlsReceiver::start(acceptor.unwrap()).await
    }

    fn client(&self, change: impl FnOnce(&mut ResolvedTransport)) -> Client {
        let mut client = Client::trusting(&self.servers.root_pem());
        client.set_policy(|policy| {
            policy.tls_min_version = TlsVersion::Tls12;
            change(policy);
        });
        client
    }
}

fn us(ca: &TestCa) -> Leaf {
    ca.issue(&LeafSpec::client("us")).unwrap()
}

#[tokio::test]
async fn the_right_certificate_delivers() {
    let cast = Cast::new();
    let ours = us(&cast.clients);
    for speaks in EVERY {
        let receiver = cast.receiver(speaks).await;
        let client = cast.client(presenting(&[(7, &ours, Stage::Distributed)]));
        let exchanged = client.post(&receiver.url()).await;
        check_status(&exchanged, 200);
        assert_eq!(exchanged.tls_failure, None);
        let report = exchanged.handshake.unwrap();
        assert_eq!(report.failure, None);
        assert!(report.client.requested);
        assert_eq!(report.client.ca_hints, ["CN=Clients"]);
        assert_eq!(report.client.decision, PresentDecision::Matched);
        assert!(report.client.accepted);
        let presented = report.client.presented.unwrap();
        assert_eq!(presented.identity.as_str(), "us");
        assert_eq!(presented.number, 7);
        // A kept connection has nothing to report.
        let exchanged = client.post(&receiver.url()).await;
        check_status(&exchanged, 200);
        assert_eq!(exchanged.handshake, None);
        assert_eq!(receiver.connections(), 1);
    }
}

#[tokio::test]
async fn without_a_certificate() {
    let cast = Cast::new();
    for speaks in EVERY {
        let receiver = cast.receiver(speaks).await;
        let exchanged = cast.client(|_| {}).post(&receiver.url()).await;
        check_failure(&exchanged, FailureKind::Handshake, &[]);
        let words = ["it sent the alert ", ". Assign a client identity"];
        check_tls_failure(&exchanged, TlsFailure::CertificateRequired, &words);
        let report = exchanged.handshake.unwrap();
        assert!(report.client.requested);
        assert_eq!(report.client.decision, PresentDecision::NoIdentity);
        assert_eq!(report.observed[0].subject, "CN=Test receiver");
        assert_eq!(receiver.requests(), 0);
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_knows() {
    let cast = Cast::new();
    let ours = us(&TestCa::new("Strangers").unwrap());
    for speaks in EVERY {
        let receiver = cast.receiver(speaks).await;
        let client = cast.client(presenting(&[(1, &ours, Stage::Seen)]));
        let exchanged = client.post(&receiver.url()).await;
        check_failure(&exchanged, FailureKind::Handshake, &[]);
        let words = [
            "the alert unknown_ca",
            "has to trust the CA of our client certificate",
        ];
        check_tls_failure(&exchanged, TlsFailure::UnknownCa, &words);
        let client = exchanged.handshake.unwrap().client;
        assert_eq!(client.decision, PresentDecision::NoHintMatches);
        assert_eq!(receiver.requests(), 0);
    }
}

/// Seen from a clock that is behind: an expired certificate is not presented knowingly.
#[tokio::test]
async fn a_certificate_that_has_expired() {
    let cast = Cast::new();
    let spec = LeafSpec {
        validity: Validity::Past,
        ..LeafSpec::client("us")
    };
    let ours = cast.clients.issue(&spec).unwrap();
    for speaks in EVERY {
        let receiver = cast.receiver(speaks).await;
        let client = cast.client(presenting(&[(1, &ours, Stage::Seen)]));
        let exchanged = client.post(&receiver.url()).await;
        check_failure(&exchanged, FailureKind::Internal, &[]);
        let words = ["no certificate of the client identity us is valid now; nothing was sent"];
        check_tls_failure(&exchanged, TlsFailure::IdentityUnusable, &words);
        assert_eq!(receiver.connections(), 0);
        client.set_now("2020-01-15T00:00:00Z");
        let exchanged = client.post(&receiver.url()).await;
        let words = [
            "the alert certificate_expired",
            "Renew our client certificate",
        ];
        check_tls_failure(&exchanged, TlsFailure::CertificateExpired, &words);
        assert_eq!(receiver.requests(), 0);
    }
}

/// The receiver does not know the new certificate's CA yet.
#[tokio::test]
async fn an_older_certificate_helps_out() {
    let cast = Cast::new();
    let (old, new) = (us(&cast.clients), us(&TestCa::new("Clients 2").unwrap()));
    for speaks in EVERY {
        let receiver = cast.receiver(speaks).await;
        let policy = presenting(&[(1, &old, Stage::Seen), (2, &new, Stage::Distributed)]);
        let mut client = cast.client(policy);
        // The receiver hints at the CA that it knows.
        let exchanged = client.post(&receiver.url()).await;
        check_status(&exchanged, 200);
        let report = exchanged.handshake.unwrap();
        assert_eq!(report.client.decision, PresentDecision::Matched);
        assert_eq!(report.client.presented.unwrap().number, 1);
        assert_eq!(receiver.connections(), 1);
        client.set_generation(2);
        check_status(&client.post(&receiver.url()).await, 200);
    }
}

#[tokio::test]
async fn an_older_certificate_of_the_same_ca_helps_out() {
    let cast = Cast::new();
    let old = us(&cast.clients);
    // The receiver's own rules, not its CA, refuse it.
    let spec = LeafSpec {
        purpose: hookseal_testkit::test_ca::Purpose::Server,
        ..LeafSpec::client("us")
    };
    let new = cast.clients.issue(&spec).unwrap();
    for speaks in EVERY {
        let receiver = cast.receiver(speaks).await;
        let policy = presenting(&[(1, &old, Stage::Seen), (2, &new, Stage::Distributed)]);
        let mut client = cast.client(policy);
        let exchanged = client.post(&receiver.url()).await;
        check_status(&exchanged, 200);
        let report = exchanged.handshake.unwrap();
        assert_eq!(report.failure, None);
        assert_eq!(report.client.decision, PresentDecision::FellBack);
        assert_eq!(report.client.presented.unwrap().number, 1);
        assert_eq!(receiver.connections(), 2);
        check_status(&client.post(&receiver.url()).await, 200);
        assert_eq!(receiver.connections(), 2);
        // What worked is remembered.
        client.set_generation(2);
        let exchanged = client.post(&receiver.url()).await;
        check_status(&exchanged, 200);
        let report = exchanged.handshake.unwrap();
        assert_eq!(report.client.decision, PresentDecision::FellBack);
        assert_eq!(receiver.connections(), 3);
        assert_eq!(receiver.requests(), 3);
    }
}

/// Only while there is no other that is valid.
#[tokio::test]
async fn a_certificate_that_receivers_were_not_told_of() {
    let cast = Cast::new();
    let spec = LeafSpec {
        validity: Validity::Past,
        ..LeafSpec::client("us")
    };
    let (past, current) = (cast.clients.issue(&spec).unwrap(), us(&cast.clients));
    let new = us(&cast.clients);
    for (told, number) in [(&current, 1), (&past, 2)] {
        let receiver = cast.receiver(Speaks::Http2).await;
        let policy = presenting(&[(1, told, Stage::Seen), (2, &new, Stage::Issued)]);
        let exchanged = cast.client(policy).post(&receiver.url()).await;
        check_status(&exchanged, 200);
        let presented = exchanged.handshake.unwrap().client.presented.unwrap();
        assert_eq!(presented.number, number);
    }
}

#[tokio::test]
async fn all_certificates_are_refused() {
    let cast = Cast::new();
    let strangers = TestCa::new("Strangers").unwrap();
    let (old, new) = (us(&strangers), us(&strangers));
    let receiver = cast.receiver(Speaks::Http2).await;
    let policy = presenting(&[(1, &old, Stage::Seen), (2, &new, Stage::Seen)]);
    let exchanged = cast.client(policy).post(&receiver.url()).await;
    check_tls_failure(&exchanged, TlsFailure::UnknownCa, &[]);
    assert_eq!(receiver.connections(), 2);
}

/// A connection that was made with a certificate does not outlive it.
#[tokio::test]
async fn a_connection_ends_with_our_certificate() {
    let cast = Cast::new();
    let until = |end: &str| {
        let at = |text: &str| hookseal_domain::time::Timestamp::parse_rfc3339(text).unwrap();
        let validity = Validity::Between(at("2020-01-01T00:00:00Z"), at(end));
        let spec = LeafSpec {
            validity,
            ..LeafSpec::client("us")
        };
        cast.clients.issue(&spec).unwrap()
    };
    let (short, long) = (until("2030-01-01T00:00:00Z"), until("2040-01-01T00:00:00Z"));
    for speaks in EVERY {
        let receiver = cast.receiver(speaks).await;
        let policy = presenting(&[(1, &long, Stage::Seen), (2, &short, Stage::Seen)]);
        let client = cast.client(policy);
        for (now, number, connections) in [
            ("2029-12-31T00:00:00Z", Some(2), 1),
            ("2030-01-01T00:00:00Z", None, 1),
            ("2030-01-01T00:00:01Z", Some(1), 2),
        ] {
            client.set_now(now);
            let exchanged = client.post(&receiver.url()).await;
            check_status(&exchanged, 200);
            let presented = exchanged.handshake.map(|report| report.client.presented);
            assert_eq!(presented.map(|one| one.unwrap().number), number);
            assert_eq!(receiver.connections(), connections);
        }
    }
}

/// A receiver may look at our certificate only when it sees the request.
#[tokio::test]
async fn a_certificate_is_accepted_with_2xx() {
    let cast = Cast::new();
    let ours = us(&cast.clients);
    for (answer, expect) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", true),
        ("HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n", false),
        ("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", false),
        ("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", false),
        ("", false),
    ] {
        let acceptor = cast.shown.acceptor_demanding(Speaks::Http1, &cast.clients);
        let acceptor = acceptor.unwrap();
        let server = Server::start(move |stream, _| {
            let acceptor = acceptor.clone();
            async move { serve(acceptor.accept(stream).await.unwrap(), answer.as_bytes()).await }
        })
        .await;
        let client = cast.client(presenting(&[(1, &ours, Stage::Seen)]));
        let exchanged = client.impatient().post(&server.tls_url()).await;
        let accepted = exchanged.handshake.map(|report| report.client.accepted);
        assert_eq!(accepted.unwrap_or(false), expect, "{answer}");
    }
}

#[tokio::test]
async fn who_does_not_ask_gets_no_certificate() {
    let cast = Cast::new();
    let ours = us(&cast.clients);
    let receiver = TlsReceiver::start(cast.shown.acceptor(Speaks::Http2).unwrap()).await;
    let client = cast.client(presenting(&[(1, &ours, Stage::Seen)]));
    let exchanged = client.post(&receiver.url()).await;
    check_status(&exchanged, 200);
    let report = exchanged.handshake.unwrap();
    assert_eq!(report.client, Default::default());
}

#[tokio::test]
async fn a_key_that_does_not_belong_to_its_certificate() {
    let cast = Cast::new();
    let (ours, other) = (us(&cast.clients), us(&cast.clients));
    let mut identity = client_identity(&[(3, &ours, Stage::Seen)]);
    identity.certificates[0].key =
        hookseal_domain::secret::Secret::new(other.key().secret_der().to_vec());
    let client = cast.client(|_| {});
    let mut policy = crate::client::policy(&client.egress);
    policy.client_identity = Some(IdentityChoice::Own(Arc::new(identity)));
    let error = client.egress.transport(&policy).unwrap_err();
    assert_eq!(error.failure, TlsFailure::IdentityUnusable);
    assert!(
        error
            .reason
            .contains("certificate 3 of the client identity us")
    );
}
