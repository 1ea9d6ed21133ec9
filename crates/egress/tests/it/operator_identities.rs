//! Client identities that the operator keeps in files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use hookseal_domain::delivery::outcome::FailureKind;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::IdentityChoice;
use hookseal_egress::{
    Egress, EgressConfig, Exchanged, OperatorIdentity, OperatorIdentityStatus, OperatorKey,
    PublicRoots,
};
use hookseal_testkit::test_ca::{Leaf, LeafSpec, Purpose, Speaks, TestCa, Validity};
use tempfile::TempDir;

use crate::client::{Client, check_failure, check_status, config};
use crate::tls_receiver::{TlsReceiver, leaf};

/// A folder with the files of an identity called `us`.
struct Files(TempDir);

/// Who issues for whom.
struct Parties {
    servers: TestCa,
    clients: TestCa,
}

impl Files {
    fn of(leaf: &Leaf) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.write(leaf);
        files
    }

    fn certificate(&self) -> PathBuf {
        self.0.path().join("client.pem")
    }

    fn key(&self) -> PathBuf {
        self.0.path().join("client.key")
    }

    fn write(&self, leaf: &Leaf) {
        fs::write(self.certificate(), leaf.chain_pem()).unwrap();
        fs::write(self.key(), leaf.key_pem()).unwrap();
    }

    fn identity(&self) -> OperatorIdentity {
        OperatorIdentity {
            name: name(),
            certificate: self.certificate(),
            key: OperatorKey::File(self.key()),
        }
    }
}

impl Parties {
    fn new() -> Self {
        Self {
            servers: TestCa::new("Servers").unwrap(),
            clients: TestCa::new("Clients").unwrap(),
        }
    }

    fn issue(&self, common_name: &str) -> Leaf {
        self.clients.issue(&LeafSpec::client(common_name)).unwrap()
    }

    /// Takes certificates of the clients' authority only.
    async fn receiver(&self) -> TlsReceiver {
        let acceptor = leaf(&self.servers)
            .acceptor_demanding(Speaks::Http1, &self.clients)
            .unwrap();
        TlsReceiver::start(acceptor).await
    }

    fn client_of(&self, identities: Vec<OperatorIdentity>) -> Client {
        Client::with(EgressConfig {
            identities,
            extra_roots_pem: Some(self.servers.root_pem().into_bytes()),
            public_roots: PublicRoots::None,
            ..config()
        })
    }

    /// Presents this identity.
    fn client(&self, identity: OperatorIdentity) -> Client {
        let mut client = self.client_of(vec![identity]);
        client.set_policy(|policy| {
            policy.client_identity = Some(IdentityChoice::Operator(name()));
        });
        client
    }
}

fn name() -> Name {
    Name::parse("us").unwrap()
}

fn at(time: &str) -> Timestamp {
    Timestamp::parse_rfc3339(time).unwrap()
}

fn status(egress: &Egress) -> OperatorIdentityStatus {
    egress.operator_identities().remove(0)
}

fn status_of(egress: &Egress, name: &Name) -> OperatorIdentityStatus {
    let mut statuses = egress.operator_identities().into_iter();
    statuses.find(|status| status.name == *name).unwrap()
}

/// Nothing was sent, and this is why.
fn check_unusable(exchanged: &Exchanged, words: &[&str]) {
    check_failure(exchanged, FailureKind::Internal, words);
    assert_eq!(exchanged.tls_failure, Some(TlsFailure::IdentityUnusable));
}

/// What a certificate is called, newest first.
fn subjects(egress: &Egress) -> Vec<String> {
    let certificates = status(egress).certificates;
    certificates.into_iter().map(|one| one.subject).collect()
}

fn sweep_twice(egress: &Egress) {
    egress.sweep();
    egress.sweep();
}

#[tokio::test]
async fn new_files_are_presented_on_new_connections() {
    let parties = Parties::new();
    let receiver = parties.receiver().await;
    let files = Files::of(&parties.issue("first"));
    let client = parties.client(files.identity());
    let first = client.post(&receiver.url()).await;
    check_status(&first, 200);
    check_status(&client.post(&receiver.url()).await, 200);
    assert_eq!(receiver.connections(), 1);

    files.write(&parties.issue("second"));
    client.egress.sweep();
    assert_eq!(subjects(&client.egress), ["CN=first"]);
    client.egress.sweep();
    assert_eq!(subjects(&client.egress), ["CN=second", "CN=first"]);
    assert_eq!(status(&client.egress).epoch, 2);

    // The connection of the old certificate is not used any more.
    let second = client.post(&receiver.url()).await;
    check_status(&second, 200);
    assert_eq!(receiver.connections(), 2);
    let presented = |exchanged: Exchanged| {
        let report = exchanged.handshake.unwrap();
        report.client.presented.unwrap().sha256
    };
    assert_ne!(presented(first), presented(second));
}

