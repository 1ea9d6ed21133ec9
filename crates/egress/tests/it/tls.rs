//! TLS: who is trusted, what is recorded, and that nothing leaves before.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hookseal_domain::delivery::outcome::FailureKind;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::policy::TlsVersion;
use hookseal_egress::{Egress, EgressConfig, EgressConfigError, PublicRoots};
use hookseal_testkit::test_ca::{LeafSpec, Speaks, TestCa, Validity};
use rustls::version::TLS12;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use crate::client::{Client, check_failure, check_status, check_tls_failure, config};
use crate::server::{Authority, Identity, Server, serve};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const CLOSING: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// A TLS receiver that counts the bytes of requests it was sent.
async fn counting(acceptor: TlsAcceptor) -> (Server, Arc<AtomicUsize>) {
    let bytes = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&bytes);
    let server = Server::start(move |stream, _| {
        let (acceptor, count) = (acceptor.clone(), Arc::clone(&count));
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            let mut buffer = [0; 1024];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                count.fetch_add(read, Ordering::SeqCst);
            }
        }
    })
    .await;
    (server, bytes)
}

/// A TLS receiver that answers every request with the same bytes.
async fn answering(acceptor: TlsAcceptor, answer: &'static [u8]) -> Server {
    Server::start(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, answer).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_verified_server_gets_the_request() {
    let authority = Authority::new();
    let server = answering(authority.issue("hooks.test").http1_acceptor(), OK).await;
    let client = Client::trusting(&authority.pem);
    for _ in 0..3 {
        let exchanged = client.post(&server.tls_url()).await;
        check_status(&exchanged, 200);
        let facts = exchanged.connection;
        assert_eq!(facts.http_version.as_deref(), Some("HTTP/1.1"));
        let tls = facts.tls.unwrap();
        assert_eq!(tls.version, "TLSv1.3");
        assert_eq!(tls.cipher_suite, "TLS_AES_256_GCM_SHA384");
        assert_eq!(tls.key_exchange_group, "X25519MLKEM768");
        assert!(tls.peer_spki_sha256.starts_with("sha256/"));
        let expires = Timestamp::parse_rfc3339("2030-01-01T00:00:00Z").unwrap();
        assert_eq!(tls.certificate_expires_at, expires);
    }
    assert_eq!(server.connections(), 1);
}

/// Nobody knows yet that this server can't share a connection.
#[tokio::test]
async fn many_at_once_to_a_new_server() {
    let authority = Authority::new();
    let server = answering(authority.issue("hooks.test").http1_acceptor(), OK).await;
    let client = Client::trusting(&authority.pem);
    let url = server.tls_url();
    let post = || client.post(&url);
    let (a, b, c, d) = tokio::join!(post(), post(), post(), post());
    for exchanged in [a, b, c, d] {
        check_status(&exchanged, 200);
    }
    assert_eq!(server.connections(), 4);
}

#[tokio::test]
async fn an_address_is_verified_as_an_address() {
    let authority = Authority::new();
    let client = Client::trusting(&authority.pem);
    let server = answering(authority.issue("127.0.0.1").http1_acceptor(), OK).await;
    let url = format!("https://{}/", server.addr);
    check_status(&client.post(&url).await, 200);
    let exchanged = client.post(&server.tls_url()).await;
    let words = ["not valid for hooks.test, only for 127.0.0.1"];
    check_failure(&exchanged, FailureKind::NotTrusted, &words);
}

/// No byte of a request leaves for a server that was not verified.
#[tokio::test]
async fn who_is_not_trusted_gets_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    let client = Client::trusting(&authority.pem);
    let check = async |identity: Identity, words: &'static [&'static str]| {
        for alpn in [&b"http/1.1"[..], b"h2"] {
            let acceptor = identity.acceptor(&[alpn], rustls::ALL_VERSIONS);
            let (server, bytes) = counting(acceptor).await;
            let exchanged = client.post(&server.tls_url()).await;
            check_failure(&exchanged, FailureKind::NotTrusted, words);
            let facts = exchanged.connection;
            assert_eq!(facts.remote_ip, Some(server.addr.ip()));
            assert_eq!((facts.http_version, facts.tls), (None, None));
            assert_eq!(server.connections(), 1);
            drop(server);
            assert_eq!(bytes.load(Ordering::SeqCst), 0);
        }
    };
    check(
        other.issue("hooks.test"),
        &["no trusted root", "issuer: CN=CA 2"],
    )
    .await;
    check(authority.issue("other.test"), &["only for other.test"]).await;
    check(
        authority.issue_until("hooks.test", 2026),
        &["expired on 2026-01-01T00:00:00Z"],
    )
    .await;
}

