//! Tokens that were made, ended and handed out.

use std::time::Duration;

use hookseal_domain::access::api_token::{ApiToken, TokenHash};
use hookseal_domain::access::cutoffs::Cutoff;
use hookseal_domain::access::portal::PortalGrant;
use hookseal_domain::access::scopes::Scopes;
use hookseal_domain::id::{ApiTokenId, AppId};
use hookseal_domain::limits::API_TOKENS_MAX;
use hookseal_store::Store;
use hookseal_store::error::ChangeError;
use hookseal_store::page::Order;
use hookseal_store::tokens::{ApiTokenChange, NewApiToken};

use crate::scene::{Scene, days, first_page, idempotency, org, other_org};

fn hash(text: &str) -> TokenHash {
    TokenHash::of(text)
}

fn new(scene: &Scene<'_>, text: &str) -> NewApiToken {
    let token = ApiToken {
        id: scene.id(),
        org: org(),
        name: "service".to_owned(),
        scopes: Scopes::FULL,
        ending: text.to_owned(),
        expires_at: None,
        used_at: None,
    };
    NewApiToken {
        token,
        hash: hash(text),
        now: scene.now(),
    }
}

async fn made(scene: &Scene<'_>, text: &str) -> ApiToken {
    let made = scene.store.create_api_token(new(scene, text), None);
    made.await.unwrap()
}

pub(crate) async fn keeps_api_tokens(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let token = made(&scene, "one").await;
    let (of_hash, by_id) = (
        store.api_token_of(hash("one")).await.unwrap(),
        store.api_token(org(), token.id).await.unwrap(),
    );
    assert_eq!([of_hash, by_id], [Some(token.clone()), Some(token.clone())]);
    assert_eq!(store.api_token_of(hash("two")).await.unwrap(), None);
    assert_eq!(store.api_token(other_org(), token.id).await.unwrap(), None);

    let change = ApiTokenChange {
        name: None,
        scopes: Some(Scopes::READ),
    };
    let changed = store.change_api_token(org(), token.id, change.clone());
    let changed = changed.await.unwrap();
    assert_eq!(changed.name, "service");
    assert_eq!(changed.scopes, Scopes::READ);
    let foreign = store.change_api_token(other_org(), token.id, change).await;
    assert!(matches!(foreign, Err(ChangeError::NotFound)), "{foreign:?}");

    let (soon, late) = (scene.now().plus(days(1)), scene.now().plus(days(2)));
    for at in [soon, late] {
        store.expire_api_token(org(), token.id, at).await.unwrap();
        store.api_token_used(org(), token.id, at).await.unwrap();
    }
    let found = store.api_token(org(), token.id).await.unwrap().unwrap();
    assert_eq!(found.expires_at, Some(soon), "never later than it would");
    assert_eq!(found.used_at, Some(late));
    let nobody = store.expire_api_token(org(), ApiTokenId::from_raw(1), soon);
    assert!(matches!(nobody.await, Err(ChangeError::NotFound)));

    let second = made(&scene, "two").await;
    let page = store.api_tokens(org(), first_page(1, Order::Descending));
    let page = page.await.unwrap();
    assert_eq!((page.rows, page.done), (vec![second], false));
    let others = store.api_tokens(other_org(), first_page(9, Order::Ascending));
    assert_eq!(others.await.unwrap().rows, []);
}

pub(crate) async fn replaces_the_text_of_a_repeated_one(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let request = |body| idempotency(1, body, scene.now());
    let make = |text, body| store.create_api_token(new(&scene, text), request(body));
    let first = make("one", 1).await.unwrap();
    let again = make("two", 1).await.unwrap();
    assert_eq!((again.id, again.ending.as_str()), (first.id, "two"));
    assert_eq!(store.api_token_of(hash("one")).await.unwrap(), None);
    assert_eq!(store.api_token_of(hash("two")).await.unwrap(), Some(again));
    let other = make("three", 2).await;
    assert!(matches!(other, Err(ChangeError::IdempotencyKeyReused)));
}