/// A receiver that does not know the new CA yet still gets its deliveries.
#[tokio::test]
async fn the_certificate_before_helps_out() {
    let parties = Parties::new();
    let receiver = parties.receiver().await;
    let files = Files::of(&parties.issue("first"));
    let client = parties.client(files.identity());
    let others = TestCa::new("Others").unwrap();
    files.write(&others.issue(&LeafSpec::client("second")).unwrap());
    sweep_twice(&client.egress);

    let exchanged = client.post(&receiver.url()).await;
    check_status(&exchanged, 200);

    // No longer than it is valid itself.
    client.set_now("2099-01-01T00:00:00Z");
    let third = LeafSpec {
        validity: Validity::Between(at("2098-01-01T00:00:00Z"), at("2100-01-01T00:00:00Z")),
        ..LeafSpec::client("third")
    };
    files.write(&parties.clients.issue(&third).unwrap());
    sweep_twice(&client.egress);
    assert_eq!(subjects(&client.egress), ["CN=third"]);
}

/// Kubernetes replaces a link above the files, not the files.
#[tokio::test]
async fn swapped_links_are_noticed() {
    let parties = Parties::new();
    let folder = tempfile::tempdir().unwrap();
    let place = |version: &str, common_name: &str| {
        let data = folder.path().join(version);
        fs::create_dir(&data).unwrap();
        let files = parties.issue(common_name).write(&data, "tls").unwrap();
        let name = |path: &Path| path.file_name().unwrap().to_owned();
        [name(&files.chain), name(&files.key)]
    };
    let swap = |version: &str| {
        let new = folder.path().join("..new");
        symlink(version, &new).unwrap();
        fs::rename(new, folder.path().join("..data")).unwrap();
    };
    let [chain, key] = place("..1", "first");
    swap("..1");
    for file in [&chain, &key] {
        symlink(Path::new("..data").join(file), folder.path().join(file)).unwrap();
    }
    let client = parties.client(OperatorIdentity {
        name: name(),
        certificate: folder.path().join(&chain),
        key: OperatorKey::File(folder.path().join(&key)),
    });
    place("..2", "second");
    swap("..2");
    sweep_twice(&client.egress);
    assert_eq!(subjects(&client.egress), ["CN=second", "CN=first"]);
}

#[tokio::test]
async fn what_can_not_be_used_is_told_and_the_old_is_kept() {
    let parties = Parties::new();
    let (first, second) = (parties.issue("first"), parties.issue("second"));
    let files = Files::of(&first);
    let client = parties.client(files.identity());
    let check = |expect: Option<&str>| {
        sweep_twice(&client.egress);
        let status = status(&client.egress);
        assert_eq!(subjects(&client.egress), ["CN=first"]);
        assert_eq!(status.epoch, 1);
        match (status.last_error, expect) {
            (Some(error), Some(expect)) => assert!(error.contains(expect), "{error}"),
            (error, expect) => assert_eq!(error.as_deref(), expect),
        }
    };
    fs::write(files.certificate(), second.chain_pem()).unwrap();
    check(Some("certificate and key don't match"));
    fs::write(files.certificate(), "").unwrap();
    check(Some("has no certificate"));
    fs::write(files.certificate(), "-----BEGIN CERTIFICATE-----\nAAAA").unwrap();
    check(Some("is not in PEM"));
    fs::remove_file(files.certificate()).unwrap();
    check(Some("cannot be read"));
    files.write(&first);
    check(None);
    fs::remove_file(files.key()).unwrap();
    check(Some("client.key: cannot be read"));
    fs::write(files.key(), vec![b'a'; 300 * 1024]).unwrap();
    check(Some("is larger than 256 KiB"));
    files.write(&second);
    sweep_twice(&client.egress);
    assert_eq!(subjects(&client.egress), ["CN=second", "CN=first"]);
    assert_eq!(status(&client.egress).last_error, None);
}

/// A certificate that begins later is taken into use when it does.
#[tokio::test]
async fn a_certificate_of_the_future_is_waited_for() {
    let parties = Parties::new();
    let files = Files::of(&parties.issue("first"));
    let client = parties.client(files.identity());
    let later = LeafSpec {
        validity: Validity::Between(at("2026-11-24T00:00:00Z"), at("2026-12-24T00:00:00Z")),
        ..LeafSpec::client("later")
    };
    files.write(&parties.clients.issue(&later).unwrap());
    sweep_twice(&client.egress);
    let error = status(&client.egress).last_error.unwrap();
    assert!(error.contains("valid from 2026-11-24T00:00:00"), "{error}");
    client.set_now("2026-11-24T00:00:00Z");
    client.egress.sweep();
    assert_eq!(subjects(&client.egress), ["CN=later", "CN=first"]);
}

