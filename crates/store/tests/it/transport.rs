//! What organisations and endpoints decide about transport security.

use std::time::Duration;

use hookseal_domain::id::{AppId, EndpointId, OrgId};
use hookseal_domain::secret::Secret;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::anchor_set::{Anchor, AnchorSet};
use hookseal_domain::transport::book::TransportBook;
use hookseal_domain::transport::identity::{
    ClientIdentity, IdentityCertificate, IssuedCertificate,
};
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::pin::{Pin, PinSet, PinState};
use hookseal_domain::transport::policy::{
    Choice, EndpointTransport, Pinning, RevocationMode, TransportPolicy, Trust,
};
use hookseal_domain::transport::rotation::{Stage, StageTimes};
use hookseal_pki::certificate::SpkiSha256;
use hookseal_store::Store;
use hookseal_store::config::Created;
use hookseal_store::error::ChangeError;
use hookseal_store::publish::Idempotency;
use hookseal_store::transport::POLICIES_MAX;

use crate::scene::{START, Scene, endpoint_spec, org, other_org};

/// The bytes of every private key here.
pub(crate) const KEY: &[u8] = b"hush-the-private-key";

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn policy() -> TransportPolicy {
    TransportPolicy {
        trust: Some(Trust::Private),
        trust_anchors: Some(name("theirs")),
        client_identity: Some(Choice::Named(name("us"))),
        revocation: Some(RevocationMode::Soft),
        server_name: Some("hush-the-host.example".to_owned()),
        ..TransportPolicy::default()
    }
}

pub(crate) fn anchor_set(called: &str, roots: &[u8], version: i64) -> AnchorSet {
    let anchor = |byte: &u8| Anchor {
        der: vec![*byte; 900],
        sha256: [*byte; 32],
        spki_sha256: spki(*byte),
        subject: format!("CN=hush-the-root-{byte}"),
        not_before: START,
        not_after: Timestamp::MAX,
        added_at: START,
        retiring_since: None,
    };
    AnchorSet {
        name: name(called),
        version,
        anchors: roots.iter().map(anchor).collect(),
        updated_at: START,
    }
}

pub(crate) fn spki(byte: u8) -> SpkiSha256 {
    SpkiSha256::from_bytes([byte; 32])
}

/// An identity whose certificates have these numbers, bytes and stages.
pub(crate) fn identity(
    called: &str,
    certificates: &[(u32, u8, Stage)],
    version: i64,
) -> ClientIdentity {
    let certificate = |(number, byte, stage): &(u32, u8, Stage)| IdentityCertificate {
        number: *number,
        stage: *stage,
        times: StageTimes::default(),
        added_at: START,
        key: Secret::new(KEY.to_vec()),
        csr_pem: None,
        issued: Some(IssuedCertificate {
            chain_der: vec![vec![*byte; 700], vec![0; 10]],
            sha256: [*byte; 32],
            subject: "CN=us".to_owned(),
            issuer: "CN=clients".to_owned(),
            not_before: START,
            not_after: Timestamp::MAX,
        }),
    };
    ClientIdentity {
        name: name(called),
        version,
        certificates: certificates.iter().map(certificate).collect(),
        updated_at: START,
    }
}

pub(crate) fn pin(byte: u8, state: PinState) -> Pin {
    Pin {
        key: spki(byte),
        state,
        note: "theirs".to_owned(),
        added_at: START,
        first_seen_at: None,
        last_seen_at: None,
    }
}

/// What an endpoint may say itself.
pub(crate) fn transport(pins: Vec<Pin>) -> EndpointTransport {
    EndpointTransport {
        policy: Some(name("strict")),
        own: TransportPolicy {
            pinning: Some(Pinning::Enforce),
            server_name: Some("hush-the-host.example".to_owned()),
            ..TransportPolicy::default()
        },
        pins: PinSet::from_stored(pins),
    }
}

