//! Lookups against a CA whose lists and answers come from this machine, well or badly.

mod web;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use hookseal_domain::address_policy::PlainHttp;
use hookseal_domain::transport::name::Name;
use hookseal_pki::verify::verify;
use hookseal_testkit::test_ca::{
    CrlSpec, Leaf, LeafSpec, OcspSigner, OcspSpec, OcspStatus, Purpose, Stapling, TestCa, Validity,
};
use rustls_pki_types::ServerName;

use self::web::{Page, Web};
use super::*;
use crate::proxy::ProxyAddress;
use crate::resolve::Resolver;

/// 2026-11-23T00:00:00Z.
const NOW: Timestamp = Timestamp::from_millis(1_795_392_000_000);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A list of a day before and two days after now.
const CURRENT: Validity = Validity::Between(
    Timestamp::from_millis(1_795_392_000_000 - 86_400_000),
    Timestamp::from_millis(1_795_392_000_000 + 2 * 86_400_000),
);

/// A CA, what publishes its lists, and who looks at them.
struct World {
    ca: TestCa,
    web: Web,
    revocation: Revocation,
}

/// What a check is made with, but for the mode.
struct Asked<'a> {
    leaf: &'a Leaf,
    staple: &'a [u8],
    crl_urls: Vec<String>,
    proxy: Option<Arc<Proxy>>,
    now: Timestamp,
    within: Duration,
}

impl World {
    async fn new() -> Self {
        Self {
            ca: TestCa::new("Root").unwrap(),
            web: Web::start().await,
            revocation: revocation(&["127.0.0.0/8"]),
        }
    }

    /// A certificate that names the list at `/list` and nothing else.
    fn listed(&self) -> Leaf {
        let spec = LeafSpec {
            crl_urls: vec![self.web.url("/list")],
            ..LeafSpec::default()
        };
        self.ca.issue(&spec).unwrap()
    }

    /// A certificate that names the responder at `/ocsp` and nothing else.
    fn answered(&self) -> Leaf {
        let spec = LeafSpec {
            ocsp_urls: vec![self.web.url("/ocsp")],
            ..LeafSpec::default()
        };
        self.ca.issue(&spec).unwrap()
    }

    fn must_staple(&self) -> Leaf {
        let spec = LeafSpec {
            stapling: Stapling::Demanded,
            ..LeafSpec::default()
        };
        self.ca.issue(&spec).unwrap()
    }

    fn publish(&self, path: &str, spec: &CrlSpec<'_>) {
        self.web.put(path, Page::Ok(self.list(spec)));
    }

    fn list(&self, spec: &CrlSpec<'_>) -> Vec<u8> {
        self.ca.crl(spec).unwrap().to_vec()
    }

    async fn check(&self, mode: RevocationMode, leaf: &Leaf) -> Verdict {
        self.ask(mode, &asked(leaf)).await
    }

    async fn ask(&self, mode: RevocationMode, asked: &Asked<'_>) -> Verdict {
        ask(&self.revocation, &self.ca, mode, asked).await
    }
}

fn revocation(allowed: &[&str]) -> Revocation {
    let names = ["ca.example", "slow.example"];
    let names = names.map(|name| (name, vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]));
    let address_policy = AddressPolicy {
        allow_networks: allowed.iter().map(|net| net.parse().unwrap()).collect(),
        // Lists may be fetched all the same.
        plain_http: PlainHttp::Never,
    };
    Revocation::new(Arc::new(Names::new(Resolver::fixed(names))), address_policy)
}

fn asked(leaf: &Leaf) -> Asked<'_> {
    Asked {
        leaf,
        staple: &[],
        crl_urls: Vec::new(),
        proxy: None,
        now: NOW,
        within: Duration::from_secs(20),
    }
}

async fn ask(
    revocation: &Revocation,
    ca: &TestCa,
    mode: RevocationMode,
    asked: &Asked<'_>,
) -> Verdict {
    let (leaf, intermediates) = asked.leaf.chain().split_first().unwrap();
    let observed = ObservedChain::new(leaf, intermediates).unwrap();
    let roots = TrustAnchors::none()
        .with_pem(ca.root_pem().as_bytes())
        .unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let verified = verify(&observed, &roots, &name, unix_time(NOW)).unwrap();
    // A set that the chain does not lead to is passed over.
    let other = TestCa::new("Other").unwrap();
    let others = TrustAnchors::none()
        .with_pem(other.root_pem().as_bytes())
        .unwrap();
    revocation
        .check(&Question {
            mode,
            observed: &observed,
            verified: &verified,
            roots: &[Arc::new(others), Arc::new(roots)],
            staple: asked.staple,
            crl_urls: &asked.crl_urls,
            proxy: asked.proxy.as_ref(),
            now: asked.now,
            within: asked.within,
        })
        .await
}

