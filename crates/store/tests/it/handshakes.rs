//! What is seen of receivers, and what follows from it.

use std::collections::BTreeMap;
use std::time::Duration;

use hookseal_domain::delivery::attempt::TlsFacts;
use hookseal_domain::id::{AppId, EndpointId, OrgId};
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::handshake::{
    ClientCertificate, Failed, HandshakeReport, PinVerdict, PresentDecision, Presented,
    RevocationFinding, SeenCertificate,
};
use hookseal_domain::transport::identity::IdentityCertificate;
use hookseal_domain::transport::pin::{PinSet, PinState};
use hookseal_domain::transport::policy::{
    Choice, DEFAULT_POLICY, EndpointTransport, TransportPolicy,
};
use hookseal_domain::transport::rotation::Stage;
use hookseal_store::Store;
use hookseal_store::error::ChangeError;
use hookseal_store::page::{Order, PageRequest, PageStart};
use hookseal_store::transport::{EndpointHandshakes, IdentityUser, SeenHandshake};

use crate::scene::{Scene, endpoint_spec, first_page, org, other_org};
use crate::transport::{identity, name, pin, spki, transport};

const SECOND: Duration = Duration::from_secs(1);

/// A good handshake whose verified path has these keys.
pub(crate) fn good(at: Timestamp, path: &[u8]) -> HandshakeReport {
    let seen = |byte: &u8| SeenCertificate {
        subject: "CN=hush-the-receiver".to_owned(),
        issuer: "CN=theirs".to_owned(),
        spki_sha256: spki(*byte),
        sha256: Some([*byte; 32]),
        not_before: None,
        not_after: Some(at),
    };
    HandshakeReport {
        at,
        duration_ms: 7,
        failure: None,
        remote_ip: "192.0.2.1".parse().ok(),
        proxy: None,
        tls: Some(TlsFacts {
            version: "TLSv1.3".to_owned(),
            cipher_suite: "TLS_AES_128_GCM_SHA256".to_owned(),
            key_exchange_group: "x25519".to_owned(),
            peer_spki_sha256: spki(1).to_string(),
            certificate_expires_at: at,
        }),
        observed: path.iter().map(seen).collect(),
        verified: path.iter().map(seen).collect(),
        pins: PinVerdict::default(),
        client: ClientCertificate::default(),
        revocation: RevocationFinding::default(),
    }
}

/// The same, that failed.
pub(crate) fn failed(at: Timestamp, path: &[u8]) -> HandshakeReport {
    HandshakeReport {
        failure: Some(Failed {
            failure: TlsFailure::UnknownCa,
            reason: "hush-the-reason".to_owned(),
        }),
        ..good(at, path)
    }
}

/// A good one at which a certificate of ours was accepted.
fn accepted(at: Timestamp, called: &str, number: u32, sha256: u8) -> HandshakeReport {
    let client = ClientCertificate {
        requested: true,
        ca_hints: Vec::new(),
        decision: PresentDecision::Matched,
        presented: Some(Presented {
            identity: name(called),
            number,
            sha256: [sha256; 32],
            not_after: Timestamp::MAX,
        }),
        accepted: true,
    };
    HandshakeReport {
        client,
        ..good(at, &[1, 2])
    }
}

/// A good one at which a certificate of ours was presented, and nothing more is known.
fn presented(at: Timestamp, called: &str, number: u32, sha256: u8) -> HandshakeReport {
    let mut report = accepted(at, called, number, sha256);
    report.client.accepted = false;
    report
}

fn decided(at: Timestamp, decision: PresentDecision) -> HandshakeReport {
    let mut report = good(at, &[1, 2]);
    report.client.decision = decision;
    report
}