impl Scene<'_> {
    pub(crate) async fn book(&self, org: OrgId) -> TransportBook {
        self.store.transport_book(org).await.unwrap()
    }

    pub(crate) async fn put_policy(&self, called: &str, policy: TransportPolicy) -> Created<()> {
        let put = self
            .store
            .put_transport_policy(org(), name(called), policy, self.now());
        put.await.unwrap()
    }

    pub(crate) async fn put_anchors(&self, set: AnchorSet) -> Result<i64, ChangeError> {
        let now = self.now();
        self.store.put_trust_anchor_set(org(), set, now).await
    }

    pub(crate) async fn put_identity(&self, identity: ClientIdentity) -> Result<i64, ChangeError> {
        let now = self.now();
        self.store.put_client_identity(org(), identity, now).await
    }

    pub(crate) async fn transport(&self, endpoint: EndpointId) -> EndpointTransport {
        let found = self.store.endpoint_transport(self.app, endpoint).await;
        found.unwrap().unwrap()
    }

    /// Replaces whatever the endpoint says now.
    pub(crate) async fn set_transport(&self, endpoint: EndpointId, transport: EndpointTransport) {
        let before = self.transport(endpoint).await;
        let set = self.replace_transport(endpoint, transport, &before).await;
        set.unwrap();
    }

    async fn replace_transport(
        &self,
        endpoint: EndpointId,
        transport: EndpointTransport,
        before: &EndpointTransport,
    ) -> Result<(), ChangeError> {
        let now = self.now();
        let set = self
            .store
            .set_endpoint_transport(self.app, endpoint, transport, before, now);
        set.await
    }

    pub(crate) async fn generation(&self, endpoint: EndpointId) -> u64 {
        let routing = self.store.routing_of(self.app).await.unwrap().unwrap();
        routing.destination(endpoint).unwrap().generation
    }
}

fn is<T: std::fmt::Debug>(result: Result<T, ChangeError>, expect: &ChangeError) {
    let refused = result.unwrap_err();
    assert_eq!(format!("{refused:?}"), format!("{expect:?}"));
}

pub(crate) async fn keeps_policies(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let empty = scene.book(org()).await;
    assert_eq!((empty.version, empty.policies.len()), (0, 0));
    assert_eq!(scene.put_policy("strict", policy()).await, Created::New(()));
    let first = scene.book(org()).await;
    assert!(first.version > empty.version);
    assert_eq!(first.policies.get(&name("strict")), Some(&policy()));
    let other = TransportPolicy::default();
    let replaced = scene.put_policy("strict", other.clone()).await;
    assert_eq!(replaced, Created::Existing(()));
    let second = scene.book(org()).await;
    assert!(second.version > first.version);
    assert_eq!(second.policies.get(&name("strict")), Some(&other));
    let delete = async |org| store.delete_transport_policy(org, &name("strict")).await;
    is(delete(other_org()).await, &ChangeError::NotFound);
    delete(org()).await.unwrap();
    let third = scene.book(org()).await;
    assert!(third.version > second.version && third.policies.is_empty());
    is(delete(org()).await, &ChangeError::NotFound);
}

pub(crate) async fn bounds_policies(store: &dyn Store) {
    let scene = Scene::new(store).await;
    for number in 0..POLICIES_MAX {
        scene
            .put_policy(&format!("p{number}"), TransportPolicy::default())
            .await;
    }
    let put = async |called| {
        let (name, policy) = (name(called), TransportPolicy::default());
        store
            .put_transport_policy(org(), name, policy, scene.now())
            .await
    };
    let max = POLICIES_MAX;
    is(put("more").await, &ChangeError::TooMany { max });
    put("p7").await.unwrap();
    scene
        .put_anchors(anchor_set("theirs", &[1], 0))
        .await
        .unwrap();
}

pub(crate) async fn keeps_anchor_sets(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let put = async |roots, version| {
        scene
            .put_anchors(anchor_set("theirs", roots, version))
            .await
    };
    is(put(&[1], 4).await, &ChangeError::NotFound);
    let first = put(&[1], 0).await.unwrap();
    is(put(&[2], 0).await, &ChangeError::NameTaken);
    let now = scene.later(Duration::from_secs(1));
    let second = put(&[1, 2], first).await.unwrap();
    assert!(second > first);
    is(put(&[2], first).await, &ChangeError::Stale);
    let book = scene.book(org()).await;
    assert_eq!(book.version, second);
    let set = &book.anchor_sets[&name("theirs")];
    assert_eq!((set.version, set.updated_at), (second, now));
    assert_eq!(
        set.anchors,
        anchor_set("theirs", &[1, 2], 0).anchors,
        "in order"
    );
    let delete = async || store.delete_trust_anchor_set(org(), &name("theirs")).await;
    delete().await.unwrap();
    is(delete().await, &ChangeError::NotFound);
    is(put(&[1], second).await, &ChangeError::NotFound);
    let anew = put(&[3], 0).await.unwrap();
    assert!(anew > second, "no version is given twice");
}