/// The finding's word and what the attempt fails with.
fn outcome(verdict: &Verdict) -> (RevocationWord, Option<TlsFailure>) {
    let failure = verdict.failure.as_ref().map(|failed| failed.failure);
    (verdict.finding.status, failure)
}

fn detail(verdict: &Verdict) -> &str {
    verdict.finding.detail.as_deref().unwrap_or_default()
}

const GOOD: (RevocationWord, Option<TlsFailure>) = (RevocationWord::Good, None);
const UNKNOWN: (RevocationWord, Option<TlsFailure>) = (RevocationWord::Unknown, None);
const UNKNOWN_FAILS: (RevocationWord, Option<TlsFailure>) =
    (RevocationWord::Unknown, Some(TlsFailure::RevocationUnknown));
const REVOKED: (RevocationWord, Option<TlsFailure>) =
    (RevocationWord::Revoked, Some(TlsFailure::PeerRevoked));

use RevocationMode::{Hard, Off, Soft};

/// What comes of it in soft and in hard mode, each from scratch, and in what words.
async fn in_both(
    world: &mut World,
    asked: &Asked<'_>,
) -> [(RevocationWord, Option<TlsFailure>); 2] {
    let soft = world.ask(Soft, asked).await;
    world.revocation = revocation(&["127.0.0.0/8"]);
    let hard = world.ask(Hard, asked).await;
    world.revocation = revocation(&["127.0.0.0/8"]);
    [outcome(&soft), outcome(&hard)]
}

#[tokio::test]
async fn off_asks_nobody() {
    let world = World::new().await;
    let leaf = world.must_staple();
    let verdict = world.check(Off, &leaf).await;
    assert_eq!(outcome(&verdict), (RevocationWord::NotChecked, None));
    let verdict = world.check(Off, &world.listed()).await;
    assert_eq!(outcome(&verdict), (RevocationWord::NotChecked, None));
    assert_eq!(world.web.hits("/list"), 0);
}

#[tokio::test]
async fn a_certificate_that_names_nobody_can_t_be_asked_about() {
    let mut world = World::new().await;
    let leaf = world.ca.issue(&LeafSpec::default()).unwrap();
    let not_applicable = (RevocationWord::NotApplicable, None);
    let verdicts = in_both(&mut world, &asked(&leaf)).await;
    assert_eq!(verdicts, [not_applicable, not_applicable]);
}

#[tokio::test]
async fn a_list_is_kept_until_it_ends() {
    let world = World::new().await;
    let leaf = world.listed();
    let current = CrlSpec {
        validity: CURRENT,
        ..CrlSpec::default()
    };
    world.publish("/list", &current);
    for _ in 0..3 {
        let verdict = world.check(Hard, &leaf).await;
        assert_eq!(outcome(&verdict), GOOD);
        let list = format!("the revocation list {}", world.web.url("/list"));
        assert_eq!(detail(&verdict), list);
    }
    // Other certificates of the same CA are answered from it, too.
    assert_eq!(outcome(&world.check(Hard, &world.listed()).await), GOOD);
    assert_eq!(world.web.hits("/list"), 1);
    // When it has ended, it is fetched again, and this one has ended, too.
    let late = Asked {
        now: NOW.plus(2 * DAY),
        ..asked(&leaf)
    };
    let verdict = world.ask(Hard, &late).await;
    assert_eq!(outcome(&verdict), UNKNOWN_FAILS);
    assert!(
        detail(&verdict).contains("it expired: the next one was due on"),
        "{verdict:?}"
    );
    assert_eq!(world.web.hits("/list"), 2);
}