impl Scene<'_> {
    pub(crate) async fn see(&self, endpoint: EndpointId, report: HandshakeReport) {
        self.see_as(org(), self.app, endpoint, report).await;
    }

    async fn see_as(&self, org: OrgId, app: AppId, endpoint: EndpointId, report: HandshakeReport) {
        let seen = SeenHandshake {
            org,
            app,
            endpoint,
            report,
        };
        self.store.record_handshakes(vec![seen]).await.unwrap();
    }

    pub(crate) async fn seen(&self, endpoint: EndpointId) -> EndpointHandshakes {
        self.store.handshakes(self.app, endpoint).await.unwrap()
    }

    async fn users(&self, called: &str) -> Vec<(EndpointId, u32)> {
        let page = first_page(50, Order::Ascending);
        let users = self.store.identity_users(org(), &name(called), page).await;
        let users = users.unwrap().rows.into_iter();
        users.map(|user| (user.endpoint, user.number)).collect()
    }

    /// The only certificate of an identity.
    async fn certificate(&self, called: &str) -> IdentityCertificate {
        let book = self.book(org()).await;
        book.identities[&name(called)].certificates[0].clone()
    }
}

pub(crate) async fn keeps_the_newest(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    assert_eq!(scene.seen(endpoint).await, EndpointHandshakes::default());
    let check = async |last: &HandshakeReport, last_good: Option<&HandshakeReport>| {
        let seen = scene.seen(endpoint).await;
        assert_eq!(seen.last.as_ref(), Some(last));
        assert_eq!(seen.last_good.as_ref(), last_good);
    };
    let at = |secs| scene.now().plus(SECOND * secs);
    let (version, generation) = (
        scene.version(scene.app).await,
        scene.generation(endpoint).await,
    );
    let first = failed(at(1), &[1]);
    scene.see(endpoint, first.clone()).await;
    check(&first, None).await;
    let second = good(at(2), &[1, 2]);
    scene.see(endpoint, second.clone()).await;
    check(&second, Some(&second)).await;
    let fourth = failed(at(4), &[]);
    scene.see(endpoint, fourth.clone()).await;
    check(&fourth, Some(&second)).await;

    scene.see(endpoint, good(at(1), &[3])).await;
    scene.see(endpoint, failed(at(3), &[3])).await;
    check(&fourth, Some(&second)).await;
    let third = good(at(3), &[1, 3]);
    scene.see(endpoint, third.clone()).await;
    check(&fourth, Some(&third)).await;
    let fifth = good(at(5), &[1, 4]);
    scene.see(endpoint, fifth.clone()).await;
    check(&fifth, Some(&fifth)).await;
    assert_eq!(scene.version(scene.app).await, version);
    assert_eq!(scene.generation(endpoint).await, generation);
}

pub(crate) async fn a_clock_that_was_ahead_keeps_nothing_out(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let at = |secs| scene.now().plus(SECOND * secs);
    let check = async |seen: HandshakeReport, kept: bool| {
        scene.see(endpoint, seen.clone()).await;
        assert_eq!(scene.seen(endpoint).await.last == Some(seen), kept);
    };
    const AHEAD: u32 = 24 * 3600;
    let ahead = [good(at(AHEAD), &[1, 2]), failed(at(AHEAD), &[])];
    for (seen, from) in ahead.into_iter().zip([0, 10]) {
        check(seen, true).await;
        check(failed(at(from + 2), &[]), true).await;
        check(good(at(from + 1), &[1, 9]), false).await;
        check(good(at(from + 3), &[1, 3]), true).await;
        check(failed(at(from + 2), &[]), false).await;
    }
    assert_eq!(store.anchor_users(org(), spki(3)).await.unwrap(), 1);
}

pub(crate) async fn keeps_many_at_once(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoints = [
        scene.endpoint().await,
        scene.endpoint().await,
        scene.endpoint().await,
    ];
    let mut seen = Vec::new();
    for number in 0..350_u32 {
        let at = scene.now().plus(SECOND * number);
        seen.push(SeenHandshake {
            org: org(),
            app: scene.app,
            endpoint: endpoints[usize::try_from(number).unwrap() % 3],
            report: good(at, &[1]),
        });
    }
    store.record_handshakes(Vec::new()).await.unwrap();
    store.record_handshakes(seen).await.unwrap();
    for (endpoint, secs) in endpoints.into_iter().zip([348, 349, 347]) {
        let last = scene.seen(endpoint).await.last.unwrap();
        assert_eq!(last.at, scene.now().plus(SECOND * secs));
    }
    assert_eq!(store.anchor_users(org(), spki(1)).await.unwrap(), 3);
}