pub(crate) async fn keeps_identities(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let put = async |certificates: &[_], version| {
        scene
            .put_identity(identity("us", certificates, version))
            .await
    };
    let one = (1, 11, Stage::Distributed);
    let first = put(&[one], 0).await.unwrap();
    is(put(&[one], 0).await, &ChangeError::NameTaken);
    let two = (2, 12, Stage::Issued);
    let second = put(&[one, two], first).await.unwrap();
    is(put(&[one], first).await, &ChangeError::Stale);
    let book = scene.book(org()).await;
    let found = &book.identities[&name("us")];
    let expect = identity("us", &[one, two], second);
    assert_eq!(format!("{found:?}"), format!("{:?}", expect));
    for certificate in &found.certificates {
        assert!(certificate.key.matches(&Secret::new(KEY.to_vec())));
    }
    let delete = async || store.delete_client_identity(org(), &name("us")).await;
    delete().await.unwrap();
    is(delete().await, &ChangeError::NotFound);
    assert!(scene.book(org()).await.identities.is_empty());
    assert!(put(&[one], 0).await.unwrap() > second);
}

pub(crate) async fn keeps_organisations_apart(store: &dyn Store) {
    let scene = Scene::new(store).await;
    scene.put_policy("strict", policy()).await;
    let set = anchor_set("theirs", &[1], 0);
    let first = scene.put_anchors(set.clone()).await.unwrap();
    let us = identity("us", &[(1, 11, Stage::Issued)], 0);
    scene.put_identity(us.clone()).await.unwrap();
    let theirs = scene.book(other_org()).await;
    assert_eq!(theirs.version, 0);
    let now = scene.now();
    let put = store.put_trust_anchor_set(other_org(), set.clone(), now);
    put.await.unwrap();
    let put = store.put_client_identity(other_org(), us, now);
    put.await.unwrap();
    let theirs = scene.book(other_org()).await;
    assert_eq!(theirs.version, 2);
    assert_eq!((theirs.policies.len(), theirs.identities.len()), (0, 1));
    let theirs = name("theirs");
    let delete = store.delete_trust_anchor_set(other_org(), &theirs);
    delete.await.unwrap();
    let ours = scene.book(org()).await;
    assert_eq!(ours.anchor_sets[&name("theirs")].version, first);
}

pub(crate) async fn keeps_what_is_named(store: &dyn Store) {
    let scene = Scene::new(store).await;
    scene
        .put_anchors(anchor_set("theirs", &[1], 0))
        .await
        .unwrap();
    let us = identity("us", &[(1, 11, Stage::Issued)], 0);
    scene.put_identity(us).await.unwrap();
    scene.put_policy("strict", policy()).await;
    scene.put_policy("lax", TransportPolicy::default()).await;
    let (one, other) = (scene.endpoint().await, scene.endpoint().await);
    scene.set_transport(one, transport(vec![])).await;
    let own = EndpointTransport {
        own: policy(),
        ..EndpointTransport::default()
    };
    scene.set_transport(other, own).await;

    let delete_policy = async |called| store.delete_transport_policy(org(), &name(called)).await;
    let delete_anchors = async || store.delete_trust_anchor_set(org(), &name("theirs")).await;
    let delete_identity = async || store.delete_client_identity(org(), &name("us")).await;
    let theirs = name("theirs");
    let naming = async |org| store.naming_trust_anchor_set(org, &theirs).await.unwrap();
    assert_eq!((naming(org()).await, naming(other_org()).await), (2, 0));
    is(delete_policy("strict").await, &ChangeError::InUse { by: 1 });
    delete_policy("lax").await.unwrap();
    is(delete_anchors().await, &ChangeError::InUse { by: 2 });
    is(delete_identity().await, &ChangeError::InUse { by: 2 });
    let elsewhere = store.delete_trust_anchor_set(other_org(), &theirs);
    is(elsewhere.await, &ChangeError::NotFound);

    scene
        .set_transport(other, EndpointTransport::default())
        .await;
    is(delete_anchors().await, &ChangeError::InUse { by: 1 });
    let now = scene.now();
    store.delete_endpoint(scene.app, one, now).await.unwrap();
    delete_policy("strict").await.unwrap();
    delete_anchors().await.unwrap();
    delete_identity().await.unwrap();
}