pub(crate) async fn bounds_api_tokens(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let first = made(&scene, "0").await;
    for n in 1..API_TOKENS_MAX {
        made(&scene, &n.to_string()).await;
    }
    let more = store.create_api_token(new(&scene, "more"), None).await;
    assert!(matches!(
        more,
        Err(ChangeError::TooMany {
            max: API_TOKENS_MAX
        })
    ));
    let expired = store.expire_api_token(org(), first.id, scene.now());
    expired.await.unwrap();
    scene.later(days(91));
    made(&scene, "more").await;
    assert_eq!(store.api_token(org(), first.id).await.unwrap(), None);
}

pub(crate) async fn cuts_off_by_time(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let (issued, now) = (Some(scene.now()), scene.later(days(1)));
    let ended = async || {
        let routing = store.routing_of(scene.app).await.unwrap().unwrap();
        (routing.token_cutoffs.ended(issued, now), routing.version)
    };
    let before = ended().await;
    assert!(!before.0);
    let cutoff = Cutoff {
        issued_until: now,
        at: now,
    };
    store.cut_tokens_off(scene.app, cutoff).await.unwrap();
    let after = ended().await;
    assert!(
        after.0 && after.1 > before.1,
        "it is a change of its routing"
    );
    let nobody = store.cut_tokens_off(AppId::from_raw(1), cutoff).await;
    assert!(matches!(nobody, Err(ChangeError::NotFound)));
}

pub(crate) async fn ends_one(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let ended = async |text| store.is_token_ended(hash(text)).await.unwrap();
    let end = async |text, ends_at| {
        let end = store.end_token(hash(text), ends_at, scene.now());
        end.await.unwrap();
    };
    end("short", Some(scene.now().plus(days(1)))).await;
    end("endless", None).await;
    end("endless", None).await;
    assert!(ended("short").await && ended("endless").await && !ended("other").await);
    // It would have ended by itself, so nothing has to be remembered.
    scene.later(days(2));
    end("third", None).await;
    assert!(!ended("short").await && ended("endless").await && ended("third").await);
}

fn grant(scene: &Scene<'_>) -> PortalGrant {
    PortalGrant {
        org: org(),
        app: scene.app,
        scopes: Scopes::READ,
        feature_flags: vec!["beta".to_owned()],
        lasts_secs: 60,
        issued_at: scene.now().minus(Duration::from_millis(1)),
    }
}

pub(crate) async fn takes_nothing_of_an_ended_application(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let keep = async |text| {
        let expires_at = scene.now().plus(days(1));
        let kept = store.keep_one_time_token(hash(text), grant(&scene), expires_at, scene.now());
        kept.await
    };
    let take = async |text| {
        let taken = store.take_one_time_token(hash(text), scene.now());
        taken.await.unwrap().is_some()
    };
    let cut_off = async |grace| {
        let cutoff = Cutoff {
            issued_until: scene.now(),
            at: scene.now().plus(grace),
        };
        store.cut_tokens_off(scene.app, cutoff).await.unwrap();
    };
    for text in ["graced", "late", "cut"] {
        keep(text).await.unwrap();
    }
    cut_off(Duration::from_secs(60)).await;
    assert!(take("graced").await);
    scene.later(Duration::from_secs(60));
    assert!(!take("late").await);
    keep("soon").await.unwrap();
    cut_off(Duration::ZERO).await;
    assert!(!take("cut").await && !take("soon").await);
    keep("new").await.unwrap();
    let deleted = store.delete_application(scene.app, scene.now());
    deleted.await.unwrap();
    assert!(!take("new").await);
    let kept = keep("later").await;
    assert!(matches!(kept, Err(ChangeError::NotFound)), "{kept:?}");
}

pub(crate) async fn takes_once(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let grant = grant(&scene);
    let expires_at = scene.now().plus(Duration::from_secs(60));
    for text in ["one", "late"] {
        let keep = store.keep_one_time_token(hash(text), grant.clone(), expires_at, scene.now());
        keep.await.unwrap();
    }
    let take = |text| store.take_one_time_token(hash(text), scene.now());
    assert_eq!(take("other").await.unwrap(), None);
    let (first, second, third) = tokio::join!(take("one"), take("one"), take("one"));
    let taken: Vec<_> = [first, second, third]
        .into_iter()
        .filter_map(Result::unwrap)
        .collect();
    assert_eq!(taken, [grant]);
    scene.later(Duration::from_secs(60));
    assert_eq!(take("late").await.unwrap(), None);
}
