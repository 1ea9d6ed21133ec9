//! What a policy demands of a connection: versions, key exchanges, roots, the server's name.

use std::pin::pin;
use std::sync::Arc;

use hookseal_domain::delivery::outcome::FailureKind;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::anchor_set::{Anchor, AnchorSet};
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::{
    IdentityChoice, KeyExchangeGroup, KeyExchangeGroups, TlsVersion, Trust,
};
use hookseal_egress::{Exchanged, TransportError};
use hookseal_pki::certificate::Certificate;
use hookseal_testkit::test_ca::{LeafSpec, Speaks, TestCa};
use rustls::ServerConfig;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use tokio_rustls::TlsAcceptor;

use crate::client::{Client, check_failure, check_status, check_tls_failure, policy};
use crate::server::{Server, read_request, serve};
use crate::tls_receiver::{TlsReceiver, leaf};

/// A set with these roots.
fn anchor_set(roots: &[&TestCa]) -> Arc<AnchorSet> {
    let at = Timestamp::default();
    let anchor = |ca: &&TestCa| {
        let der = ca.der().to_vec();
        let certificate = Certificate::parse(&der).unwrap();
        Anchor {
            sha256: *certificate.sha256().as_bytes(),
            spki_sha256: certificate.spki_sha256(),
            subject: certificate.subject().to_owned(),
            not_before: at,
            not_after: at,
            added_at: at,
            retiring_since: None,
            der,
        }
    };
    Arc::new(AnchorSet {
        name: Name::parse("partners").unwrap(),
        version: 1,
        anchors: roots.iter().map(anchor).collect(),
        updated_at: at,
    })
}

/// A server that can do these key exchanges only.
fn agreeing_on(ca: &TestCa, groups: Vec<&'static dyn SupportedKxGroup>) -> TlsAcceptor {
    let leaf = leaf(ca);
    let mut provider = default_provider();
    provider.kx_groups = groups;
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(leaf.chain().to_vec(), leaf.key().clone_key())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn the_lowest_version_is_the_policys() {
    let ca = TestCa::new("Root").unwrap();
    let receiver = TlsReceiver::start(leaf(&ca).acceptor(Speaks::OldTls).unwrap()).await;
    let mut client = Client::trusting(&ca.root_pem());
    let exchanged = client.post(&receiver.url()).await;
    let words = ["does not speak TLS 1.3", "enable the TLS version"];
    check_tls_failure(&exchanged, TlsFailure::VersionTooLow, &words);
    assert_eq!(receiver.bytes(), 0);
    client.set_policy(|policy| policy.tls_min_version = TlsVersion::Tls12);
    let exchanged = client.post(&receiver.url()).await;
    check_status(&exchanged, 200);
    let report = exchanged.handshake.unwrap();
    assert_eq!(report.tls.unwrap().version, "TLSv1.2");
}

#[tokio::test]
async fn key_exchanges_are_the_policys() {
    use KeyExchangeGroup as Group;
    let ca = TestCa::new("Root").unwrap();
    let mut client = Client::trusting(&ca.root_pem());
    let check =
        async |client: &Client, group: &'static dyn SupportedKxGroup, expect: Option<&str>| {
            let receiver = TlsReceiver::start(agreeing_on(&ca, vec![group])).await;
            let exchanged = client.post(&receiver.url()).await;
            match expect {
                Some(name) => {
                    check_status(&exchanged, 200);
                    let tls = exchanged.handshake.unwrap().tls.unwrap();
                    assert_eq!(tls.key_exchange_group, name);
                }
                None => {
                    let words = ["refused", "handshake_failure", "key-exchange groups"];
                    check_tls_failure(&exchanged, TlsFailure::NothingInCommon, &words);
                    assert_eq!(receiver.bytes(), 0);
                }
            }
        };
    // Whoever lacks the first choice is asked again (RFC 9846 §4.1.4).
    check(&client, kx_group::X25519MLKEM768, Some("X25519MLKEM768")).await;
    check(&client, kx_group::X25519, Some("x25519")).await;
    check(&client, kx_group::SECP256R1, Some("secp256r1")).await;
    check(&client, kx_group::SECP384R1, Some("secp384r1")).await;
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        client.set_policy(|policy| {
            policy.tls_min_version = version;
            policy.key_exchange_groups =
                KeyExchangeGroups::new(vec![Group::X25519MlKem768]).unwrap();
        });
        check(&client, kx_group::X25519MLKEM768, Some("X25519MLKEM768")).await;
        check(&client, kx_group::X25519, None).await;
    }
    client.set_policy(|policy| {
        policy.key_exchange_groups = KeyExchangeGroups::new(vec![Group::Secp384r1]).unwrap();
    });
    check(&client, kx_group::SECP384R1, Some("secp384r1")).await;
    check(&client, kx_group::X25519, None).await;
}