#[tokio::test]
async fn a_list_that_grows_old_is_fetched_again_while_nobody_waits() {
    let world = World::new().await;
    let leaf = world.listed();
    let from = |from: Timestamp, revoked| CrlSpec {
        validity: Validity::Between(from, NOW.plus(2 * DAY)),
        revoked,
        ..CrlSpec::default()
    };
    world.publish("/list", &from(NOW, vec![]));
    assert_eq!(outcome(&world.check(Hard, &leaf).await), GOOD);
    // Somebody on the way may send an older list: the newer one stays.
    world.publish("/list", &from(NOW.minus(DAY), vec![]));
    let later = |hours: u32| Asked {
        now: NOW.plus(HOUR * hours),
        ..asked(&leaf)
    };
    assert_eq!(outcome(&world.ask(Hard, &later(1)).await), GOOD);
    world.web.until_hits("/list", 2).await;
    world.publish("/list", &from(NOW.plus(HOUR), vec![&leaf]));
    // What is known is used at once, what comes counts from then on.
    let mut verdict = world.ask(Hard, &later(2)).await;
    assert_eq!(outcome(&verdict), GOOD);
    while outcome(&verdict) == GOOD {
        tokio::task::yield_now().await;
        verdict = world.ask(Hard, &later(2)).await;
    }
    assert_eq!(outcome(&verdict), REVOKED);
    assert_eq!(world.web.hits("/list"), 3);
}

#[tokio::test]
async fn many_who_want_a_list_fetch_it_once() {
    let world = World::new().await;
    let leaf = world.listed();
    world.publish("/list", &CrlSpec::default());
    let asked = asked(&leaf);
    let asking = (0..20).map(|_| world.ask(Hard, &asked));
    for verdict in web::all(asking).await {
        assert_eq!(outcome(&verdict), GOOD);
    }
    assert_eq!(world.web.hits("/list"), 1);
}

#[tokio::test]
async fn a_revoked_certificate_fails_in_both_modes() {
    let mut world = World::new().await;
    let leaf = world.listed();
    let revoking = CrlSpec {
        revoked: vec![&leaf],
        validity: CURRENT,
        ..CrlSpec::default()
    };
    world.publish("/list", &revoking);
    assert_eq!(in_both(&mut world, &asked(&leaf)).await, [REVOKED, REVOKED]);
    let verdict = world.check(Soft, &leaf).await;
    assert_eq!(
        verdict.failure.unwrap().reason,
        format!(
            "the server's certificate (CN=Test receiver) was revoked on 2026-11-22T00:00:00Z \
             (keyCompromise): the revocation list {} says so",
            world.web.url("/list")
        )
    );
}

#[tokio::test]
async fn what_can_t_be_found_out_passes_in_soft_mode_only() {
    let mut world = World::new().await;
    let leaf = world.listed();
    let cases: [(Page, &str); 6] = [
        (Page::Status(404), "it answers 404 Not Found"),
        (
            Page::Ok(b"<html>".to_vec()),
            "it is not an X.509 revocation list in DER or PEM",
        ),
        (Page::Close, "the HTTP exchange failed"),
        (
            Page::Ok(world.list(&CrlSpec {
                validity: Validity::Past,
                ..CrlSpec::default()
            })),
            "it expired: the next one was due on 2020-01-31T00:00:00Z",
        ),
        (
            Page::Ok(world.list(&CrlSpec {
                distribution_point: Some("http://ca.example/other".to_owned()),
                ..CrlSpec::default()
            })),
            "none of the distribution points that the certificate names",
        ),
        (
            Page::Ok(
                TestCa::new("Root")
                    .unwrap()
                    .crl(&CrlSpec::default())
                    .unwrap()
                    .to_vec(),
            ),
            "its signature is not that of the issuing CA's key",
        ),
    ];
    for (page, expect) in cases {
        world.web.put("/list", page);
        assert_eq!(
            in_both(&mut world, &asked(&leaf)).await,
            [UNKNOWN, UNKNOWN_FAILS],
            "{expect}"
        );
        let verdict = world.check(Soft, &leaf).await;
        assert!(detail(&verdict).contains(expect), "{verdict:?}");
        world.revocation = revocation(&["127.0.0.0/8"]);
    }
}

#[tokio::test]
async fn a_failed_fetch_is_not_tried_again_at_once() {
    let world = World::new().await;
    let leaf = world.listed();
    world.web.put("/list", Page::Status(503));
    for _ in 0..3 {
        assert_eq!(outcome(&world.check(Hard, &leaf).await), UNKNOWN_FAILS);
    }
    assert_eq!(world.web.hits("/list"), 1);
    world.publish("/list", &CrlSpec::default());
    let later = Asked {
        now: NOW.plus(Duration::from_secs(60)),
        ..asked(&leaf)
    };
    assert_eq!(outcome(&world.ask(Hard, &later).await), GOOD);
    assert_eq!(world.web.hits("/list"), 2);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let mut world = World::new().await;
    let leaf = world.listed();
    world.publish("/elsewhere", &CrlSpec::default());
    world
        .web
        .put("/list", Page::Redirect(world.web.url("/elsewhere")));
    assert_eq!(
        in_both(&mut world, &asked(&leaf)).await,
        [UNKNOWN, UNKNOWN_FAILS]
    );
    let verdict = world.check(Soft, &leaf).await;
    assert!(detail(&verdict).contains("it redirects (302 Found), which is not followed"));
    assert_eq!(world.web.hits("/elsewhere"), 0);
}

