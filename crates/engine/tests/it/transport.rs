//! What transport policies do to deliveries, and what handshakes leave behind.

use std::time::Duration;

use hookseal_domain::delivery::Ended;
use hookseal_domain::delivery::breaker::BreakerState;
use hookseal_domain::delivery::outcome::Outcome;
use hookseal_domain::id::EndpointId;
use hookseal_domain::secret::Secret;
use hookseal_domain::transport::anchor_set::{Anchor, AnchorSet};
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::handshake::PresentDecision;
use hookseal_domain::transport::identity::{
    ClientIdentity, IdentityCertificate, IssuedCertificate,
};
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::pin::{Pin, PinSet, PinState};
use hookseal_domain::transport::policy::{
    Choice, EndpointTransport, KeyExchangeGroup, KeyExchangeGroups, Pinning, TransportPolicy, Trust,
};
use hookseal_domain::transport::rotation::{Stage, StageTimes};
use hookseal_engine::ProbeError;
use hookseal_pki::certificate::{Certificate, SpkiSha256};
use hookseal_store::inspect::DeliveryStatus;
use hookseal_store::reference::AppRef;
use hookseal_store::transport::EndpointHandshakes;
use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::test_ca::{Leaf, LeafSpec, Speaks, TestCa, Validity};
use hookseal_testkit::wait::until;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::world::World;

const DELIVERED: DeliveryStatus = DeliveryStatus::Ended(Ended::Delivered);
const PATIENT: Duration = Duration::from_secs(10);

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn own(policy: TransportPolicy) -> EndpointTransport {
    EndpointTransport {
        own: policy,
        ..EndpointTransport::default()
    }
}

fn trusting_only(set: &str) -> EndpointTransport {
    own(TransportPolicy {
        trust: Some(Trust::Private),
        trust_anchors: Some(name(set)),
        ..TransportPolicy::default()
    })
}

async fn hook_of(ca: &TestCa) -> FakeEndpoint {
    let leaf = ca.issue(&LeafSpec::default()).unwrap();
    FakeEndpoint::tls(&leaf, [200]).await.unwrap()
}

impl World {
    async fn delivers(&self) {
        let message = self.publish("{}").await;
        self.status_becomes(message, DELIVERED).await;
    }

    async fn put_anchors(&self, set: &str, ca: &TestCa) {
        let now = self.engine.now();
        let der = ca.root_der().to_vec();
        let root = Certificate::parse(&der).unwrap();
        let anchor = Anchor {
            sha256: *root.sha256().as_bytes(),
            spki_sha256: root.spki_sha256(),
            subject: "CN=root".to_owned(),
            not_before: now,
            not_after: now,
            added_at: now,
            retiring_since: None,
            der,
        };
        let set = AnchorSet {
            name: name(set),
            version: 0,
            anchors: vec![anchor],
            updated_at: now,
        };
        let put = self.store.put_trust_anchor_set(self.org, set, now);
        put.await.unwrap();
        self.engine.organisation_changed(self.org);
    }

    async fn put_identity(&self, identity: &str, leaf: &Leaf) {
        let now = self.engine.now();
        let own = Certificate::parse(leaf.certificate()).unwrap();
        let certificate = IdentityCertificate {
            number: 1,
            stage: Stage::Issued,
            times: StageTimes {
                issued_at: Some(now),
                ..StageTimes::default()
            },
            added_at: now,
            key: Secret::new(leaf.key().secret_der().to_vec()),
            csr_pem: None,
            issued: Some(IssuedCertificate {
                chain_der: leaf.chain().iter().map(|der| der.to_vec()).collect(),
                sha256: *own.sha256().as_bytes(),
                subject: "CN=us".to_owned(),
                issuer: "CN=root".to_owned(),
                not_before: now,
                not_after: now.plus(Duration::from_secs(86_400)),
            }),
        };
        let identity = ClientIdentity {
            name: name(identity),
            version: 0,
            certificates: vec![certificate],
            updated_at: now,
        };
        let put = self.store.put_client_identity(self.org, identity, now);
        put.await.unwrap();
        self.engine.organisation_changed(self.org);
    }

