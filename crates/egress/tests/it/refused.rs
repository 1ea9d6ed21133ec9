//! Servers that must be refused: each for the right reason, and before it sees a byte of HTTP.

mod counting;
mod public;
mod revoked;
mod weak;

use bytes::Bytes;
use hookseal_domain::delivery::outcome::{FailureKind, Reply};
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::policy::{Pinning, ResolvedTransport, TlsVersion};
use hookseal_egress::EgressConfig;
use hookseal_pki::certificate::SpkiSha256;
use hookseal_testkit::real_server::Software;
use hookseal_testkit::test_ca::{Leaf, LeafSpec, Purpose, Speaks, TestCa, Validity};
use tempfile::TempDir;

use self::counting::Counting;
use crate::client::{check_status, config};
use crate::receivers::sender::{NOW, Sender, policy};

const BODY: &[u8] = b"{\"a\": 1}";

/// A server that must be refused, and by what.
struct Refused {
    what: &'static str,
    server: Counting,
    policy: ResolvedTransport,
    expect: TlsFailure,
    /// Words of the reason.
    words: &'static [&'static str],
}

// === impl Refused ===

impl Refused {
    async fn check(self) {
        let sender = Sender::new(&self.policy, NOW);
        self.check_with(&sender).await;
    }

    async fn check_with(self, sender: &Sender) {
        let what = self.what;
        let exchanged = sender
            .post(self.server.port(), Bytes::from_static(BODY))
            .await;
        assert_eq!(
            exchanged.tls_failure,
            Some(self.expect),
            "{what}: {exchanged:?}"
        );
        let without_answer = [FailureKind::NotTrusted, FailureKind::Handshake].map(Reply::Failure);
        assert!(
            without_answer.contains(&exchanged.reply),
            "{what}: {exchanged:?}"
        );
        let reason = exchanged.reason.unwrap_or_default();
        for word in self.words {
            assert!(
                reason.contains(word),
                "{what}: {word:?} is not in {reason:?}"
            );
        }
        assert_eq!(self.server.bytes().await, 0, "{what}");
        println!("| {what} | `{}` | {reason} |", self.expect.as_str());
    }
}

fn spec() -> LeafSpec {
    LeafSpec::server("hooks.test")
}

/// So that a count of 0 means something.
#[tokio::test]
async fn who_is_not_refused_is_counted() {
    let ca = TestCa::new("Root").unwrap();
    let leaf = ca.issue(&spec()).unwrap();
    let sender = Sender::new(&policy(&[&ca]), NOW);
    let mut servers = vec![showing(&leaf).await];
    servers.extend(openssl(&leaf, &["-tls1_3"]).await);
    for server in servers {
        let exchanged = sender.post(server.port(), Bytes::from_static(BODY)).await;
        check_status(&exchanged, 200);
        assert!(server.bytes().await > BODY.len());
    }
}

/// What is wrong with the certificate itself, or with those that belong to it.
#[tokio::test]
async fn a_certificate_that_proves_nothing() {
    let (ca, other) = (
        TestCa::new("Root").unwrap(),
        TestCa::new("Stranger").unwrap(),
    );
    let between = ca.intermediate("Between").unwrap();
    let strange = other.intermediate("Strange").unwrap();
    let valid = |validity| LeafSpec { validity, ..spec() };
    let purpose = |purpose| LeafSpec { purpose, ..spec() };
    let fixable = LeafSpec {
        issuer_urls: vec!["http://ca.test/between.cer".to_owned()],
        ..spec()
    };
    let issue = |spec: LeafSpec| ca.issue(&spec).unwrap();
    let table: [(_, Leaf, TlsFailure, &[&str]); 9] = [
        (
            "expired",
            issue(valid(Validity::Past)),
            TlsFailure::PeerExpired,
            &["expired on 2020-01-31"],
        ),
        (
            "not yet valid",
            issue(valid(Validity::Future)),
            TlsFailure::PeerNotYetValid,
            &["valid from 2048-01-01"],
        ),
        (
            "wrong name",
            issue(LeafSpec::server("other.test")),
            TlsFailure::PeerWrongName,
            &["not valid for hooks.test, only for other.test"],
        ),
        (
            "self-signed",
            Leaf::self_signed(&spec()).unwrap(),
            TlsFailure::PeerSelfSigned,
            &["self-signed"],
        ),
        (
            "unknown root",
            strange.issue(&spec()).unwrap(),
            TlsFailure::PeerUnknownIssuer,
            &["no trusted root", "CN=Stranger"],
        ),
        (
            "unknown root, which issued the certificate itself",
            other.issue(&spec()).unwrap(),
            TlsFailure::PeerUnknownIssuer,
            &["no trusted root", "CN=Stranger", "trust anchor set"],
        ),
        (
            "missing intermediate",
            between.issue(&fixable).unwrap().alone(),
            TlsFailure::PeerIntermediateMissing,
            &["CN=Between", "http://ca.test/between.cer"],
        ),
        (
            "for clients only",
            issue(purpose(Purpose::Client)),
            TlsFailure::PeerWrongPurpose,
            &["serverAuth"],
        ),
        (
            "for code only",
            issue(purpose(Purpose::Code)),
            TlsFailure::PeerWrongPurpose,
            &["serverAuth"],
        ),
    ];
    for (what, leaf, expect, words) in table {
        let refused = Refused {
            what,
            server: showing(&leaf).await,
            policy: policy(&[&ca]),
            expect,
            words,
        };
        refused.check().await;
    }
}