#[tokio::test]
async fn roots_are_the_policys() {
    let (operators, ours) = (
        TestCa::new("Operator's").unwrap(),
        TestCa::new("Ours").unwrap(),
    );
    let stranger = TestCa::new("Stranger").unwrap();
    let mut client = Client::trusting(&operators.root_pem());
    let check = async |client: &Client, ca: &TestCa, expect: Option<TlsFailure>| {
        let receiver = TlsReceiver::start(leaf(ca).acceptor(Speaks::Http2).unwrap()).await;
        let exchanged = client.post(&receiver.url()).await;
        match expect {
            None => check_status(&exchanged, 200),
            Some(failure) => {
                check_tls_failure(&exchanged, failure, &["no trusted root"]);
                assert_eq!(receiver.bytes(), 0);
                let report = exchanged.handshake.unwrap();
                assert_eq!(report.verified, []);
                assert_eq!(report.observed[0].subject, "CN=Test receiver");
            }
        }
    };
    let unknown = Some(TlsFailure::PeerUnknownIssuer);
    let expected = [
        (Trust::Public, None, unknown),
        (Trust::Private, unknown, None),
        (Trust::Both, None, None),
    ];
    for (trust, of_operators, of_ours) in expected {
        client.set_policy(|policy| {
            policy.trust = trust;
            policy.trust_anchors = (trust != Trust::Public).then(|| anchor_set(&[&ours]));
        });
        check(&client, &operators, of_operators).await;
        check(&client, &ours, of_ours).await;
        check(&client, &stranger, unknown).await;
    }
}

