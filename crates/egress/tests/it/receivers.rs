//! The servers of others, which demand client certificates: what an attempt with each sort of
//! certificate comes to.

mod cell;
mod page;
pub(crate) mod sender;

use bytes::Bytes;
use hookseal_domain::transport::policy::{ResolvedTransport, TlsVersion};
use hookseal_egress::Exchanged;
use hookseal_testkit::real_server::{RealServer, Software};
use hookseal_testkit::test_ca::{Leaf, LeafSpec, TestCa, Validity};

use self::cell::{Cell, Shown};
use self::sender::{NOW, Sender, identity, policy};

const VERSIONS: [TlsVersion; 2] = [TlsVersion::Tls13, TlsVersion::Tls12];
/// When the expired certificate was valid: our clock says it still is, the server's that it is not.
const THEN: &str = "2020-01-15T00:00:00Z";
const SMALL: &[u8] = b"{\"a\": 1}";
/// More than all buffers between us and a server that does not read.
const LARGE_BYTES: usize = 4 << 20;

/// Who trusts whom.
struct Parties {
    servers: TestCa,
    clients: TestCa,
    server: Leaf,
    wrong: Leaf,
    expired: Leaf,
    right: Leaf,
}

// === impl Parties ===

impl Parties {
    fn new() -> Self {
        let [servers, clients, others] =
            ["Servers", "Clients", "Others"].map(|name| TestCa::new(name).unwrap());
        let ours = LeafSpec::client("Hookseal");
        let expired = LeafSpec {
            validity: Validity::Past,
            ..ours.clone()
        };
        Self {
            server: servers.issue(&LeafSpec::server("hooks.test")).unwrap(),
            wrong: others.issue(&ours).unwrap(),
            expired: clients.issue(&expired).unwrap(),
            right: clients.issue(&ours).unwrap(),
            servers,
            clients,
        }
    }

    /// `None` if it is not installed, which is said, and is an error in CI.
    async fn start(&self, software: Software) -> Option<RealServer> {
        let server = RealServer::start(software, &self.server, &self.clients).await;
        let server = server.unwrap();
        if server.is_none() {
            let name = software.name();
            assert!(std::env::var_os("CI").is_none(), "{name} is not installed");
            println!("SKIPPED {name}: it is not installed");
        }
        server
    }

    fn sender(&self, version: TlsVersion, shown: Shown) -> Sender {
        let (leaf, now) = match shown {
            Shown::None => (None, NOW),
            Shown::WrongCa => (Some(&self.wrong), NOW),
            Shown::Expired => (Some(&self.expired), THEN),
            Shown::Right => (Some(&self.right), NOW),
        };
        let policy = ResolvedTransport {
            tls_min_version: version,
            client_identity: leaf.map(identity),
            ..policy(&[&self.servers])
        };
        Sender::new(&policy, now)
    }
}

/// Attempts once, and says what it came to.
async fn attempt(
    server: &RealServer,
    sender: &Sender,
    version: TlsVersion,
    body: Bytes,
) -> (Result<Cell, String>, Exchanged) {
    let before = server.requests();
    let exchanged = sender.post(server.address(version).port(), body).await;
    let arrived = server.requests() > before;
    (Cell::observed(&exchanged, arrived), exchanged)
}

/// What the report of the handshake has to say beside the outcome.
fn check_report(exchanged: &Exchanged, expect: Cell, version: TlsVersion, shown: Shown) {
    let report = exchanged.handshake.as_deref().unwrap();
    let failure = report.failure.as_ref().map(|failed| failed.failure);
    assert_eq!(failure, expect.failure());
    assert!(report.client.requested, "{report:?}");
    assert_eq!(report.client.presented.is_some(), shown != Shown::None);
    if let Some(tls) = &report.tls {
        let expect = match version {
            TlsVersion::Tls12 => "TLSv1.2",
            TlsVersion::Tls13 => "TLSv1.3",
        };
        assert_eq!(tls.version, expect);
    }
}

/// Each outcome is the right typed one, and only the right certificate delivers.
#[tokio::test]
async fn every_server_with_every_certificate() {
    let parties = Parties::new();
    let mut wrong = Vec::new();
    for software in Software::ALL {
        let Some(server) = parties.start(software).await else {
            continue;
        };
        let name = software.name();
        println!("{name}: {}", software.version().unwrap().unwrap());
        for version in VERSIONS {
            let mut cells = Vec::new();
            for shown in Shown::ALL {
                let sender = parties.sender(version, shown);
                let body = Bytes::from_static(SMALL);
                let (got, exchanged) = attempt(&server, &sender, version, body).await;
                let expect = Cell::expected(software, shown);
                if got == Ok(expect) {
                    check_report(&exchanged, expect, version, shown);
                } else {
                    wrong.push(format!(
                        "{name}, {version:?}, {shown:?}: {expect:?} expected, not {got:?}: {:?}\n{}",
                        exchanged.reason,
                        server.log(),
                    ));
                }
                cells.extend(got);
            }
            println!("{version:?} {}", page::row(software, &cells));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// TLS 1.3: a refusal comes while a large body is being sent, and is found after writing failed.
#[tokio::test]
async fn a_refusal_is_known_after_a_failed_write() {
    let parties = Parties::new();
    for (software, times) in Software::ALL.map(|software| (software, repetitions(software))) {
        let Some(server) = parties.start(software).await else {
            continue;
        };
        for shown in Shown::ALL {
            let sender = parties.sender(TlsVersion::Tls13, shown);
            let expect = Cell::expected(software, shown);
            for time in 0..times {
                let body = Bytes::from(vec![b'x'; LARGE_BYTES]);
                let (got, exchanged) = attempt(&server, &sender, TlsVersion::Tls13, body).await;
                let reason = exchanged.reason;
                let name = software.name();
                assert_eq!(got, Ok(expect), "{name}, {shown:?}, {time}: {reason:?}");
            }
        }
    }
}

/// Those whose connections break in more than one way are asked more often.
fn repetitions(software: Software) -> usize {
    match software {
        Software::Haproxy | Software::Python | Software::Node => 10,
        _ => 1,
    }
}