#[tokio::test]
async fn another_key_than_the_pinned() {
    let ca = TestCa::new("Root").unwrap();
    let [leaf, pinned] = [(); 2].map(|()| ca.issue(&spec()).unwrap());
    let policy = ResolvedTransport {
        pinning: Pinning::Enforce,
        pins: vec![SpkiSha256::parse(&pinned.spki_sha256()).unwrap()],
        ..policy(&[&ca])
    };
    let refused = Refused {
        what: "pin mismatch",
        server: showing(&leaf).await,
        policy,
        expect: TlsFailure::PinMismatch,
        words: &["no pinned key is in the server's verified path"],
    };
    refused.check().await;
}

/// A certificate that others trust counts for nothing where only private roots do.
#[tokio::test]
async fn a_root_of_others_where_private_roots_count() {
    let (private, operators) = (
        TestCa::new("Private").unwrap(),
        TestCa::new("Operator").unwrap(),
    );
    let leaf = private.issue(&spec()).unwrap();
    let config = EgressConfig {
        extra_roots_pem: Some(operators.root_pem().into_bytes()),
        ..config()
    };
    let policy = policy(&[&private]);
    let sender = |now| Sender::with(config.clone(), &policy, now);
    let public = Refused {
        what: "public CA, under private roots only",
        server: Counting::rustls(public::acceptor(&leaf)).await,
        policy: policy.clone(),
        expect: TlsFailure::PeerPublicCa,
        words: &["CN=Amazon Root CA 1"],
    };
    public.check_with(&sender(public::THEN)).await;

    let between = operators.intermediate("Between").unwrap();
    let operators = Refused {
        what: "the operator's own CA, under private roots only",
        server: showing(&between.issue(&spec()).unwrap()).await,
        policy: policy.clone(),
        expect: TlsFailure::PeerUnknownIssuer,
        words: &["CN=Operator"],
    };
    operators.check_with(&sender(NOW)).await;
}

#[tokio::test]
async fn a_version_that_is_too_low() {
    let ca = TestCa::new("Root").unwrap();
    let leaf = ca.issue(&spec()).unwrap();
    let old = Refused {
        what: "TLS 1.2 only, under a policy of 1.3",
        server: Counting::rustls(leaf.acceptor(Speaks::OldTls).unwrap()).await,
        policy: policy(&[&ca]),
        expect: TlsFailure::VersionTooLow,
        words: &["TLS 1.3"],
    };
    old.check().await;

    let older = ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"];
    if let Some(server) = openssl(&leaf, &older).await {
        let oldest = Refused {
            what: "TLS 1.1 only, under a policy of 1.2",
            server,
            policy: ResolvedTransport {
                tls_min_version: TlsVersion::Tls12,
                ..policy(&[&ca])
            },
            expect: TlsFailure::VersionTooLow,
            words: &["TLS 1.2"],
        };
        oldest.check().await;
    }
}

/// OpenSSL at its lowest level still deals with keys and signatures that are broken.
#[tokio::test]
async fn a_weak_key_and_a_weak_signature() {
    if !openssl_is_there() {
        return;
    }
    let ca = TestCa::new("Root").unwrap();
    let rsa_1024 = ["-newkey", "rsa:1024"];
    let p256 = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let table: [(_, &[&str], _, _, &[&str]); 2] = [
        (
            "RSA key of 1024 bits",
            &rsa_1024,
            "-sha256",
            TlsFailure::PeerWeakKey,
            &["1024"],
        ),
        (
            "signed with SHA-1",
            &p256,
            "-sha1",
            TlsFailure::PeerWeakSignature,
            &["SHA"],
        ),
    ];
    for (what, new_key, digest, expect, words) in table {
        let folder = TempDir::new().unwrap();
        weak::issue(&ca, folder.path(), new_key, digest);
        let own = ["-cert", "weak.pem", "-key", "weak.key"];
        let lowest = ["-cipher", "ALL:@SECLEVEL=0", "-tls1_3"];
        let server = Counting::openssl(folder, &[&own[..], &lowest].concat()).await;
        let refused = Refused {
            what,
            server,
            policy: policy(&[&ca]),
            expect,
            words,
        };
        let sender = Sender::new(&refused.policy, weak::THEN);
        refused.check_with(&sender).await;
    }
}

/// OpenSSL makes a self-signed certificate a CA's, which a server's must not be.
#[tokio::test]
async fn a_self_signed_certificate_of_openssl() {
    if !openssl_is_there() {
        return;
    }
    let folder = TempDir::new().unwrap();
    weak::self_signed(folder.path());
    let own = ["-cert", "own.pem", "-key", "own.key"];
    let refused = Refused {
        what: "self-signed, as OpenSSL makes it",
        server: Counting::openssl(folder, &own).await,
        policy: policy(&[&TestCa::new("Root").unwrap()]),
        expect: TlsFailure::PeerSelfSigned,
        words: &["self-signed (CN=hooks.test)"],
    };
    let sender = Sender::new(&refused.policy, weak::THEN);
    refused.check_with(&sender).await;
}

async fn showing(leaf: &Leaf) -> Counting {
    Counting::rustls(leaf.acceptor(Speaks::Http1).unwrap()).await
}

/// `None` if OpenSSL is not installed.
async fn openssl(leaf: &Leaf, options: &[&str]) -> Option<Counting> {
    if !openssl_is_there() {
        return None;
    }
    let folder = TempDir::new().unwrap();
    leaf.write(folder.path(), "server").unwrap();
    let own = ["-cert", "server.pem", "-key", "server.key"];
    Some(Counting::openssl(folder, &[&own[..], options].concat()).await)
}

/// Whether OpenSSL is installed; it has to be in CI.
fn openssl_is_there() -> bool {
    let is_there = Software::OpensslServer.version().unwrap().is_some();
    if !is_there {
        assert!(std::env::var_os("CI").is_none(), "openssl is not installed");
        println!("SKIPPED servers of OpenSSL: it is not installed");
    }
    is_there
}