pub(crate) async fn ignores_what_is_gone(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let (endpoint, deleted) = (scene.endpoint().await, scene.endpoint().await);
    let elsewhere = scene.application(org(), None).await;
    scene.see(deleted, good(scene.now(), &[1, 2])).await;
    assert_eq!(store.anchor_users(org(), spki(2)).await.unwrap(), 1);
    let now = scene.now();
    store
        .delete_endpoint(scene.app, deleted, now)
        .await
        .unwrap();
    assert_eq!(store.anchor_users(org(), spki(2)).await.unwrap(), 0);
    for (org, app, endpoint) in [
        (org(), scene.app, deleted),
        (org(), scene.id(), endpoint),
        (org(), elsewhere, endpoint),
        (other_org(), scene.app, endpoint),
    ] {
        let report = accepted(scene.now(), "us", 1, 1);
        scene.see_as(org, app, endpoint, report).await;
    }
    for endpoint in [endpoint, deleted] {
        assert_eq!(scene.seen(endpoint).await, EndpointHandshakes::default());
    }
    for org in [org(), other_org()] {
        assert_eq!(store.anchor_users(org, spki(2)).await.unwrap(), 0);
        let standing = store.identity_standing(org, &name("us")).await;
        assert_eq!(standing.unwrap(), BTreeMap::new());
    }
    scene.see(endpoint, good(scene.now(), &[1, 2])).await;
    store.delete_application(scene.app, now).await.unwrap();
    assert_eq!(scene.seen(endpoint).await, EndpointHandshakes::default());
    assert_eq!(store.anchor_users(org(), spki(2)).await.unwrap(), 0);
}

pub(crate) async fn moves_pins_on(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let pins = [(5, PinState::Active), (1, PinState::Staged)];
    let says = transport(pins.map(|(byte, state)| pin(byte, state)).to_vec());
    scene.set_transport(endpoint, says.clone()).await;
    let (version, generation) = (
        scene.version(scene.app).await,
        scene.generation(endpoint).await,
    );
    let at = |secs| scene.now().plus(SECOND * secs);
    let pins = async || {
        let pins = scene.transport(endpoint).await.pins;
        let facts = pins.pins().iter();
        let facts = facts.map(|pin| (pin.state, pin.first_seen_at, pin.last_seen_at));
        facts.collect::<Vec<_>>()
    };
    let unseen = [
        (PinState::Active, None, None),
        (PinState::Staged, None, None),
    ];
    let mut unproved = failed(at(1), &[1, 5]);
    unproved.tls = None;
    scene.see(endpoint, unproved).await;
    assert_eq!(pins().await, unseen, "anybody can send a certificate");
    scene.see(endpoint, good(at(2), &[3, 4])).await;
    assert_eq!(pins().await, unseen);

    scene.see(endpoint, failed(at(3), &[1, 2])).await;
    let seen = (PinState::Seen, Some(at(3)), Some(at(3)));
    assert_eq!(pins().await, [unseen[0], seen]);
    scene.see(endpoint, good(at(5), &[5, 1])).await;
    scene.see(endpoint, good(at(4), &[5, 1])).await;
    let active = (PinState::Active, Some(at(5)), Some(at(5)));
    let seen = (PinState::Seen, Some(at(3)), Some(at(5)));
    assert_eq!(pins().await, [active, seen]);
    assert_eq!(scene.version(scene.app).await, version);
    assert_eq!(scene.generation(endpoint).await, generation);

    // Whoever read the pins before they were seen has to read them again, unless all that changed
    // is when they were seen.
    let set = async |with: &EndpointTransport, before: &EndpointTransport| {
        let (app, now) = (scene.app, scene.now());
        let set = store.set_endpoint_transport(app, endpoint, with.clone(), before, now);
        set.await
    };
    let stale = set(&says, &says).await;
    assert!(matches!(stale, Err(ChangeError::Stale)), "{stale:?}");
    let states = [(5, PinState::Active), (1, PinState::Seen)];
    let read = transport(states.map(|(byte, state)| pin(byte, state)).to_vec());
    let mut with = read.clone();
    with.pins = PinSet::from_stored(vec![pin(1, PinState::Active), pin(7, PinState::Staged)]);
    set(&with, &read).await.unwrap();
    let seen = (PinState::Active, Some(at(3)), Some(at(5)));
    assert_eq!(pins().await, [seen, unseen[1]], "what was seen is kept");
}