pub(crate) async fn an_endpoint_says_its_own(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let (endpoint, other) = (scene.endpoint().await, scene.endpoint().await);
    let nothing = EndpointTransport::default();
    assert_eq!(scene.transport(endpoint).await, nothing);
    let (version, generation) = (
        scene.version(scene.app).await,
        scene.generation(endpoint).await,
    );
    let says = transport(vec![pin(9, PinState::Active), pin(2, PinState::Staged)]);
    scene.set_transport(endpoint, says.clone()).await;
    assert_eq!(scene.transport(endpoint).await, says);
    assert!(scene.version(scene.app).await > version);
    assert!(scene.generation(endpoint).await > generation);
    assert_eq!(scene.generation(other).await, 1, "no other's");
    let routing = store.routing_of(scene.app).await.unwrap().unwrap();
    let transports = routing.destinations.iter().map(|to| &to.transport);
    assert_eq!(transports.collect::<Vec<_>>(), [&says, &nothing]);

    let generation = scene.generation(endpoint).await;
    scene.set_transport(endpoint, nothing.clone()).await;
    assert_eq!(scene.transport(endpoint).await, nothing);
    assert!(scene.generation(endpoint).await > generation);

    let elsewhere = scene.application(org(), None).await;
    for (app, endpoint) in [(elsewhere, endpoint), (scene.app, scene.id())] {
        let found = store.endpoint_transport(app, endpoint).await;
        assert_eq!(found.unwrap(), None);
        let now = scene.now();
        let set = store.set_endpoint_transport(app, endpoint, says.clone(), &nothing, now);
        is(set.await, &ChangeError::NotFound);
    }
}

pub(crate) async fn refuses_what_is_stale(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let before = scene.transport(endpoint).await;
    let first = transport(vec![pin(1, PinState::Active)]);
    let replace = async |with: &EndpointTransport, before: &EndpointTransport| {
        scene
            .replace_transport(endpoint, with.clone(), before)
            .await
    };
    replace(&first, &before).await.unwrap();
    let version = scene.version(scene.app).await;
    is(replace(&first, &before).await, &ChangeError::Stale);
    let mut noted = pin(1, PinState::Active);
    noted.note = "changed".to_owned();
    for pins in [
        vec![],
        vec![noted],
        vec![pin(2, PinState::Active)],
        vec![pin(1, PinState::Retiring)],
    ] {
        let other = transport(pins);
        is(replace(&other, &other).await, &ChangeError::Stale);
    }
    let other = EndpointTransport {
        policy: None,
        ..first.clone()
    };
    is(replace(&other, &other).await, &ChangeError::Stale);
    let other = EndpointTransport {
        own: TransportPolicy::default(),
        ..first.clone()
    };
    is(replace(&other, &other).await, &ChangeError::Stale);
    assert_eq!(scene.transport(endpoint).await, first);
    assert_eq!(scene.version(scene.app).await, version, "nothing happened");
    replace(&other, &first).await.unwrap();
}

pub(crate) async fn forgets_with_the_endpoint(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let (one, other) = (scene.endpoint().await, scene.endpoint().await);
    for endpoint in [one, other] {
        let called = endpoint.to_string();
        let set = anchor_set(&called, &[1], 0);
        scene.put_anchors(set).await.unwrap();
        let us = identity(&called, &[(1, 11, Stage::Issued)], 0);
        scene.put_identity(us).await.unwrap();
        let own = TransportPolicy {
            trust_anchors: Some(name(&called)),
            client_identity: Some(Choice::Named(name(&called))),
            ..TransportPolicy::default()
        };
        let pins = PinSet::from_stored(vec![pin(1, PinState::Active)]);
        let says = EndpointTransport {
            policy: None,
            own,
            pins,
        };
        scene.set_transport(endpoint, says).await;
    }
    let third = scene.endpoint().await;
    let own = TransportPolicy {
        trust_anchors: Some(name(&other.to_string())),
        ..TransportPolicy::default()
    };
    scene.put_policy("shares", own).await;

    let version = scene.book(org()).await.version;
    let now = scene.now();
    store.delete_endpoint(scene.app, one, now).await.unwrap();
    let found = store.endpoint_transport(scene.app, one).await;
    assert_eq!(found.unwrap(), None);
    let book = scene.book(org()).await;
    assert!(book.version > version);
    let left = name(&other.to_string());
    assert_eq!(book.anchor_sets.keys().collect::<Vec<_>>(), [&left]);
    assert_eq!(book.identities.keys().collect::<Vec<_>>(), [&left]);

    store.delete_application(scene.app, now).await.unwrap();
    let book = scene.book(org()).await;
    assert!(book.identities.is_empty(), "its keys are gone for good");
    assert_eq!(
        book.anchor_sets.keys().collect::<Vec<_>>(),
        [&left],
        "a policy names it"
    );
    for endpoint in [other, third] {
        let found = store.endpoint_transport(scene.app, endpoint).await;
        assert_eq!(found.unwrap(), None);
    }
}