    /// What is kept of handshakes, once it is as it should be.
    async fn handshakes(
        &self,
        endpoint: EndpointId,
        fit: impl Fn(&EndpointHandshakes) -> bool,
    ) -> EndpointHandshakes {
        let mut last = None;
        let found = until("the handshake to be kept", async || {
            let kept = self.store.handshakes(self.app, endpoint).await?;
            last = Some(kept.clone());
            Ok(fit(&kept).then_some(kept))
        });
        match found.await {
            Ok(kept) => kept,
            Err(_) => panic!("not as expected: {last:?}"),
        }
    }
}

#[tokio::test]
async fn a_change_of_policy_ends_connections_and_others_leave_them() {
    let ca = TestCa::new("Root").unwrap();
    let world = World::trusting(&ca, |_| {}).await;
    let hook = hook_of(&ca).await;
    world.endpoint(&hook.url_by_name()).await;
    world.delivers().await;
    // Another endpoint, another book of the same content: nothing that this one is sent by.
    let other = FakeEndpoint::plain([200]).await.unwrap();
    world.endpoint(&other.url()).await;
    world.put_anchors("unused", &ca).await;
    world
        .put_policy("default", TransportPolicy::default())
        .await;
    world.publish("{}").await;
    hook.receives(2).await.unwrap();
    let connection = |place: usize| hook.received()[place].connection;
    assert_eq!((connection(0), connection(1)), (0, 0), "still the same");

    let groups = KeyExchangeGroups::new(vec![KeyExchangeGroup::X25519]).unwrap();
    world
        .put_policy(
            "default",
            TransportPolicy {
                key_exchange_groups: Some(groups),
                ..TransportPolicy::default()
            },
        )
        .await;
    world.publish("{}").await;
    hook.receives(3).await.unwrap();
    assert_eq!(connection(2), 1, "a new one under the new policy");
}

#[tokio::test]
async fn a_policy_that_can_not_be_applied_sends_nothing_until_it_is_mended() {
    let ca = TestCa::new("Customer's root").unwrap();
    let world = World::with(|config| config.in_flight_per_endpoint_max = 1).await;
    let hook = hook_of(&ca).await;
    let endpoint = world.endpoint(&hook.url_by_name()).await;
    world.put_anchors("customer", &ca).await;
    let nowhere = own(TransportPolicy {
        trust: Some(Trust::Private),
        ..TransportPolicy::default()
    });
    world.set_transport(endpoint, nowhere).await;
    let mut messages = Vec::new();
    for _ in 0..10 {
        messages.push(world.publish("{}").await);
    }
    let attempt = world.attempts(messages[0], 1).await.remove(0);
    assert_eq!(attempt.outcome, Outcome::NotTrusted);
    assert_eq!(attempt.facts.tls_failure, Some(TlsFailure::PolicyUnusable));
    assert_eq!(
        attempt.facts.reason.unwrap(),
        "nothing was sent: its transport policy trusts private roots but names no trust anchor set"
    );
    assert_eq!(attempt.facts.url, hook.url_by_name());
    let failed = r#"hookseal_tls_failures_total{failure="policy_unusable",fault="us"}"#;
    assert!(world.metric(failed).is_some_and(|count| count >= 1.0));

    until("the pause", async || {
        let breaker = world.engine.breaker(endpoint);
        Ok(matches!(breaker, Some(BreakerState::Paused { .. })).then_some(()))
    })
    .await
    .unwrap();
    world
        .set_transport(endpoint, trusting_only("customer"))
        .await;
    // Those that were not tried arrive at once, the others at their time.
    world.clock.advance(Duration::from_secs(1800));
    for message in messages {
        world.status_becomes(message, DELIVERED).await;
    }
    assert_eq!(hook.received().len(), 10, "each of them once");
}

