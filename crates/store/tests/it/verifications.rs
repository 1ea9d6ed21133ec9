//! Verifications of endpoints: how they end, and what they hold and release.

use std::num::NonZeroU32;
use std::time::Duration;

use hookseal_domain::access::api_token::TokenHash;
use hookseal_domain::delivery::DeliveryKey;
use hookseal_domain::endpoint::url::EndpointUrl;
use hookseal_domain::endpoint::verification::{
    Demand, Grant, Method, Origin, Question, Standing, State, Verification,
};
use hookseal_domain::id::EndpointId;
use hookseal_store::Store;
use hookseal_store::error::ChangeError;
use hookseal_store::inspect::DeliveryStatus;
use hookseal_store::publish::DeliveryStart;
use hookseal_store::reference::Reference;
use hookseal_store::verification::{NewVerification, Verified};

use crate::scene::{Enabled, Scene, endpoint_spec, org};

fn question() -> Question {
    Question {
        origin: Origin::parse("hooks.example").unwrap(),
        rate: NonZeroU32::new(60),
    }
}

fn grant(rate: u32) -> Grant {
    Grant {
        origin: question().origin,
        rate: NonZeroU32::new(rate),
    }
}

fn hash(byte: u8) -> TokenHash {
    TokenHash([byte; 32])
}

async fn begin(scene: &Scene<'_>, endpoint: EndpointId, byte: u8) {
    let new = NewVerification {
        method: Method::CloudEvents,
        question: Some(question()),
        hash: hash(byte),
        until: scene.now().plus(Duration::from_secs(60)),
    };
    let begun = scene.store.begin_verification(scene.app, endpoint, new);
    let verification = begun.await.unwrap().verification;
    assert_eq!(verification.state(scene.now()), State::Pending);
}

async fn end(scene: &Scene<'_>, byte: u8, verified: Verified) -> Option<EndpointId> {
    let now = scene.now();
    let ended = scene.store.end_verification(hash(byte), verified, now);
    ended.await.unwrap().map(|(_, endpoint)| endpoint)
}

async fn verification(scene: &Scene<'_>, endpoint: EndpointId) -> Verification {
    let named = Reference::Id(endpoint);
    let found = scene.store.endpoint(scene.app, &named).await;
    found.unwrap().unwrap().verification
}

async fn is_disabled(scene: &Scene<'_>, endpoint: EndpointId) -> bool {
    let routing = scene.store.routing_of(scene.app).await.unwrap().unwrap();
    routing.destination(endpoint).unwrap().disabled
}

pub(crate) async fn a_verification_ends_once(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    assert_eq!(
        verification(&scene, endpoint).await,
        Verification::default()
    );
    begin(&scene, endpoint, 1).await;
    begin(&scene, endpoint, 2).await;
    let asked = store.question(hash(1), scene.now()).await.unwrap();
    assert_eq!(asked, None, "another one was begun");
    let asked = store.question(hash(2), scene.now()).await.unwrap();
    assert_eq!(asked, Some(question()));
    let passed = Verified::Passed(Some(grant(7)));
    assert_eq!(end(&scene, 1, passed.clone()).await, None);
    let before = scene.version(scene.app).await;
    assert_eq!(end(&scene, 2, passed.clone()).await, Some(endpoint));
    assert!(scene.version(scene.app).await > before);
    assert_eq!(end(&scene, 2, passed.clone()).await, None);
    let known = verification(&scene, endpoint).await;
    assert_eq!(known.state(scene.now()), State::Verified);
    assert_eq!(known.grant, Some(grant(7)));
    let routing = store.routing_of(scene.app).await.unwrap().unwrap();
    let granted = &routing.destination(endpoint).unwrap().grant;
    assert_eq!(*granted, Some(grant(7)));

    begin(&scene, endpoint, 3).await;
    scene.later(Duration::from_secs(60));
    assert_eq!(end(&scene, 3, passed).await, None, "its time is over");
    let gone = EndpointId::from_raw(1);
    let new = NewVerification {
        method: Method::Challenge,
        question: None,
        hash: hash(4),
        until: scene.now(),
    };
    let begun = store.begin_verification(scene.app, gone, new).await;
    assert!(matches!(begun, Err(ChangeError::NotFound)), "{begun:?}");
}

