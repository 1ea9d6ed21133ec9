//! Client identities whose keys are in a PKCS#11 token: SoftHSM's.
//!
//! SoftHSM finds its tokens by an environment variable, which a process can't set for itself: each
//! test runs itself once more in a process that has it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use hookseal_domain::delivery::outcome::FailureKind;
use hookseal_domain::id::EndpointId;
use hookseal_domain::secret::Secret;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::policy::{IdentityChoice, TlsVersion};
use hookseal_egress::{
    Egress, EgressConfig, OperatorIdentity, OperatorKey, PublicRoots, TokenConfig,
};
use hookseal_testkit::test_ca::{KeyKind, Leaf, LeafSpec, Speaks, TestCa};

use crate::client::{Client, NOW_MILLIS, check_failure, check_status, config};
use crate::tls_receiver::{TlsReceiver, leaf};
use crate::tool::{is_there, run, skip};

/// Tells a process that it is the second one, and where its folder is.
const FOLDER: &str = "HOOKSEAL_TEST_TOKEN_FOLDER";
const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
];
const PIN: &str = "1234";
const SO_PIN: &str = "5678";

/// A token of this test's own, and the parties around it.
struct Token {
    folder: PathBuf,
    module: PathBuf,
    label: &'static str,
    servers: TestCa,
    clients: TestCa,
}

// === impl Token ===

impl Token {
    fn new(folder: &Path, module: PathBuf) -> Self {
        init("ours");
        Self {
            label: "ours",
            folder: folder.to_path_buf(),
            module,
            servers: TestCa::new("Servers").unwrap(),
            clients: TestCa::new("Clients").unwrap(),
        }
    }

    fn issue(&self, common_name: &str, key: KeyKind) -> Leaf {
        let spec = LeafSpec {
            key,
            ..LeafSpec::client(common_name)
        };
        self.clients.issue(&spec).unwrap()
    }

    /// Puts the key of a certificate into the token.
    fn import(&self, leaf: &Leaf, label: &str, id: &str) {
        let file = self.folder.join("import.pem");
        fs::write(&file, key_pem(leaf)).unwrap();
        let mut import = Command::new("softhsm2-util");
        import.arg("--import").arg(&file);
        import.args([
            "--token", self.label, "--label", label, "--id", id, "--pin", PIN,
        ]);
        run(&mut import);
        fs::remove_file(file).unwrap();
    }

    /// An identity whose certificate is in a file.
    fn identity(&self, leaf: &Leaf, label: &str) -> OperatorIdentity {
        let certificate = self.folder.join("client.pem");
        fs::write(&certificate, leaf.chain_pem()).unwrap();
        OperatorIdentity {
            name: name(),
            certificate,
            key: OperatorKey::Token(label.to_owned()),
        }
    }

    fn config(&self, identity: OperatorIdentity) -> EgressConfig {
        EgressConfig {
            identities: vec![identity],
            token: Some(TokenConfig {
                module: self.module.clone(),
                label: self.label.to_owned(),
                pin: Secret::new(PIN.to_owned()),
            }),
            extra_roots_pem: Some(self.servers.root_pem().into_bytes()),
            public_roots: PublicRoots::None,
            ..config()
        }
    }

    fn client(&self, identity: OperatorIdentity, version: TlsVersion) -> Client {
        let mut client = Client::with(self.config(identity));
        client.set_policy(|policy| {
            policy.client_identity = Some(IdentityChoice::Operator(name()));
            policy.tls_min_version = version;
        });
        client
    }

    async fn receiver(&self, speaks: Speaks) -> TlsReceiver {
        let acceptor = leaf(&self.servers).acceptor_demanding(speaks, &self.clients);
        TlsReceiver::start(acceptor.unwrap()).await
    }

    /// Ends all sessions behind the back of whoever has them, as if the token was taken out and put
    /// in again.
    fn end_sessions(&self) {
        let module = Pkcs11::new(&self.module).unwrap();
        module.clone().finalize().unwrap();
        let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        module.initialize(arguments).unwrap();
    }

    /// Why the identity can't be used after a start.
    fn trouble(config: EgressConfig) -> String {
        let now = Timestamp::from_millis(NOW_MILLIS);
        let egress = Egress::new(config, Arc::new(move || now)).unwrap();
        egress.operator_identities().remove(0).last_error.unwrap()
    }
}

/// Makes a token.
fn init(label: &str) {
    let mut init = Command::new("softhsm2-util");
    init.args(["--init-token", "--free", "--label", label]);
    run(init.args(["--pin", PIN, "--so-pin", SO_PIN]));
}