#[tokio::test]
async fn a_set_that_is_made_anew_is_not_taken_for_the_old_one() {
    let (old, new) = (TestCa::new("Old").unwrap(), TestCa::new("New").unwrap());
    let world = World::new().await;
    let hook = hook_of(&old).await;
    let endpoint = world.endpoint(&hook.url_by_name()).await;
    world.put_anchors("customer", &old).await;
    world
        .set_transport(endpoint, trusting_only("customer"))
        .await;
    world.delivers().await;

    world
        .set_transport(endpoint, EndpointTransport::default())
        .await;
    let customer = name("customer");
    let deleted = world.store.delete_trust_anchor_set(world.org, &customer);
    deleted.await.unwrap();
    world.put_anchors("customer", &new).await;
    world
        .set_transport(endpoint, trusting_only("customer"))
        .await;
    let message = world.publish("{}").await;
    let attempt = world.attempts(message, 1).await.remove(0);
    assert_eq!(attempt.outcome, Outcome::NotTrusted);
    assert_eq!(hook.received().len(), 1);
}

#[tokio::test]
async fn a_receiver_that_demands_a_certificate_gets_ours_once_there_is_one() {
    let ca = TestCa::new("Root").unwrap();
    let clients = TestCa::new("Our root").unwrap();
    let world = World::trusting(&ca, |config| config.in_flight_per_endpoint_max = 1).await;
    let leaf = ca.issue(&LeafSpec::default()).unwrap();
    let hook = FakeEndpoint::tls(&leaf, [200]).await.unwrap();
    hook.demand(&leaf, Speaks::Http2, &clients).unwrap();
    let endpoint = world.endpoint(&hook.url_by_name()).await;
    let message = world.publish("{}").await;
    let attempt = world.attempts(message, 1).await.remove(0);
    let failure = attempt.facts.tls_failure;
    assert_eq!(failure, Some(TlsFailure::CertificateRequired));

    let ours = clients.issue(&LeafSpec::client("us")).unwrap();
    world.put_identity("us", &ours).await;
    let with_identity = own(TransportPolicy {
        client_identity: Some(Choice::Named(name("us"))),
        ..TransportPolicy::default()
    });
    world.set_transport(endpoint, with_identity).await;
    world.delivers().await;
    world.clock.advance(Duration::from_secs(1));
    let kept = world.handshakes(endpoint, |kept| kept.last_good.is_some());
    let client = kept.await.last_good.unwrap().client;
    assert_eq!(client.decision, PresentDecision::Matched);
    assert_eq!(client.presented.unwrap().identity, name("us"));
    let label = format!(r#"{{endpoint="{endpoint}",side="ours"}}"#);
    let expiry = world.metric(&format!(
        "hookseal_endpoint_certificate_expiry_seconds{label}"
    ));
    assert!(expiry.is_some());
}

#[tokio::test]
async fn what_handshakes_show_is_kept_when_it_changes() {
    let ca = TestCa::new("Root").unwrap();
    let world = World::trusting(&ca, |_| {}).await;
    let good = ca.issue(&LeafSpec::default()).unwrap();
    let hook = FakeEndpoint::tls(&good, [200]).await.unwrap();
    let endpoint = world.endpoint(&hook.url_by_name()).await;
    world.delivers().await;
    let first_at = world.engine.now();
    world.clock.advance(Duration::from_secs(1));
    let first = world.handshakes(endpoint, |kept| kept.last.is_some()).await;
    assert_eq!(first.last, first.last_good);
    let first = first.last.unwrap();
    assert_eq!((first.at, first.failure.as_ref()), (first_at, None));
    let ok = r#"hookseal_tls_handshakes_total{result="ok",version="TLSv1.3",group="X25519MLKEM768",resumed="no"}"#;
    assert_eq!(world.metric(ok), Some(1.0));

    let expired = LeafSpec {
        validity: Validity::Past,
        ..LeafSpec::default()
    };
    hook.present(&ca.issue(&expired).unwrap(), Speaks::Http2)
        .unwrap();
    // A new generation: the kept connection is not used for it.
    world
        .set_transport(
            endpoint,
            own(TransportPolicy {
                pinning: Some(Pinning::Report),
                ..TransportPolicy::default()
            }),
        )
        .await;
    let message = world.publish("{}").await;
    world.attempts(message, 1).await;
    world.clock.advance(Duration::from_secs(1));
    let failed = |kept: &EndpointHandshakes| kept.last.as_ref().unwrap().failure.is_some();
    let kept = world.handshakes(endpoint, failed).await;
    let last = kept.last.unwrap();
    assert_eq!(last.failure.unwrap().failure, TlsFailure::PeerExpired);
    assert_eq!(
        kept.last_good,
        Some(first),
        "what was good is not forgotten"
    );
    let label = format!(r#"{{endpoint="{endpoint}",side="peer"}}"#);
    let expiry = world.metric(&format!(
        "hookseal_endpoint_certificate_expiry_seconds{label}"
    ));
    assert!(expiry.unwrap() < 0.0, "known though the handshake failed");
}

#[tokio::test]
async fn the_last_handshakes_are_kept_when_the_engine_stops() {
    let ca = TestCa::new("Root").unwrap();
    let world = World::trusting(&ca, |_| {}).await;
    let hook = hook_of(&ca).await;
    let endpoint = world.endpoint(&hook.url_by_name()).await;
    world.delivers().await;
    world.engine.shutdown(PATIENT).await;
    let kept = world.store.handshakes(world.app, endpoint).await.unwrap();
    assert!(kept.last_good.is_some());
}

#[tokio::test]
async fn a_probe_looks_and_sends_nothing() {
    let ca = TestCa::new("Root").unwrap();
    let world = World::trusting(&ca, |_| {}).await;
    let hook = hook_of(&ca).await;
    let url = hook.url_by_name();
    let endpoint = world.endpoint_with(&url, |spec| spec.disabled = true).await;
    let pin = |byte: u8| Pin {
        key: SpkiSha256::from_bytes([byte; 32]),
        state: PinState::Active,
        note: String::new(),
        added_at: world.engine.now(),
        first_seen_at: None,
        last_seen_at: None,
    };
    world
        .set_transport(
            endpoint,
            EndpointTransport {
                pins: PinSet::from_stored(vec![pin(1), pin(2)]),
                ..own(TransportPolicy {
                    pinning: Some(Pinning::Enforce),
                    ..TransportPolicy::default()
                })
            },
        )
        .await;
    let probe = |endpoint| world.engine.probe(world.app, endpoint, PATIENT);
    let report = probe(endpoint).await.unwrap();
    assert_eq!(report.failure, None, "pins don't end it");
    assert_eq!(report.pins.matched, []);
    assert_eq!(report.verified.len(), 2);
    assert_eq!(hook.connections().application_bytes, 0);

    let nowhere = own(TransportPolicy {
        trust: Some(Trust::Private),
        ..TransportPolicy::default()
    });
    world.set_transport(endpoint, nowhere).await;
    let failure = probe(endpoint).await.unwrap().failure.unwrap().failure;
    assert_eq!(failure, TlsFailure::PolicyUnusable);

    let plain = FakeEndpoint::plain([200]).await.unwrap();
    let plain = world.endpoint(&plain.url()).await;
    assert!(matches!(probe(plain).await, Err(ProbeError::PlainHttp)));
    let unknown = probe(world.engine.next_id()).await;
    assert!(matches!(unknown, Err(ProbeError::UnknownEndpoint)));
}

#[tokio::test]
async fn pins_that_need_attention_are_counted_until_they_do_not() {
    let ca = TestCa::new("Root").unwrap();
    let world = World::trusting(&ca, |_| {}).await;
    let leaf = ca.issue(&LeafSpec::default()).unwrap();
    let key = Certificate::parse(leaf.certificate())
        .unwrap()
        .spki_sha256();
    let hook = FakeEndpoint::tls(&leaf, [200]).await.unwrap();
    let endpoint = world.endpoint(&hook.url_by_name()).await;
    let pinned = |pinning, live_state, backup: bool| {
        let pin = |key, state| Pin {
            key,
            state,
            note: String::new(),
            added_at: world.engine.now(),
            first_seen_at: None,
            last_seen_at: None,
        };
        let mut pins = vec![pin(key, live_state)];
        if backup {
            pins.push(pin(SpkiSha256::from_bytes([9; 32]), PinState::Active));
        }
        EndpointTransport {
            pins: PinSet::from_stored(pins),
            ..own(TransportPolicy {
                pinning: Some(pinning),
                ..TransportPolicy::default()
            })
        }
    };
    let warnings = |code: &str| {
        let gauge = format!(r#"hookseal_pin_warnings{{code="{code}"}}"#);
        world.metric(&gauge)
    };
    assert_eq!(warnings("no_match"), Some(0.0), "known before there is any");

    let staged = pinned(Pinning::Enforce, PinState::Staged, true);
    world.set_transport(endpoint, staged).await;
    world.delivers().await;
    assert_eq!(warnings("live_key_is_staged"), Some(1.0));
    assert_eq!(warnings("no_backup"), Some(0.0));

    let alone = pinned(Pinning::Report, PinState::Active, false);
    world.set_transport(endpoint, alone).await;
    world.delivers().await;
    assert_eq!(warnings("live_key_is_staged"), Some(0.0));
    assert_eq!(warnings("no_backup"), Some(1.0));

    let off = pinned(Pinning::Off, PinState::Active, false);
    world.set_transport(endpoint, off).await;
    world.delivers().await;
    assert_eq!(warnings("no_backup"), Some(0.0), "nobody looks at them");
}

/// Stands before an endpoint, and lets nothing of a connection through until it is open.
struct Gate {
    url: String,
    open: watch::Sender<bool>,
    /// Connections so far.
    came: watch::Receiver<u32>,
}

impl Gate {
    async fn before(hook: &FakeEndpoint) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "https://localhost:{}/hook",
            listener.local_addr().unwrap().port()
        );
        let (behind, open) = (hook.address(), watch::Sender::new(false));
        let (count, came) = watch::channel(0);
        let opened = open.subscribe();
        tokio::spawn(async move {
            while let Ok((mut outer, _)) = listener.accept().await {
                count.send_modify(|count| *count += 1);
                let mut opened = opened.clone();
                tokio::spawn(async move {
                    opened.wait_for(|open| *open).await.unwrap();
                    let mut inner = TcpStream::connect(behind).await.unwrap();
                    copy_bidirectional(&mut outer, &mut inner).await
                });
            }
        });
        Self { url, open, came }
    }
}

#[tokio::test]
async fn a_change_overtakes_an_attempt_that_has_sent_nothing() {
    let ca = TestCa::new("Root").unwrap();
    let world = World::trusting(&ca, |config| config.in_flight_per_endpoint_max = 1).await;
    let leaf = ca.issue(&LeafSpec::default()).unwrap();
    let key = Certificate::parse(leaf.certificate())
        .unwrap()
        .spki_sha256();
    let hook = FakeEndpoint::tls(&leaf, [200]).await.unwrap();
    let mut gate = Gate::before(&hook).await;
    let endpoint = world.endpoint(&gate.url).await;
    let message = world.publish("{}").await;
    gate.came.wait_for(|came| *came == 1).await.unwrap();

    // From a policy that is special in nothing to pins, in the middle of the handshake.
    let pin = |key| Pin {
        key,
        state: PinState::Active,
        note: String::new(),
        added_at: world.engine.now(),
        first_seen_at: None,
        last_seen_at: None,
    };
    let pins = vec![pin(key), pin(SpkiSha256::from_bytes([9; 32]))];
    let pinned = EndpointTransport {
        pins: PinSet::from_stored(pins),
        ..own(TransportPolicy {
            pinning: Some(Pinning::Enforce),
            ..TransportPolicy::default()
        })
    };
    world.set_transport(endpoint, pinned).await;
    let app = AppRef::Id(world.app);
    world.engine.routing(world.org, &app).await.unwrap();
    gate.open.send_replace(true);
    world.status_becomes(message, DELIVERED).await;

    let received = hook.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].connection, 1, "the first one carried nothing");
    let attempts = world.attempts(message, 1).await;
    assert_eq!(attempts.len(), 1, "what sent nothing is no attempt");
    let breaker = world.engine.breaker(endpoint).unwrap();
    assert_eq!(breaker, BreakerState::default(), "nor a failure");
    assert_eq!(*gate.came.borrow(), 2);
}