pub(crate) async fn another_url_is_another_endpoint(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    begin(&scene, endpoint, 1).await;
    end(&scene, 1, Verified::Passed(Some(grant(7)))).await;
    begin(&scene, endpoint, 2).await;
    let update = async |url: &str| {
        let mut spec = endpoint_spec(None);
        spec.url = EndpointUrl::parse(url).unwrap();
        let now = scene.now();
        let updated = store.update_endpoint(scene.app, endpoint, spec, now);
        updated.await.unwrap().verification
    };
    let same = update(endpoint_spec(None).url.as_str()).await;
    assert_eq!(same.grant, Some(grant(7)));
    let other = update("https://receiver.example/other").await;
    assert_eq!(other, Verification::default());
    assert_eq!(end(&scene, 2, Verified::Passed(None)).await, None);
    begin(&scene, endpoint, 3).await;
    let now = scene.now();
    store
        .delete_endpoint(scene.app, endpoint, now)
        .await
        .unwrap();
    assert_eq!(end(&scene, 3, Verified::Passed(None)).await, None);
}

pub(crate) async fn what_is_demanded_holds_and_releases(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let old = scene.endpoint().await;
    store.demand_verification(Demand::Verified).await.unwrap();
    let new = scene.endpoint().await;
    for endpoint in [old, new] {
        let known = verification(&scene, endpoint).await;
        assert_eq!(known.standing, Standing::Withheld);
        assert!(is_disabled(&scene, endpoint).await);
    }
    let held = async |endpoint| {
        let message = scene.accept(DeliveryStart::Held, &[endpoint]).await;
        DeliveryKey { message, endpoint }
    };
    let (of_old, of_new) = (held(old).await, held(new).await);
    let is_held = async |key| {
        let status = scene.status(key).await;
        let held = hookseal_domain::delivery::Pending::Held;
        status == Some(DeliveryStatus::Pending(held))
    };
    // What is held late does not slip through.
    let late = scene.owned(old).await;
    store.hold(vec![(scene.app, late)]).await.unwrap();
    scene.enable(old, Enabled::No).await;
    scene.enable(old, Enabled::Yes).await;
    assert_eq!(store.release_held(100).await.unwrap(), []);
    assert!(is_held(of_old).await && is_held(late).await);
    assert!(is_disabled(&scene, old).await);
    begin(&scene, new, 1).await;
    end(&scene, 1, Verified::Failed("no".to_owned())).await;
    assert_eq!(store.release_held(100).await.unwrap(), []);
    assert!(is_held(of_new).await);
    begin(&scene, new, 2).await;
    end(&scene, 2, Verified::Passed(None)).await;
    let released = store.release_held(100).await.unwrap();
    assert_eq!(released, [(scene.app, new)]);
    assert!(!is_held(of_new).await && !is_disabled(&scene, new).await);
    begin(&scene, new, 3).await;
    assert!(!is_disabled(&scene, new).await, "it holds until it ends");
    end(&scene, 3, Verified::Failed("no".to_owned())).await;
    assert!(is_disabled(&scene, new).await);
    // A start with the same demand changes nothing.
    begin(&scene, new, 4).await;
    end(&scene, 4, Verified::Passed(None)).await;
    store.demand_verification(Demand::Verified).await.unwrap();
    assert!(!is_disabled(&scene, new).await && is_disabled(&scene, old).await);
    let again = held(old).await;
    store.demand_verification(Demand::None).await.unwrap();
    assert!(!is_disabled(&scene, old).await);
    let released = store.release_held(100).await.unwrap();
    assert_eq!(released, [(scene.app, old)]);
    assert!(!is_held(again).await && !is_held(of_old).await && !is_held(late).await);
}

pub(crate) async fn operational_endpoints_are_free(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let (id, now) = (scene.id(), scene.now());
    let made = store.make_operational_application(org(), id, now).await;
    let app = made.unwrap();
    let made = store.create_endpoint(scene.new_endpoint(app, endpoint_spec(None)), None);
    let before = made.await.unwrap().into_inner();
    store.demand_verification(Demand::Verified).await.unwrap();
    let made = store.create_endpoint(scene.new_endpoint(app, endpoint_spec(None)), None);
    let after = made.await.unwrap().into_inner();
    for endpoint in [before.id, after.id] {
        let found = store.endpoint(app, &Reference::Id(endpoint)).await;
        let standing = found.unwrap().unwrap().verification.standing;
        assert_eq!(standing, Standing::Free);
    }
}