#[tokio::test]
async fn what_is_too_long_is_cut_off() {
    let mut world = World::new().await;
    let leaf = world.listed();
    for page in [Page::Endless, Page::Announced(1 << 40)] {
        world.web.put("/list", page);
        let verdict = world.check(Hard, &leaf).await;
        assert!(
            detail(&verdict).contains("it is longer than 15728640 bytes"),
            "{verdict:?}"
        );
        world.revocation = revocation(&["127.0.0.0/8"]);
    }
}

/// With the clock paused, waiting is over at once: what counts is that it ends, and when.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever() {
    let world = World::new().await;
    let leaf = world.listed();
    world.web.put("/list", Page::Silence);
    let seconds = async |mode, within| {
        let revocation = revocation(&["127.0.0.0/8"]);
        let asked = Asked {
            within: Duration::from_secs(within),
            ..asked(&leaf)
        };
        let began = Instant::now();
        let verdict = ask(&revocation, &world.ca, mode, &asked).await;
        let told = "in time";
        let told = detail(&verdict).contains(told) || detail(&verdict).contains("within 10 s");
        assert!(told, "{verdict:?}");
        (outcome(&verdict), began.elapsed().as_secs())
    };
    assert_eq!(seconds(Soft, 20).await, (UNKNOWN, 3));
    assert_eq!(seconds(Soft, 2).await, (UNKNOWN, 2));
    assert_eq!(seconds(Hard, 20).await, (UNKNOWN_FAILS, 10));
    assert_eq!(seconds(Hard, 4).await, (UNKNOWN_FAILS, 4));
}

/// In soft mode one delivery waits for a slow server, not every one of them.
#[tokio::test(start_paused = true)]
async fn a_slow_server_is_waited_for_once() {
    let world = World::new().await;
    let leaf = world.listed();
    world.web.put("/list", Page::Silence);
    let began = Instant::now();
    assert_eq!(outcome(&world.check(Soft, &leaf).await), UNKNOWN);
    assert_eq!(outcome(&world.check(Soft, &leaf).await), UNKNOWN);
    assert_eq!(began.elapsed().as_secs(), 3);
}

/// Whoever has a root of their own may name as many slow lists as they like.
#[tokio::test]
async fn slow_lists_of_some_do_not_keep_others_from_theirs() {
    let world = World::new().await;
    let port = world.web.port();
    let slow = TestCa::new("Slow").unwrap();
    world.web.put("/slow", Page::Silence);
    for number in 0..24 {
        let url = format!("http://slow.example:{port}/slow?{number}");
        let spec = LeafSpec {
            crl_urls: vec![url],
            ..LeafSpec::default()
        };
        let leaf = slow.issue(&spec).unwrap();
        let impatient = Asked {
            within: Duration::from_millis(1),
            ..asked(&leaf)
        };
        let verdict = ask(&world.revocation, &slow, Soft, &impatient).await;
        assert_eq!(outcome(&verdict), UNKNOWN);
    }
    world.web.until_hits("/slow", 4).await;
    world.publish("/list", &CrlSpec::default());
    let leaf = world.listed();
    // Sooner than the slow ones are given up.
    let soon = Asked {
        within: Duration::from_secs(5),
        ..asked(&leaf)
    };
    assert_eq!(outcome(&world.ask(Hard, &soon).await), GOOD);
    assert_eq!(world.web.hits("/slow"), 4);
}