/// What is under way when its policy is replaced goes on to its end; nobody uses its connection
/// after it.
#[tokio::test]
async fn a_request_under_way_when_its_policy_is_replaced() {
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let ca = TestCa::new("Root").unwrap();
    let acceptor = leaf(&ca).acceptor(Speaks::Http1).unwrap();
    let (got_one, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let notifies = (Arc::clone(&got_one), Arc::clone(&go_on));
    let server = Server::start(move |stream, number| {
        let (acceptor, (got_one, go_on)) = (acceptor.clone(), notifies.clone());
        async move {
            let mut stream = acceptor.accept(stream).await.unwrap();
            if number == 1 {
                read_request(&mut stream).await.unwrap();
                got_one.notify_one();
                go_on.notified().await;
                stream.write_all(OK).await.unwrap();
            }
            serve(stream, OK).await;
        }
    })
    .await;
    let url = server.tls_url();
    let mut client = Client::trusting(&ca.root_pem());
    let (before, after) = (client.transport(|_| {}), client.transport(|_| {}));
    client.set_transport(before);
    let first = client.post(&url);
    let mut first = pin!(first);
    tokio::select! {
        _ = &mut first => panic!("nobody answered"),
        () = got_one.notified() => {}
    }
    let second = client.post_under(&after, &url).await;
    check_status(&second, 200);
    go_on.notify_one();
    check_status(&first.await, 200);
    for _ in 0..2 {
        check_status(&client.post_under(&after, &url).await, 200);
    }
    assert_eq!(server.connections(), 2);
}

/// What has a connection, or is opening one, sends nothing under a policy that is no more.
#[tokio::test]
async fn a_policy_that_is_retired_before_anything_is_sent() {
    let ca = TestCa::new("Root").unwrap();
    let check = |exchanged: &Exchanged| {
        let words = ["policy was changed meanwhile; nothing was sent"];
        check_failure(exchanged, FailureKind::Internal, &words);
        assert_eq!(exchanged.tls_failure, None);
        assert_eq!(exchanged.handshake, None);
    };
    for speaks in [Speaks::Http1, Speaks::Http2] {
        let client = Client::trusting(&ca.root_pem());
        let acceptor = leaf(&ca).acceptor(speaks).unwrap();
        // While the connection is being opened.
        let transport = client.transport(|_| {});
        let (retiring, accepting) = (Arc::clone(&transport), acceptor.clone());
        let receiver = TlsReceiver::changing(move |_| {
            retiring.retire();
            accepting.clone()
        })
        .await;
        check(&client.post_under(&transport, &receiver.url()).await);
        assert_eq!((receiver.connections(), receiver.bytes()), (1, 0));
        // While one is kept.
        let transport = client.transport(|_| {});
        let receiver = TlsReceiver::start(acceptor).await;
        check_status(&client.post_under(&transport, &receiver.url()).await, 200);
        transport.retire();
        check(&client.post_under(&transport, &receiver.url()).await);
        assert_eq!((receiver.connections(), receiver.requests()), (1, 1));
        let anew = client.transport(|_| {});
        check_status(&client.post_under(&anew, &receiver.url()).await, 200);
        assert_eq!((receiver.connections(), receiver.requests()), (2, 2));
    }
}

/// While a root is replaced, both count.
#[tokio::test]
async fn old_and_new_root_together() {
    let (old, new) = (TestCa::new("Old").unwrap(), TestCa::new("New").unwrap());
    let mut client = Client::trusting(&TestCa::new("Operator's").unwrap().root_pem());
    client.set_policy(|policy| {
        policy.trust = Trust::Private;
        policy.trust_anchors = Some(anchor_set(&[&old, &new]));
    });
    for ca in [&old, &new] {
        let receiver = TlsReceiver::start(leaf(ca).acceptor(Speaks::Http2).unwrap()).await;
        check_status(&client.post(&receiver.url()).await, 200);
    }
}

/// SNI and the name that is verified are the policy's; where it connects to is the URL's.
#[tokio::test]
async fn the_servers_name_can_be_another() {
    let ca = TestCa::new("Root").unwrap();
    let leaf = ca.issue(&LeafSpec::server("inside.example")).unwrap();
    let receiver = TlsReceiver::start(leaf.acceptor(Speaks::Http2).unwrap()).await;
    let mut client = Client::trusting(&ca.root_pem());
    let exchanged = client.post(&receiver.url()).await;
    check_tls_failure(
        &exchanged,
        TlsFailure::PeerWrongName,
        &["only for inside.example"],
    );
    client.set_policy(|policy| policy.server_name = Some("inside.example".to_owned()));
    check_status(&client.post(&receiver.url()).await, 200);

    let (tell, mut told) = mpsc::unbounded_channel();
    let listening = Server::start(move |mut stream, _| {
        let tell = tell.clone();
        async move {
            let mut head = [0; 5];
            stream.read_exact(&mut head).await.unwrap();
            let length = u16::from_be_bytes([head[3], head[4]]);
            let mut hello = vec![0; length.into()];
            stream.read_exact(&mut hello).await.unwrap();
            tell.send(hello).unwrap();
        }
    })
    .await;
    client.post(&listening.tls_url()).await;
    let hello = told.recv().await.unwrap();
    let tells = |name: &[u8]| hello.windows(name.len()).any(|at| at == name);
    assert!(tells(b"inside.example") && !tells(b"hooks.test"));
}

#[tokio::test]
async fn what_can_not_be_had_makes_no_transport() {
    let client = Client::plain();
    let check = |change: &dyn Fn(&mut hookseal_domain::transport::policy::ResolvedTransport),
                 failure: TlsFailure,
                 words: &str| {
        let mut changed = policy(&client.egress);
        change(&mut changed);
        let error: TransportError = client.egress.transport(&changed).unwrap_err();
        assert_eq!(error.failure, failure);
        assert!(error.reason.contains(words), "{error}");
    };
    let unusable = TlsFailure::PolicyUnusable;
    let name = || Name::parse("gone").unwrap();
    check(
        &|policy| policy.server_name = Some("a b".to_owned()),
        unusable,
        "serverName \"a b\"",
    );
    check(
        &|policy| policy.proxy = Some(name()),
        unusable,
        "no proxy gone",
    );
    check(
        &|policy| policy.client_identity = Some(IdentityChoice::Operator(name())),
        unusable,
        "no client identity gone",
    );
    check(
        &|policy| {
            let mut broken = (*anchor_set(&[&TestCa::new("Root").unwrap()])).clone();
            broken.anchors[0].der.truncate(10);
            policy.trust = Trust::Private;
            policy.trust_anchors = Some(Arc::new(broken));
        },
        unusable,
        "trust anchor set partners: entry 1",
    );
}