pub(crate) async fn moves_certificates_on(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let us = identity("us", &[(1, 11, Stage::Issued)], 0);
    let version = scene.put_identity(us.clone()).await.unwrap();
    let at = |secs| scene.now().plus(SECOND * secs);
    let stands = async |called: &str| {
        let one = scene.certificate(called).await;
        (one.stage, one.times.seen_at)
    };
    scene.see(endpoint, accepted(at(1), "us", 1, 99)).await;
    assert_eq!(stands("us").await, (Stage::Issued, None), "another one");
    let mut refused = accepted(at(2), "us", 1, 11);
    refused.failure = failed(at(2), &[]).failure;
    scene.see(endpoint, refused).await;
    assert_eq!(stands("us").await, (Stage::Issued, None));
    scene.see(endpoint, presented(at(2), "us", 1, 11)).await;
    assert_eq!(stands("us").await, (Stage::Issued, None), "not yet");
    for secs in [3, 4] {
        scene.see(endpoint, accepted(at(secs), "us", 1, 11)).await;
        assert_eq!(stands("us").await, (Stage::Seen, Some(at(3))));
    }
    let book = scene.book(org()).await;
    assert_eq!(book.version, version, "seeing is no change");

    // Whoever read the identity before that does not undo it.
    let distributed = identity("us", &[(1, 11, Stage::Distributed)], version);
    let version = scene.put_identity(distributed).await.unwrap();
    assert_eq!(stands("us").await, (Stage::Seen, Some(at(3))));
    let retired = identity("us", &[(1, 11, Stage::Retired)], version);
    let version = scene.put_identity(retired).await.unwrap();
    assert_eq!(stands("us").await, (Stage::Retired, Some(at(3))));

    // One that replaces it has not been seen, whatever its number.
    let other = identity("us", &[(1, 12, Stage::Issued)], version);
    scene.put_identity(other).await.unwrap();
    assert_eq!(stands("us").await, (Stage::Issued, None));
    scene.see(endpoint, accepted(at(5), "us", 1, 12)).await;
    assert_eq!(stands("us").await, (Stage::Seen, Some(at(5))));
    let deleted = store.delete_client_identity(org(), &name("us")).await;
    deleted.unwrap();
    scene.see(endpoint, accepted(at(6), "us", 1, 11)).await;
    scene.put_identity(us).await.unwrap();
    assert_eq!(stands("us").await, (Stage::Issued, None));
}

pub(crate) async fn counts_users_of_roots(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let (one, other) = (scene.endpoint().await, scene.endpoint().await);
    let users = async |byte| store.anchor_users(org(), spki(byte)).await.unwrap();
    let at = |secs| scene.now().plus(SECOND * secs);
    for endpoint in [one, other] {
        scene.see(endpoint, good(at(1), &[1, 2])).await;
    }
    assert_eq!([users(1).await, users(2).await], [0, 2], "the root only");
    scene.see(one, failed(at(2), &[1, 3])).await;
    assert_eq!([users(2).await, users(3).await], [2, 0]);
    scene.see(one, good(at(3), &[1, 3])).await;
    assert_eq!([users(2).await, users(3).await], [1, 1]);
    let theirs = store.anchor_users(other_org(), spki(2)).await.unwrap();
    assert_eq!(theirs, 0);
}