#[tokio::test]
async fn private_addresses_are_refused_unless_allowed() {
    let world = World::new().await;
    world.publish("/list", &CrlSpec::default());
    let strict = revocation(&[]);
    let port = world.web.port();
    for (url, expect) in [
        (
            world.web.url("/list"),
            "address 127.0.0.1 is refused: it is a loopback address",
        ),
        (
            format!("http://ca.example:{port}/list"),
            "address 127.0.0.1 is refused",
        ),
        (
            format!("http://[::ffff:127.0.0.1]:{port}/list"),
            "is refused",
        ),
        (
            "http://169.254.169.254/latest".to_owned(),
            "is refused: it is a link-local address",
        ),
        (
            "http://nobody.example/list".to_owned(),
            "the name \"nobody.example\" does not exist",
        ),
        (
            "https://ca.example/list".to_owned(),
            "only http:// URLs are fetched",
        ),
        (
            "ldap://ca.example/cn=Root".to_owned(),
            "only http:// URLs are fetched",
        ),
        (
            format!("http://a:b@127.0.0.1:{port}/"),
            "it has a user name or password in it",
        ),
    ] {
        let spec = LeafSpec {
            crl_urls: vec![url.clone()],
            ..LeafSpec::default()
        };
        let leaf = world.ca.issue(&spec).unwrap();
        let verdict = ask(&strict, &world.ca, Hard, &asked(&leaf)).await;
        assert_eq!(outcome(&verdict), UNKNOWN_FAILS, "{url}");
        assert!(detail(&verdict).contains(expect), "{url}: {verdict:?}");
    }
    assert_eq!(world.web.hits("/list"), 0);
    // By name, where the operator allows the network.
    let spec = LeafSpec {
        crl_urls: vec![format!("http://ca.example:{port}/list")],
        ..LeafSpec::default()
    };
    let leaf = world.ca.issue(&spec).unwrap();
    assert_eq!(outcome(&world.check(Hard, &leaf).await), GOOD);
}

#[tokio::test]
async fn the_next_list_is_read_if_the_first_can_t_be_had() {
    let world = World::new().await;
    let spec = LeafSpec {
        crl_urls: vec![
            "ldap://ca.example/cn=Root".to_owned(),
            world.web.url("/list"),
        ],
        ..LeafSpec::default()
    };
    let leaf = world.ca.issue(&spec).unwrap();
    world.publish("/list", &CrlSpec::default());
    assert_eq!(outcome(&world.check(Hard, &leaf).await), GOOD);
}

#[tokio::test]
async fn configured_lists_count_for_all_certificates() {
    let mut world = World::new().await;
    let ca = world.ca.intermediate("Intermediate").unwrap();
    let leaf = ca.issue(&LeafSpec::default()).unwrap();
    let of_ca = |revoked| {
        let spec = CrlSpec {
            revoked,
            ..CrlSpec::default()
        };
        Page::Ok(ca.crl(&spec).unwrap().to_vec())
    };
    world.web.put("/ca", of_ca(vec![]));
    world.publish("/top", &CrlSpec::default());
    world.web.put("/stranger", {
        let stranger = TestCa::new("Stranger").unwrap();
        Page::Ok(stranger.crl(&CrlSpec::default()).unwrap().to_vec())
    });
    let web = world.web.clone();
    let with = |paths: &[&str]| Asked {
        crl_urls: paths.iter().map(|path| web.url(path)).collect(),
        ..asked(&leaf)
    };
    assert_eq!(
        in_both(&mut world, &with(&["/ca", "/top", "/stranger"])).await,
        [GOOD, GOOD]
    );
    // The whole path has to be covered, and every list has to be had.
    assert_eq!(
        in_both(&mut world, &with(&["/ca"])).await,
        [UNKNOWN, UNKNOWN_FAILS]
    );
    let one_missing = with(&["/ca", "/top", "/missing?token=secret"]);
    assert_eq!(
        in_both(&mut world, &one_missing).await,
        [UNKNOWN, UNKNOWN_FAILS]
    );
    let verdict = world.ask(Hard, &one_missing).await;
    assert!(
        detail(&verdict).contains("/missing: it answers 404"),
        "{verdict:?}"
    );
    assert!(!detail(&verdict).contains("secret"), "{verdict:?}");
    // A revocation counts even if other lists can't be had.
    world.web.put("/ca", of_ca(vec![&leaf]));
    world.revocation = revocation(&["127.0.0.0/8"]);
    assert_eq!(in_both(&mut world, &one_missing).await, [REVOKED, REVOKED]);
}

#[tokio::test]
async fn lists_may_be_pem() {
    let world = World::new().await;
    let leaf = world.listed();
    let base64 = {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(world.list(&CrlSpec::default()))
    };
    let pem = format!("-----BEGIN X509 CRL-----\n{base64}\n-----END X509 CRL-----\n");
    world.web.put("/list", Page::Ok(pem.into_bytes()));
    assert_eq!(outcome(&world.check(Hard, &leaf).await), GOOD);
}