#[test]
fn a_start_tells_what_can_not_be_used() {
    let parties = Parties::new();
    let files = Files::of(&parties.issue("us"));
    let check = |expect: &str| {
        let client = parties.client(files.identity());
        let status = status(&client.egress);
        assert_eq!((status.epoch, status.certificates), (0, vec![]));
        let error = status.last_error.unwrap();
        assert!(error.contains(expect), "{error}");
    };
    let write = |spec: LeafSpec| files.write(&parties.clients.issue(&spec).unwrap());
    write(LeafSpec {
        purpose: Purpose::Server,
        ..LeafSpec::client("us")
    });
    check("lacks clientAuth");
    write(LeafSpec {
        validity: Validity::Past,
        ..LeafSpec::client("us")
    });
    check("the certificate ended at");
    write(LeafSpec {
        validity: Validity::Future,
        ..LeafSpec::client("us")
    });
    check("the certificate is valid from");
    write(LeafSpec::client("us"));
    fs::write(files.key(), parties.issue("other").key_pem()).unwrap();
    check("client.pem: certificate and key don't match");
    fs::write(files.key(), "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n").unwrap();
    check("client.key: has a key with a passphrase");
    fs::write(files.key(), parties.issue("us").chain_pem()).unwrap();
    check("client.key: has no private key");
    fs::remove_file(files.key()).unwrap();
    check("client.key: cannot be read: No such file");
}

/// Nothing is sent for it, what has nothing to do with it goes on, and what is mended works without
/// another start.
#[tokio::test]
async fn a_mismatched_pair_at_a_start_holds_up_only_its_own() {
    let parties = Parties::new();
    let receiver = parties.receiver().await;
    let (files, good) = (
        Files::of(&parties.issue("us")),
        Files::of(&parties.issue("good")),
    );
    let second = parties.issue("second");
    fs::write(files.certificate(), second.chain_pem()).unwrap();
    let them = Name::parse("them").unwrap();
    let mut client = parties.client_of(vec![
        files.identity(),
        OperatorIdentity {
            name: them.clone(),
            ..good.identity()
        },
    ]);
    let theirs = client.transport(|policy| {
        policy.client_identity = Some(IdentityChoice::Operator(them.clone()));
    });
    client.set_policy(|policy| policy.client_identity = Some(IdentityChoice::Operator(name())));

    let exchanged = client.post(&receiver.url()).await;
    check_unusable(
        &exchanged,
        &["identity us", "client.pem: certificate and key don't match"],
    );
    let folder = files.0.path().to_str().unwrap();
    let reason = exchanged.reason.unwrap();
    assert!(!reason.contains(folder), "{reason}");
    let report = client.probe(&receiver.url()).await;
    let failure = report.failure.unwrap();
    assert_eq!(failure.failure, TlsFailure::IdentityUnusable);
    assert_eq!(receiver.connections(), 0);
    check_status(&client.post_under(&theirs, &receiver.url()).await, 200);

    // Polls alone mend nothing.
    sweep_twice(&client.egress);
    assert_eq!(status_of(&client.egress, &name()).epoch, 0);
    files.write(&second);
    sweep_twice(&client.egress);
    let mended = status_of(&client.egress, &name());
    assert_eq!((mended.epoch, mended.last_error), (1, None));
    check_status(&client.post(&receiver.url()).await, 200);
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn an_expired_certificate_at_a_start_waits_for_a_new_one() {
    let parties = Parties::new();
    let receiver = parties.receiver().await;
    let expired = LeafSpec {
        validity: Validity::Past,
        ..LeafSpec::client("us")
    };
    let files = Files::of(&parties.clients.issue(&expired).unwrap());
    let client = parties.client(files.identity());
    let exchanged = client.post(&receiver.url()).await;
    check_unusable(&exchanged, &["client.pem: the certificate ended at"]);
    assert_eq!(receiver.connections(), 0);

    files.write(&parties.issue("us"));
    sweep_twice(&client.egress);
    check_status(&client.post(&receiver.url()).await, 200);
}

/// It is the same as if it had ended before a start.
#[tokio::test]
async fn a_certificate_that_ends_in_use_is_told() {
    let parties = Parties::new();
    let receiver = parties.receiver().await;
    let short = LeafSpec {
        validity: Validity::Between(at("2026-11-22T00:00:00Z"), at("2026-11-24T00:00:00Z")),
        ..LeafSpec::client("us")
    };
    let files = Files::of(&parties.clients.issue(&short).unwrap());
    let client = parties.client(files.identity());
    check_status(&client.post(&receiver.url()).await, 200);

    client.set_now("2026-11-24T00:00:01Z");
    client.egress.sweep();
    let error = status(&client.egress).last_error.unwrap();
    assert!(
        error.contains("client.pem: the certificate ended at"),
        "{error}"
    );
    check_unusable(
        &client.post(&receiver.url()).await,
        &["client.pem: the certificate ended at"],
    );
    assert_eq!(receiver.requests(), 1);
}

/// An identity that nobody configured can't be presented, and is not left out either.
#[tokio::test]
async fn a_policy_that_names_another_identity_is_unusable() {
    let parties = Parties::new();
    let files = Files::of(&parties.issue("us"));
    let client = parties.client(files.identity());
    let mut policy = crate::client::policy(&client.egress);
    assert_eq!(client.egress.defaults().identities, [name()]);
    let other = Name::parse("them").unwrap();
    policy.client_identity = Some(IdentityChoice::Operator(other));
    let error = client.egress.transport(&policy).unwrap_err();
    assert_eq!(error.failure, TlsFailure::PolicyUnusable);
}