pub(crate) async fn finds_endpoints(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let elsewhere = scene.application(org(), None).await;
    let endpoint = scene.endpoint().await;
    let new = scene.new_endpoint(elsewhere, crate::scene::endpoint_spec(None));
    let other = new.id;
    store.create_endpoint(new, None).await.unwrap();
    let find = async |org, endpoint| store.find_endpoint(org, endpoint).await.unwrap();
    assert_eq!(find(org(), endpoint).await, Some(scene.app));
    assert_eq!(find(org(), other).await, Some(elsewhere));
    assert_eq!(find(other_org(), endpoint).await, None::<AppId>);
    assert_eq!(find(org(), scene.id()).await, None);
    let now = scene.now();
    store
        .delete_endpoint(scene.app, endpoint, now)
        .await
        .unwrap();
    assert_eq!(find(org(), endpoint).await, None);
    store.delete_application(elsewhere, now).await.unwrap();
    assert_eq!(find(org(), other).await, None);
}

pub(crate) async fn counts_endpoints_with_few_pins(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let few = async |org| {
        let few = store.endpoints_with_fewer_pins(org, 2).await.unwrap();
        let few = few.into_iter();
        let mut few: Vec<_> = few
            .map(|one| {
                let policy = one.policy.map(|name| name.to_string());
                let pinning = one.pinning.map(Pinning::as_str);
                (policy, pinning, one.endpoints)
            })
            .collect();
        few.sort();
        few
    };
    assert_eq!(few(org()).await, []);
    let mut endpoints = Vec::new();
    for _ in 0..5 {
        endpoints.push(scene.endpoint().await);
    }
    let elsewhere = scene.application(org(), None).await;
    let new = scene.new_endpoint(elsewhere, endpoint_spec(None));
    store.create_endpoint(new, None).await.unwrap();
    assert_eq!(few(org()).await, [(None, None, 6)]);
    assert_eq!(few(other_org()).await, []);

    let pins = |count: u8| (0..count).map(|byte| pin(byte, PinState::Staged)).collect();
    for (endpoint, count) in endpoints.iter().zip([0, 1, 2]) {
        scene.set_transport(*endpoint, transport(pins(count))).await;
    }
    let only_pins = EndpointTransport {
        pins: PinSet::from_stored(pins(2)),
        ..EndpointTransport::default()
    };
    scene.set_transport(endpoints[3], only_pins).await;
    let strict = (Some("strict".to_owned()), Some("enforce"), 2);
    assert_eq!(few(org()).await, [(None, None, 2), strict]);
    let now = scene.now();
    for endpoint in [endpoints[0], endpoints[4]] {
        let deleted = store.delete_endpoint(scene.app, endpoint, now).await;
        deleted.unwrap();
    }
    let strict = (Some("strict".to_owned()), Some("enforce"), 1);
    assert_eq!(few(org()).await, [(None, None, 1), strict]);
}

pub(crate) async fn a_request_is_remembered_with_what_it_made(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let now = scene.now();
    let request = |key| Idempotency {
        key_hash: [key; 32],
        body_hash: [1; 32],
        expires_at: now.plus(Duration::from_secs(60)),
    };
    let ask = async |key, version| {
        let us = identity("us", &[(7, 11, Stage::Issued)], version);
        store
            .put_client_identity_as_asked(org(), us, request(key), 7, now)
            .await
    };
    let earlier = async |key| store.earlier_request(request(key), now).await.unwrap();
    let version = ask(1, 0).await.unwrap();
    assert_eq!(earlier(1).await, Some(7));
    let stale = ask(2, version + 1).await;
    assert!(matches!(stale, Err(ChangeError::Stale)), "{stale:?}");
    assert_eq!(earlier(2).await, None, "it made nothing");
}
