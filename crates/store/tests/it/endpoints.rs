//! Endpoints, their headers and keys.

use std::time::Duration;

use hookseal_domain::delivery::{Ended, Next};
use hookseal_domain::endpoint::headers::EndpointHeaders;
use hookseal_domain::endpoint::url::EndpointUrl;
use hookseal_domain::limits::SIGNING_KEYS_MAX;
use hookseal_domain::signature::key::{KeyKind, SigningKey};
use hookseal_domain::time::Timestamp;
use hookseal_store::Store;
use hookseal_store::config::{Created, NewSigningKey};
use hookseal_store::error::ChangeError;
use hookseal_store::page::{Order, PageStart};
use hookseal_store::reference::Reference;

use crate::scene::{
    Enabled, Scene, endpoint_spec, first_page, headers, idempotency, key, org, uid,
};

pub(crate) async fn makes_and_finds(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let new = scene.new_endpoint(scene.app, endpoint_spec(Some("theirs")));
    let id = new.id;
    let before = scene.version(scene.app).await;
    let Created::New(made) = store.create_endpoint(new, None).await.unwrap() else {
        panic!("it is new");
    };
    assert!(scene.version(scene.app).await > before);
    assert_eq!(made.spec, endpoint_spec(Some("theirs")));
    assert_eq!((made.id, made.switched_off), (id, None));
    for reference in [Reference::Id(id), Reference::Uid("theirs".to_owned())] {
        let found = store.endpoint(scene.app, &reference).await.unwrap();
        assert_eq!(found.as_ref(), Some(&made));
        let other = scene.application(org(), None).await;
        assert_eq!(store.endpoint(other, &reference).await.unwrap(), None);
    }
    let nowhere = scene.new_endpoint(scene.id(), endpoint_spec(None));
    let refused = store.create_endpoint(nowhere, None).await;
    assert!(matches!(refused, Err(ChangeError::NotFound)), "{refused:?}");
}

pub(crate) async fn keeps_uids_unique(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let create = async |app| {
        let new = scene.new_endpoint(app, endpoint_spec(Some("a")));
        store.create_endpoint(new, None).await
    };
    let first = create(scene.app).await.unwrap().into_inner().id;
    let refused = create(scene.app).await;
    assert!(
        matches!(refused, Err(ChangeError::NameTaken)),
        "{refused:?}"
    );
    create(scene.application(org(), None).await).await.unwrap();
    let second = scene.endpoint().await;
    let update = async |endpoint| {
        let spec = endpoint_spec(Some("a"));
        store
            .update_endpoint(scene.app, endpoint, spec, scene.now())
            .await
    };
    let refused = update(second).await;
    assert!(
        matches!(refused, Err(ChangeError::NameTaken)),
        "{refused:?}"
    );
    update(first).await.unwrap();
    store
        .delete_endpoint(scene.app, first, scene.now())
        .await
        .unwrap();
    update(second).await.unwrap();
}

pub(crate) async fn repeats(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let request = idempotency(1, 1, scene.now());
    let create = async |request| {
        let new = scene.new_endpoint(scene.app, endpoint_spec(Some("a")));
        store.create_endpoint(new, request).await
    };
    let Created::New(made) = create(request).await.unwrap() else {
        panic!("it is new");
    };
    assert_eq!(create(request).await.unwrap(), Created::Existing(made));
    let refused = create(idempotency(1, 2, scene.now())).await;
    assert!(
        matches!(refused, Err(ChangeError::IdempotencyKeyReused)),
        "{refused:?}"
    );
}