/// The key in the form that OpenSSL reads, for which one of Ed25519 must not hold its public half
/// too (RFC 8410 §7).
fn key_pem(leaf: &Leaf) -> String {
    const HEAD: [u8; 16] = [
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];
    let der = leaf.key().secret_der();
    // Behind the version both forms are the same.
    match (der.get(5..HEAD.len()), der.get(HEAD.len()..HEAD.len() + 32)) {
        (Some(middle), Some(seed)) if HEAD.ends_with(middle) => {
            let der = [&HEAD[..], seed].concat();
            let text = STANDARD.encode(der);
            format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
        }
        _ => leaf.key_pem(),
    }
}

fn name() -> Name {
    Name::parse("us").unwrap()
}

/// Runs `test` in a process that knows the folder of its tokens.
fn with_token<F: Future<Output = ()>>(test: &str, work: impl FnOnce(Token) -> F) {
    let Some(module) = MODULES
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
    else {
        return skip("SoftHSM is not installed");
    };
    if !is_there("softhsm2-util", "--version") {
        return;
    }
    if let Some(folder) = env::var_os(FOLDER) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let token = Token::new(Path::new(&folder), module);
        return runtime.block_on(work(token));
    }
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    fs::create_dir(&tokens).unwrap();
    let settings = folder.path().join("softhsm2.conf");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\n",
        tokens.display()
    );
    fs::write(&settings, text).unwrap();
    let mut again = Command::new(env::current_exe().unwrap());
    again.args(["--exact", test, "--nocapture"]);
    again
        .env("SOFTHSM2_CONF", settings)
        .env(FOLDER, folder.path());
    run(&mut again);
}

#[test]
fn keys_of_every_kind_sign() {
    with_token("pkcs11::keys_of_every_kind_sign", async |token| {
        let kinds = [
            KeyKind::P256,
            KeyKind::P384,
            KeyKind::Rsa2048,
            KeyKind::Ed25519,
        ];
        for (kind, id) in kinds.into_iter().zip(["01", "02", "03", "04"]) {
            let leaf = token.issue("us", kind);
            token.import(&leaf, id, id);
            for (version, speaks) in [
                (TlsVersion::Tls13, Speaks::Http1),
                (TlsVersion::Tls12, Speaks::OldTls),
            ] {
                let receiver = token.receiver(speaks).await;
                let client = token.client(token.identity(&leaf, id), version);
                let exchanged = client.post(&receiver.url()).await;
                check_status(&exchanged, 200);
                let report = exchanged.handshake.unwrap();
                assert!(report.client.presented.is_some(), "{kind:?} {version}");
            }
        }
    });
}

#[test]
fn many_sign_at_once() {
    with_token("pkcs11::many_sign_at_once", async |token| {
        let leaf = token.issue("us", KeyKind::P256);
        token.import(&leaf, "key", "01");
        let receiver = token.receiver(Speaks::Http1).await;
        let client = Arc::new(token.client(token.identity(&leaf, "key"), TlsVersion::Tls13));
        let mut attempts = tokio::task::JoinSet::new();
        for endpoint in 0..24 {
            let (client, url) = (Arc::clone(&client), receiver.url());
            attempts
                .spawn(async move { client.post_as(EndpointId::from_raw(endpoint), &url).await });
        }
        for exchanged in attempts.join_all().await {
            check_status(&exchanged, 200);
        }
        assert_eq!(receiver.connections(), 24);
    });
}

#[test]
fn a_token_that_was_lost_is_found_again() {
    with_token(
        "pkcs11::a_token_that_was_lost_is_found_again",
        async |token| {
            let leaf = token.issue("us", KeyKind::P256);
            token.import(&leaf, "key", "01");
            let receiver = token.receiver(Speaks::Http1).await;
            let client = token.client(token.identity(&leaf, "key"), TlsVersion::Tls13);
            for endpoint in 1..=3 {
                let endpoint = EndpointId::from_raw(endpoint);
                check_status(&client.post_as(endpoint, &receiver.url()).await, 200);
                token.end_sessions();
            }
        },
    );
}

/// A PIN that does not work any more is told to the token once.
#[test]
fn a_refused_pin_is_not_tried_again() {
    with_token("pkcs11::a_refused_pin_is_not_tried_again", async |token| {
        if !is_there("pkcs11-tool", "--version") {
            return;
        }
        let leaf = token.issue("us", KeyKind::P256);
        token.import(&leaf, "key", "01");
        let receiver = token.receiver(Speaks::Http1).await;
        let client = token.client(token.identity(&leaf, "key"), TlsVersion::Tls13);
        let change = |from: &str, to: &str| {
            let mut change = Command::new("pkcs11-tool");
            change.arg("--module").arg(&token.module);
            change.args(["--token-label", "ours", "--login", "--change-pin"]);
            run(change.args(["--pin", from, "--new-pin", to]));
        };
        change(PIN, "9999");
        token.end_sessions();
        for endpoint in 1..=2 {
            let exchanged = client
                .post_as(EndpointId::from_raw(endpoint), &receiver.url())
                .await;
            check_failure(&exchanged, FailureKind::Handshake, &["refused its PIN"]);
            assert_eq!(exchanged.tls_failure, Some(TlsFailure::IdentityUnusable));
            // Not even the one that would work by now.
            if endpoint == 1 {
                change("9999", PIN);
            }
        }
        assert_eq!(receiver.requests(), 0);
    });
}