/// A CA of the same name, trusted by somebody else, can't make us keep or drop lists for others.
#[tokio::test]
async fn lists_are_kept_for_their_issuer() {
    let world = World::new().await;
    let leaf = world.listed();
    world.publish("/list", &CrlSpec::default());
    let namesake = TestCa::new("Root").unwrap();
    let spec = LeafSpec {
        crl_urls: vec![world.web.url("/list")],
        ..LeafSpec::default()
    };
    let others = namesake.issue(&spec).unwrap();
    let verdict = ask(&world.revocation, &namesake, Hard, &asked(&others)).await;
    assert_eq!(outcome(&verdict), UNKNOWN_FAILS);
    assert_eq!(outcome(&world.check(Hard, &leaf).await), GOOD);
    let verdict = ask(&world.revocation, &namesake, Hard, &asked(&others)).await;
    assert_eq!(outcome(&verdict), UNKNOWN_FAILS);
    assert_eq!(world.web.hits("/list"), 2);
}

#[tokio::test]
async fn responders_are_asked_what_lists_do_not_tell() {
    let mut world = World::new().await;
    let leaf = world.answered();
    let answer = |status| {
        let spec = OcspSpec {
            status,
            ..OcspSpec::good(&leaf)
        };
        Page::Ok(world.ca.ocsp_answer(&spec).unwrap())
    };
    let [good, revoked, unknown] =
        [OcspStatus::Good, OcspStatus::Revoked, OcspStatus::Unknown].map(answer);
    world.web.put("/ocsp", good.clone());
    for _ in 0..3 {
        let verdict = world.check(Hard, &leaf).await;
        assert_eq!(outcome(&verdict), GOOD);
        let responder = format!("the OCSP responder {}", world.web.url("/ocsp"));
        assert_eq!(detail(&verdict), responder);
    }
    assert_eq!(world.web.hits("/ocsp"), 1);
    let request = world.web.last_request("/ocsp");
    assert!(request.starts_with("POST /ocsp HTTP/1.1\r\n"), "{request}");
    assert!(
        request.contains("content-type: application/ocsp-request\r\n"),
        "{request}"
    );
    world.revocation = revocation(&["127.0.0.0/8"]);

    world.web.put("/ocsp", revoked);
    assert_eq!(in_both(&mut world, &asked(&leaf)).await, [REVOKED, REVOKED]);
    for nothing in [unknown, Page::Status(500), Page::Ok(vec![0x30; 70_000])] {
        world.web.put("/ocsp", nothing);
        assert_eq!(
            in_both(&mut world, &asked(&leaf)).await,
            [UNKNOWN, UNKNOWN_FAILS]
        );
    }
    // The answer about one certificate is none about another.
    let other = world.answered();
    world.web.put("/ocsp", good);
    assert_eq!(
        in_both(&mut world, &asked(&other)).await,
        [UNKNOWN, UNKNOWN_FAILS]
    );
}

#[tokio::test]
async fn a_responder_is_not_asked_if_a_list_tells() {
    let world = World::new().await;
    let spec = LeafSpec {
        crl_urls: vec![world.web.url("/list")],
        ocsp_urls: vec![world.web.url("/ocsp")],
        ..LeafSpec::default()
    };
    let leaf = world.ca.issue(&spec).unwrap();
    world.publish("/list", &CrlSpec::default());
    assert_eq!(outcome(&world.check(Hard, &leaf).await), GOOD);
    assert_eq!(world.web.hits("/ocsp"), 0);
    let answer = world.ca.ocsp_answer(&OcspSpec::good(&leaf)).unwrap();
    world.web.put("/ocsp", Page::Ok(answer));
    world.web.put("/list", Page::Status(404));
    let fresh = revocation(&["127.0.0.0/8"]);
    let verdict = ask(&fresh, &world.ca, Hard, &asked(&leaf)).await;
    assert_eq!(outcome(&verdict), GOOD);
}

#[tokio::test]
async fn a_staple_saves_the_fetch() {
    let mut world = World::new().await;
    let leaf = world.listed();
    let answer = world.ca.ocsp_answer(&OcspSpec::good(&leaf)).unwrap();
    let stapled = Asked {
        staple: &answer,
        ..asked(&leaf)
    };
    assert_eq!(in_both(&mut world, &stapled).await, [GOOD, GOOD]);
    let verdict = world.ask(Hard, &stapled).await;
    assert_eq!(detail(&verdict), "the stapled OCSP answer");
    assert_eq!(world.web.hits("/list"), 0);

    let answer = world.ca.ocsp_answer(&OcspSpec::revoked(&leaf)).unwrap();
    let stapled = Asked {
        staple: &answer,
        ..asked(&leaf)
    };
    assert_eq!(in_both(&mut world, &stapled).await, [REVOKED, REVOKED]);
    assert_eq!(world.web.hits("/list"), 0);
}