pub(crate) async fn knows_users_of_identities(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let mut endpoints = Vec::new();
    for _ in 0..3 {
        endpoints.push(scene.endpoint().await);
    }
    let elsewhere = scene.application(org(), None).await;
    let new = scene.new_endpoint(elsewhere, endpoint_spec(None));
    let fourth = new.id;
    store.create_endpoint(new, None).await.unwrap();
    let at = |secs| scene.now().plus(SECOND * secs);
    let presents = |called: &str| TransportPolicy {
        client_identity: Some(Choice::Named(name(called))),
        ..TransportPolicy::default()
    };
    scene.put_policy(DEFAULT_POLICY, presents("us")).await;
    let standing = async |org| {
        let standing = store.identity_standing(org, &name("us")).await.unwrap();
        standing.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(standing(org()).await, []);
    for (number, endpoint) in (1..).zip(&endpoints) {
        scene
            .see(*endpoint, accepted(at(1), "us", number.min(2), 11))
            .await;
    }
    let report = accepted(at(1), "us", 0, 10);
    scene.see_as(org(), elsewhere, fourth, report).await;
    assert_eq!(standing(org()).await, [(0, 1), (1, 1), (2, 2)]);
    assert_eq!(standing(other_org()).await, []);
    let all: Vec<_> = [endpoints.clone(), vec![fourth]].concat();
    let numbers: Vec<_> = all.iter().copied().zip([1, 2, 2, 0]).collect();
    assert_eq!(scene.users("us").await, numbers);

    let page = PageRequest {
        limit: 1,
        from: PageStart::After(all[2]),
        order: Order::Ascending,
    };
    let page = store
        .identity_users(org(), &name("us"), page)
        .await
        .unwrap();
    let last = IdentityUser {
        app: elsewhere,
        endpoint: fourth,
        number: 0,
        sha256: [10; 32],
        at: at(1),
    };
    assert_eq!((page.rows, page.done), (vec![last], true));
    let page = PageRequest {
        limit: 2,
        from: PageStart::Beginning,
        order: Order::Descending,
    };
    let page = store
        .identity_users(org(), &name("us"), page)
        .await
        .unwrap();
    let ids: Vec<_> = page.rows.iter().map(|user| user.endpoint).collect();
    assert_eq!((ids, page.done), (vec![fourth, all[2]], false));

    // A receiver that does not ask now and then has not let go of it.
    for decision in [PresentDecision::NotAsked, PresentDecision::NoSchemeMatches] {
        scene.see(all[0], decided(at(2), decision)).await;
    }
    scene.see(all[0], presented(at(2), "them", 1, 20)).await;
    scene.see(all[0], failed(at(3), &[])).await;
    assert_eq!(scene.users("us").await, numbers);
    let none = decided(at(4), PresentDecision::NoIdentity);
    scene.see(all[0], none).await;
    scene.see(all[1], accepted(at(4), "them", 1, 20)).await;
    scene.see(all[2], accepted(at(0), "them", 1, 20)).await;
    assert_eq!(scene.users("us").await, numbers[2..]);
    assert_eq!(scene.users("them").await, [], "it presents us");

    // One that is to present another is not waited for, wherever that is said.
    let say = async |endpoint: EndpointId, policy: Option<&str>, own: TransportPolicy| {
        let says = EndpointTransport {
            policy: policy.map(name),
            own,
            ..EndpointTransport::default()
        };
        scene.set_transport(endpoint, says).await;
    };
    say(all[1], None, presents("them")).await;
    assert_eq!(scene.users("them").await, [(all[1], 1)]);
    say(all[2], Some("strict"), TransportPolicy::default()).await;
    scene.put_policy("strict", TransportPolicy::default()).await;
    assert_eq!(scene.users("us").await, numbers[2..]);
    scene.put_policy("strict", presents("them")).await;
    assert_eq!(scene.users("us").await, numbers[3..]);
    assert_eq!(standing(org()).await, [(0, 1)]);
    say(all[2], Some("strict"), presents("us")).await;
    assert_eq!(scene.users("us").await, numbers[2..]);
    scene.put_policy(DEFAULT_POLICY, presents("them")).await;
    assert_eq!(scene.users("us").await, [(all[2], 2)]);
    assert_eq!(standing(org()).await, [(2, 1)]);
    assert_eq!(scene.users("them").await, [(all[1], 1)]);
}