/// While one key replaces another, both have the label; the certificate says which one signs.
#[test]
fn a_new_certificate_finds_the_new_key() {
    with_token(
        "pkcs11::a_new_certificate_finds_the_new_key",
        async |token| {
            let (first, second) = (
                token.issue("1", KeyKind::P256),
                token.issue("2", KeyKind::P256),
            );
            token.import(&first, "key", "01");
            let receiver = token.receiver(Speaks::Http1).await;
            let client = token.client(token.identity(&first, "key"), TlsVersion::Tls13);
            check_status(&client.post(&receiver.url()).await, 200);

            token.identity(&second, "key");
            client.egress.sweep();
            client.egress.sweep();
            let status = client.egress.operator_identities().remove(0);
            assert_eq!(status.epoch, 1);
            let error = status.last_error.unwrap();
            assert!(
                error.contains("no key \"key\" of the PKCS#11 token belongs"),
                "{error}"
            );

            token.import(&second, "key", "02");
            client.egress.sweep();
            let status = client.egress.operator_identities().remove(0);
            assert_eq!((status.epoch, status.last_error), (2, None));
            check_status(&client.post(&receiver.url()).await, 200);
            assert_eq!(receiver.connections(), 2);
        },
    );
}

#[test]
fn a_start_without_the_key_tells_why() {
    with_token("pkcs11::a_start_without_the_key_tells_why", async |token| {
        let leaf = token.issue("us", KeyKind::P256);
        token.import(&token.issue("other", KeyKind::P384), "other", "01");
        let check = |change: &dyn Fn(&mut EgressConfig), expect: &str| {
            let mut config = token.config(token.identity(&leaf, "key"));
            change(&mut config);
            let error = Token::trouble(config);
            assert!(error.contains(expect), "{error}");
        };
        check(&|_| {}, "the PKCS#11 token has no private key \"key\"");
        let other = |config: &mut EgressConfig| {
            config.identities[0].key = OperatorKey::Token("other".to_owned());
        };
        // Another kind of key is as good as none, another key of that kind is told.
        check(
            &other,
            "no key \"other\" of the PKCS#11 token belongs to the certificate",
        );
        let elsewhere = |config: &mut EgressConfig| {
            config.token.as_mut().unwrap().label = "theirs".to_owned();
        };
        check(&elsewhere, "there is no PKCS#11 token \"theirs\"");
        let wrong_pin = |config: &mut EgressConfig| {
            config.token.as_mut().unwrap().pin = Secret::new("0000".to_owned());
        };
        check(&wrong_pin, "the PKCS#11 token refused its PIN");
        let no_module = |config: &mut EgressConfig| {
            config.token.as_mut().unwrap().module = PathBuf::from("/nowhere.so");
        };
        check(&no_module, "the PKCS#11 module /nowhere.so can't be used");
        check(
            &|config| config.token = None,
            "egress.pkcs11_module is not set",
        );
    });
}

/// As after a reboot, when the network that a token is in comes up later than we do.
#[test]
fn a_token_that_comes_after_the_start_is_found() {
    with_token(
        "pkcs11::a_token_that_comes_after_the_start_is_found",
        async |mut token| {
            let leaf = token.issue("us", KeyKind::P256);
            let receiver = token.receiver(Speaks::Http1).await;
            token.label = "late";
            let client = token.client(token.identity(&leaf, "key"), TlsVersion::Tls13);
            let exchanged = client.post(&receiver.url()).await;
            let words = "client.pem: its key in the PKCS#11 token can't be used; nothing was sent";
            check_failure(&exchanged, FailureKind::Internal, &[words]);
            assert_eq!(exchanged.tls_failure, Some(TlsFailure::IdentityUnusable));
            client.egress.sweep();
            assert_eq!(receiver.connections(), 0);

            init(token.label);
            token.import(&leaf, "key", "01");
            client.egress.sweep();
            let status = client.egress.operator_identities().remove(0);
            assert_eq!((status.epoch, status.last_error), (1, None));
            check_status(&client.post(&receiver.url()).await, 200);
        },
    );
}