#[tokio::test]
async fn a_configured_list_overrules_a_staple() {
    let mut world = World::new().await;
    let leaf = world.ca.issue(&LeafSpec::default()).unwrap();
    let answer = world.ca.ocsp_answer(&OcspSpec::good(&leaf)).unwrap();
    world.publish(
        "/given",
        &CrlSpec {
            revoked: vec![&leaf],
            ..CrlSpec::default()
        },
    );
    let asked = Asked {
        staple: &answer,
        crl_urls: vec![world.web.url("/given")],
        ..asked(&leaf)
    };
    assert_eq!(in_both(&mut world, &asked).await, [REVOKED, REVOKED]);
}

/// Whoever answers in place of a configured list's server, once, has no say in what comes after.
#[tokio::test]
async fn a_configured_list_that_nobody_signed_is_not_kept() {
    let mut world = World::new().await;
    let leaf = world.listed();
    let answer = world.ca.ocsp_answer(&OcspSpec::good(&leaf)).unwrap();
    // As new and as lasting as its maker likes.
    let lasting = Validity::Between(NOW.plus(DAY * 300), NOW.plus(DAY * 3000));
    let forged = |name: &str, distribution_point| {
        let spec = CrlSpec {
            validity: lasting,
            distribution_point,
            ..CrlSpec::default()
        };
        let list = TestCa::new(name).unwrap().crl(&spec).unwrap();
        Page::Ok(list.to_vec())
    };
    let elsewhere = Some("http://ca.example/other".to_owned());
    let revoking = CrlSpec {
        revoked: vec![&leaf],
        validity: CURRENT,
        ..CrlSpec::default()
    };
    let web = world.web.clone();
    let at = |now| Asked {
        staple: &answer,
        crl_urls: vec![web.url("/given")],
        now,
        ..asked(&leaf)
    };
    for forged in [forged("Stranger", None), forged("Root", elsewhere)] {
        world.web.put("/given", forged.clone());
        world.ask(Soft, &at(NOW)).await;
        world.publish("/given", &revoking);
        let later = NOW.plus(Duration::from_secs(60));
        assert_eq!(outcome(&world.ask(Soft, &at(later)).await), REVOKED);
        // Nor does it take the place of what is kept, when that is fetched again.
        let hits = web.hits("/given");
        world.web.put("/given", forged);
        let later = later.plus(HOUR);
        assert_eq!(outcome(&world.ask(Soft, &at(later)).await), REVOKED);
        web.until_hits("/given", hits + 1).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
            assert_eq!(outcome(&world.ask(Soft, &at(later)).await), REVOKED);
        }
        world.revocation = revocation(&["127.0.0.0/8"]);
    }
}

/// An answer from before the revocation, shown again, does not undo what is known.
#[tokio::test]
async fn a_revocation_that_is_known_outlasts_older_answers() {
    let mut world = World::new().await;
    let spec = LeafSpec {
        crl_urls: vec![world.web.url("/list")],
        ocsp_urls: vec![world.web.url("/ocsp")],
        ..LeafSpec::default()
    };
    let leaf = world.ca.issue(&spec).unwrap();
    let good = world.ca.ocsp_answer(&OcspSpec::good(&leaf)).unwrap();
    let stapled = Asked {
        staple: &good,
        ..asked(&leaf)
    };
    let revoking = CrlSpec {
        revoked: vec![&leaf],
        ..CrlSpec::default()
    };
    // A list is known, and the server staples.
    world.publish("/list", &revoking);
    assert_eq!(outcome(&world.check(Soft, &leaf).await), REVOKED);
    assert_eq!(outcome(&world.ask(Soft, &stapled).await), REVOKED);
    assert_eq!(world.web.hits("/list"), 1);
    // An answer is known, and a list comes.
    world.revocation = revocation(&["127.0.0.0/8"]);
    let revoked = world.ca.ocsp_answer(&OcspSpec::revoked(&leaf)).unwrap();
    world.web.put("/list", Page::Status(503));
    world.web.put("/ocsp", Page::Ok(revoked));
    assert_eq!(outcome(&world.check(Hard, &leaf).await), REVOKED);
    world.publish("/list", &CrlSpec::default());
    let later = Asked {
        now: NOW.plus(Duration::from_secs(60)),
        ..asked(&leaf)
    };
    assert_eq!(outcome(&world.ask(Hard, &later).await), REVOKED);
}