#[tokio::test]
async fn the_lowest_version_is_settable() {
    let authority = Authority::new();
    let acceptor = authority.issue("hooks.test").acceptor(&[], &[&TLS12]);
    let (server, bytes) = counting(acceptor.clone()).await;
    let strict = Client::trusting(&authority.pem);
    let exchanged = strict.post(&server.tls_url()).await;
    let words = ["does not speak TLS 1.3", "enable the TLS version"];
    check_failure(&exchanged, FailureKind::Handshake, &words);
    assert_eq!(bytes.load(Ordering::SeqCst), 0);

    let server = answering(acceptor, OK).await;
    let lenient = Client::with(EgressConfig {
        tls_min_version: TlsVersion::Tls12,
        extra_roots_pem: Some(authority.pem.into_bytes()),
        public_roots: PublicRoots::None,
        ..config()
    });
    let exchanged = lenient.post(&server.tls_url()).await;
    check_status(&exchanged, 200);
    let tls = exchanged.connection.tls.unwrap();
    assert_eq!(tls.version, "TLSv1.2");
    assert_eq!(tls.cipher_suite, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384");
    assert_eq!(tls.key_exchange_group, "x25519");
}

/// Sessions are not resumed, so each connection shows and proves its certificate anew.
#[tokio::test]
async fn each_connection_is_verified() {
    let (authority, other) = (Authority::new(), Authority::new());
    let identities = [
        authority.issue("hooks.test"),
        authority.issue("hooks.test"),
        other.issue("hooks.test"),
    ];
    let acceptors = identities.map(|identity| identity.http1_acceptor());
    let server = Server::start(move |stream, number| {
        let acceptor = acceptors.get(number - 1).unwrap().clone();
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, CLOSING).await;
            }
        }
    })
    .await;
    let client = Client::trusting(&authority.pem);
    let first = client.post(&server.tls_url()).await;
    let second = client.post(&server.tls_url()).await;
    check_status(&first, 200);
    check_status(&second, 200);
    let key =
        |tls: Option<hookseal_domain::delivery::attempt::TlsFacts>| tls.unwrap().peer_spki_sha256;
    assert_ne!(key(first.connection.tls), key(second.connection.tls));
    let third = client.post(&server.tls_url()).await;
    check_failure(&third, FailureKind::NotTrusted, &["no trusted root"]);
}

/// What a certificate proved ends with it, on a kept connection too.
#[tokio::test]
async fn a_connection_does_not_outlive_the_certificate() {
    let authority = Authority::new();
    let acceptor = authority.issue_until("hooks.test", 2027).http1_acceptor();
    let server = answering(acceptor, OK).await;
    let client = Client::trusting(&authority.pem);
    check_status(&client.post(&server.tls_url()).await, 200);
    client.set_now("2027-01-01T00:00:00Z");
    check_status(&client.post(&server.tls_url()).await, 200);
    assert_eq!(server.connections(), 1);
    client.set_now("2027-01-01T00:00:01Z");
    let exchanged = client.post(&server.tls_url()).await;
    check_failure(&exchanged, FailureKind::NotTrusted, &["expired"]);
    assert_eq!(server.connections(), 2);
}