pub(crate) async fn updates(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let generation = async || {
        let routing = store.routing_of(scene.app).await.unwrap().unwrap();
        routing.destination(endpoint).unwrap().generation
    };
    let first = generation().await;
    let mut spec = endpoint_spec(Some("a"));
    spec.description = "changed".to_owned();
    spec.subscription.event_types = None;
    spec.subscription.channels = Some(vec![]);
    let now = scene.later(Duration::from_secs(1));
    let update = async |spec| store.update_endpoint(scene.app, endpoint, spec, now).await;
    let updated = update(spec.clone()).await.unwrap();
    assert_eq!((&updated.spec, updated.updated_at), (&spec, now));
    assert_eq!(
        generation().await,
        first,
        "nothing of the connection changed"
    );
    spec.url = EndpointUrl::parse("https://elsewhere.example/").unwrap();
    update(spec.clone()).await.unwrap();
    assert!(generation().await > first);
    let missing = store
        .update_endpoint(scene.app, scene.id(), spec, now)
        .await;
    assert!(matches!(missing, Err(ChangeError::NotFound)), "{missing:?}");
}

pub(crate) async fn enabling_ends_gone(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let key = scene.owned(endpoint).await;
    let mut finished = scene.finished(key, 1, Next::End(Ended::Gone));
    finished.endpoint_gone_at = Some(scene.now());
    scene.record(finished).await;
    let disabled = async || {
        let routing = store.routing_of(scene.app).await.unwrap().unwrap();
        routing.destinations[0].disabled
    };
    assert!(disabled().await);
    scene.enable(endpoint, Enabled::No).await;
    let found = store.endpoint(scene.app, &Reference::Id(endpoint)).await;
    assert!(found.unwrap().unwrap().switched_off.is_some(), "still so");
    scene.enable(endpoint, Enabled::Yes).await;
    assert!(!disabled().await);
    let found = store.endpoint(scene.app, &Reference::Id(endpoint)).await;
    assert_eq!(found.unwrap().unwrap().switched_off, None);
}

pub(crate) async fn deletes(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let before = scene.version(scene.app).await;
    store
        .delete_endpoint(scene.app, endpoint, scene.now())
        .await
        .unwrap();
    assert!(scene.version(scene.app).await > before);
    let reference = Reference::Id(endpoint);
    assert_eq!(store.endpoint(scene.app, &reference).await.unwrap(), None);
    let list = store
        .endpoints(scene.app, first_page(50, Order::Ascending))
        .await;
    assert_eq!(list.unwrap().rows, []);
    let now = scene.now();
    let gone = [
        store.delete_endpoint(scene.app, endpoint, now).await,
        store
            .set_endpoint_headers(scene.app, endpoint, headers(), now)
            .await,
    ];
    for gone in gone {
        assert!(matches!(gone, Err(ChangeError::NotFound)), "{gone:?}");
    }
    assert!(
        store
            .endpoint_headers(scene.app, endpoint)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        store
            .current_signing_key(scene.app, endpoint)
            .await
            .unwrap()
            .is_none()
    );
    let rotated = rotate(&scene, endpoint, key(2), now).await;
    assert!(matches!(rotated, Err(ChangeError::NotFound)), "{rotated:?}");
}

pub(crate) async fn keeps_headers(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let found = async || store.endpoint_headers(scene.app, endpoint).await.unwrap();
    assert_eq!(found().await, Some(headers()));
    let pair = ("authorization".to_owned(), "Bearer 1".to_owned());
    let other = EndpointHeaders::parse([pair]).unwrap();
    let before = scene.version(scene.app).await;
    let set = store.set_endpoint_headers(scene.app, endpoint, other.clone(), scene.now());
    set.await.unwrap();
    assert_eq!(found().await, Some(other.clone()));
    let routing = store.routing_of(scene.app).await.unwrap().unwrap();
    assert_eq!(routing.destinations[0].headers, other);
    assert!(routing.version > before);
    let elsewhere = scene.application(org(), None).await;
    assert_eq!(
        store.endpoint_headers(elsewhere, endpoint).await.unwrap(),
        None
    );
}