/// In soft mode others are asked; in hard mode a server that staples what proves nothing fails.
#[tokio::test]
async fn a_staple_that_proves_nothing() {
    let mut world = World::new().await;
    let leaf = world.listed();
    let stranger = TestCa::new("Root").unwrap();
    let stranger = stranger
        .issue(&LeafSpec {
            purpose: Purpose::Ocsp,
            ..LeafSpec::default()
        })
        .unwrap();
    let server = world.ca.issue(&LeafSpec::default()).unwrap();
    let good = OcspSpec::good(&leaf);
    let specs = [
        OcspSpec {
            validity: Validity::Past,
            ..good.clone()
        },
        OcspSpec {
            validity: Validity::Future,
            ..good.clone()
        },
        OcspSpec {
            status: OcspStatus::Unknown,
            ..good.clone()
        },
        OcspSpec {
            signer: OcspSigner::Delegate(&stranger),
            ..good.clone()
        },
        OcspSpec {
            signer: OcspSigner::Delegate(&server),
            ..good.clone()
        },
        OcspSpec::good(&server),
    ];
    let mut staples: Vec<_> = specs
        .iter()
        .map(|spec| world.ca.ocsp_answer(spec).unwrap())
        .collect();
    staples.push(b"noise".to_vec());
    for staple in &staples {
        let asked = Asked {
            staple,
            ..asked(&leaf)
        };
        let invalid = (RevocationWord::Unknown, Some(TlsFailure::StapleInvalid));
        world.web.put("/list", Page::Status(404));
        assert_eq!(in_both(&mut world, &asked).await, [UNKNOWN, invalid]);
        world.publish("/list", &CrlSpec::default());
        assert_eq!(in_both(&mut world, &asked).await, [GOOD, invalid]);
    }
}

#[tokio::test]
async fn a_certificate_may_demand_a_staple() {
    let mut world = World::new().await;
    let leaf = world.must_staple();
    let missing = (RevocationWord::Unknown, Some(TlsFailure::StapleMissing));
    assert_eq!(in_both(&mut world, &asked(&leaf)).await, [missing, missing]);
    let stale = OcspSpec {
        validity: Validity::Past,
        ..OcspSpec::good(&leaf)
    };
    let stale = world.ca.ocsp_answer(&stale).unwrap();
    let invalid = (RevocationWord::Unknown, Some(TlsFailure::StapleInvalid));
    let stapled = Asked {
        staple: &stale,
        ..asked(&leaf)
    };
    assert_eq!(in_both(&mut world, &stapled).await, [invalid, invalid]);
    let good = world.ca.ocsp_answer(&OcspSpec::good(&leaf)).unwrap();
    let stapled = Asked {
        staple: &good,
        ..asked(&leaf)
    };
    assert_eq!(in_both(&mut world, &stapled).await, [GOOD, GOOD]);
}

/// Neither lists nor answers are fetched past the policy's proxy, and addresses are screened here.
#[tokio::test]
async fn the_policy_s_proxy_is_gone_through() {
    let world = World::new().await;
    let leaf = world.listed();
    world.publish("/list", &CrlSpec::default());
    let target = format!("127.0.0.1:{}", world.web.port());
    let through = |address: &str| Asked {
        proxy: Some(Arc::new(Proxy {
            name: Name::parse("way-out").unwrap(),
            address: ProxyAddress::parse(address).unwrap(),
            credentials: None,
        })),
        ..asked(&leaf)
    };
    let proxied = through(&format!("http://{target}"));
    assert_eq!(outcome(&world.ask(Hard, &proxied).await), GOOD);
    assert_eq!(world.web.hits(&target), 1);
    assert_eq!(world.web.hits("/list"), 1);
    let strict = revocation(&[]);
    let verdict = ask(&strict, &world.ca, Hard, &proxied).await;
    assert!(
        detail(&verdict).contains("address 127.0.0.1 is refused"),
        "{verdict:?}"
    );
    assert_eq!(world.web.hits(&target), 1);
    // What can't be had through the proxy is not had at all.
    let closed = through("http://127.0.0.1:1");
    let fresh = revocation(&["127.0.0.0/8"]);
    let verdict = ask(&fresh, &world.ca, Hard, &closed).await;
    assert!(
        detail(&verdict).contains("the proxy way-out can't be used"),
        "{verdict:?}"
    );
    assert_eq!(world.web.hits("/list"), 1);
}