/// The shortest life of the path is what counts.
#[tokio::test]
async fn a_connection_does_not_outlive_the_root() {
    let at = |text: &str| Timestamp::parse_rfc3339(text).unwrap();
    let validity = Validity::Between(at("2020-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
    let root = TestCa::valid("Root", validity).unwrap();
    let leaf = root.issue(&LeafSpec::server("hooks.test")).unwrap();
    let server = answering(leaf.acceptor(Speaks::Http1).unwrap(), OK).await;
    let client = Client::trusting(&root.root_pem());
    check_status(&client.post(&server.tls_url()).await, 200);
    client.set_now("2027-01-01T00:00:00Z");
    check_status(&client.post(&server.tls_url()).await, 200);
    assert_eq!(server.connections(), 1);
    client.set_now("2027-01-01T00:00:01Z");
    let exchanged = client.post(&server.tls_url()).await;
    let words = ["the trusted root CN=Root expired"];
    check_tls_failure(&exchanged, TlsFailure::AnchorExpired, &words);
    assert_eq!(server.connections(), 2);
}

/// TLS 1.3: a server that wants a client certificate says so after the handshake.
#[tokio::test]
async fn an_alert_after_the_handshake_is_named() {
    let authority = Authority::new();
    let mut roots = rustls::RootCertStore::empty();
    let root = rustls_pki_types::pem::PemObject::from_pem_slice(authority.pem.as_bytes()).unwrap();
    roots.add(root).unwrap();
    let acceptor = authority.issue("hooks.test").acceptor_demanding(roots);
    let server = answering(acceptor, OK).await;
    let exchanged = Client::trusting(&authority.pem)
        .post(&server.tls_url())
        .await;
    check_failure(
        &exchanged,
        FailureKind::Handshake,
        &["alert certificate_required", "Assign a client identity"],
    );
}

#[tokio::test]
async fn what_is_no_tls_is_no_handshake() {
    let server = Server::start(|mut stream, _| async move {
        let _written = stream.write_all(b"SSH-2.0-OpenSSH_9.2p1\r\n").await;
        let mut rest = Vec::new();
        let _read = stream.read_to_end(&mut rest).await;
    })
    .await;
    let client = Client::trusting(&Authority::new().pem);
    let exchanged = client.post(&server.tls_url()).await;
    check_failure(
        &exchanged,
        FailureKind::Handshake,
        &["is not TLS: ", "compare it with the URL"],
    );

    let server = Server::start(|stream, _| async move { drop(stream) }).await;
    let exchanged = client.post(&server.tls_url()).await;
    check_failure(
        &exchanged,
        FailureKind::Connection,
        &["during the TLS handshake"],
    );
}

#[tokio::test]
async fn a_stalled_handshake_ends_in_time() {
    let server = Server::start(|mut stream, _| async move {
        let mut rest = Vec::new();
        let _read = stream.read_to_end(&mut rest).await;
    })
    .await;
    let client = Client::trusting(&Authority::new().pem).impatient();
    let exchanged = client.post(&server.tls_url()).await;
    let words = ["300 ms", "during the TLS handshake"];
    check_failure(&exchanged, FailureKind::TimedOut, &words);
}

#[test]
fn roots_that_can_not_be_used_are_an_error() {
    let with = |extra: Option<&str>, public_roots| {
        let config = EgressConfig {
            extra_roots_pem: extra.map(|pem| pem.as_bytes().to_vec()),
            public_roots,
            ..config()
        };
        Egress::new(config, Arc::new(Timestamp::default)).map(|_| ())
    };
    let error = with(Some("nothing"), PublicRoots::Mozilla).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("egress.extra_roots: no certificate")
    );
    let error = with(None, PublicRoots::None).unwrap_err();
    assert!(matches!(error, EgressConfigError::NoRoots));
    with(None, PublicRoots::Mozilla).unwrap();
}