async fn rotate(
    scene: &Scene<'_>,
    endpoint: hookseal_domain::id::EndpointId,
    key: SigningKey,
    old_ends_at: Timestamp,
) -> Result<Created<()>, ChangeError> {
    let new = NewSigningKey {
        key,
        now: scene.now(),
        old_ends_at,
    };
    scene
        .store
        .rotate_signing_key(scene.app, endpoint, new, None)
        .await
}

pub(crate) async fn rotates_keys(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let live = async || {
        let routing = store.routing_of(scene.app).await.unwrap().unwrap();
        let keys = routing.destinations[0].keys_at(scene.now());
        keys.map(|key| key.secret_bytes().expose()[0])
            .collect::<Vec<_>>()
    };
    let current = async || {
        let current = store
            .current_signing_key(scene.app, endpoint)
            .await
            .unwrap();
        current.unwrap()
    };
    assert!(current().await.matches(&key(1)));
    let overlap = scene.now().plus(Duration::from_hours(1));
    rotate(&scene, endpoint, key(2), overlap).await.unwrap();
    assert_eq!(live().await, [2, 1], "newest first");
    assert!(current().await.matches(&key(2)));
    let ed25519 = SigningKey::from_bytes(KeyKind::Ed25519, &[3; 32]).unwrap();
    rotate(&scene, endpoint, ed25519, overlap).await.unwrap();
    assert_eq!(current().await.kind(), KeyKind::Ed25519);
    assert_eq!(live().await, [3, 2, 1]);
    scene.later(Duration::from_hours(1));
    assert_eq!(live().await, [3], "the overlap is over");
    rotate(&scene, endpoint, key(4), scene.now()).await.unwrap();
    assert_eq!(live().await, [4], "at once");
    let request = idempotency(5, 5, scene.now());
    let again = async |byte| {
        let new = NewSigningKey {
            key: key(byte),
            now: scene.now(),
            old_ends_at: scene.now(),
        };
        store
            .rotate_signing_key(scene.app, endpoint, new, request)
            .await
    };
    assert_eq!(again(5).await.unwrap(), Created::New(()));
    assert_eq!(again(6).await.unwrap(), Created::Existing(()));
    assert_eq!(live().await, [5]);
}

pub(crate) async fn bounds_live_keys(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let overlap = scene.now().plus(Duration::from_hours(1));
    for byte in 2..=u8::try_from(SIGNING_KEYS_MAX).unwrap() {
        rotate(&scene, endpoint, key(byte), overlap).await.unwrap();
    }
    let refused = rotate(&scene, endpoint, key(9), overlap).await;
    let max = SIGNING_KEYS_MAX;
    assert!(
        matches!(refused, Err(ChangeError::TooMany { max: m }) if m == max),
        "{refused:?}"
    );
    rotate(&scene, endpoint, key(9), scene.now()).await.unwrap();
    let routing = store.routing_of(scene.app).await.unwrap().unwrap();
    assert_eq!(routing.destinations[0].keys_at(scene.now()).count(), 1);
}

pub(crate) async fn pages(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let mut all = Vec::new();
    for number in 0..5 {
        let spec = endpoint_spec(Some(&format!("e{number}")));
        let new = scene.new_endpoint(scene.app, spec);
        all.push(store.create_endpoint(new, None).await.unwrap().into_inner());
        assert_eq!(all[number].spec.uid, Some(uid(&format!("e{number}"))));
    }
    let mut page = first_page(2, Order::Descending);
    let newest = store.endpoints(scene.app, page.clone()).await.unwrap();
    assert_eq!(
        (newest.rows, newest.done),
        (vec![all[4].clone(), all[3].clone()], false)
    );
    page.from = PageStart::After(all[1].id);
    let last = store.endpoints(scene.app, page.clone()).await.unwrap();
    assert_eq!((last.rows, last.done), (vec![all[0].clone()], true));
    page.from = PageStart::Before(all[2].id);
    let back = store.endpoints(scene.app, page).await.unwrap();
    assert_eq!(
        (back.rows, back.done),
        (vec![all[4].clone(), all[3].clone()], true)
    );
}
