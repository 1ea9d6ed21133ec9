//! Applications.

use hookseal_store::Store;
use hookseal_store::config::Created;
use hookseal_store::error::ChangeError;
use hookseal_store::page::{Order, PageRequest, PageStart};
use hookseal_store::reference::Reference;

use crate::scene::{
    Scene, application_spec, endpoint_spec, first_page, headers, idempotency, org, other_org,
};

pub(crate) async fn makes_and_finds(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let new = scene.new_application(org(), Some("customer-1"));
    let made = store.create_application(new.clone(), None).await.unwrap();
    assert_eq!(made, Created::New(new.clone()));
    for reference in [
        Reference::Id(new.id),
        Reference::Uid("customer-1".to_owned()),
    ] {
        let found = store.application(org(), &reference).await.unwrap();
        assert_eq!(found, Some(new.clone()));
        assert_eq!(
            store.application(other_org(), &reference).await.unwrap(),
            None
        );
        assert!(
            store
                .routing(other_org(), &reference)
                .await
                .unwrap()
                .is_none()
        );
        let routing = store.routing(org(), &reference).await.unwrap().unwrap();
        assert_eq!(routing.application, new);
    }
    let unknown = Reference::Uid("customer-2".to_owned());
    assert_eq!(store.application(org(), &unknown).await.unwrap(), None);
}

pub(crate) async fn keeps_uids_unique(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let first = scene.application(org(), Some("a")).await;
    let second = scene.application(org(), Some("b")).await;
    scene.application(other_org(), Some("a")).await;
    let refused = store
        .create_application(scene.new_application(org(), Some("a")), None)
        .await;
    assert!(
        matches!(refused, Err(ChangeError::NameTaken)),
        "{refused:?}"
    );
    let update = async |uid| {
        store
            .update_application(second, application_spec(Some(uid)), scene.now())
            .await
    };
    let refused = update("a").await;
    assert!(
        matches!(refused, Err(ChangeError::NameTaken)),
        "{refused:?}"
    );
    update("b").await.unwrap();
    store.delete_application(first, scene.now()).await.unwrap();
    update("a").await.unwrap();
}

pub(crate) async fn repeats(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let request = idempotency(1, 1, scene.now());
    let new = scene.new_application(org(), Some("a"));
    let made = store
        .create_application(new.clone(), request)
        .await
        .unwrap();
    assert_eq!(made, Created::New(new.clone()));
    let again = scene.new_application(org(), Some("a"));
    let made = store.create_application(again, request).await.unwrap();
    assert_eq!(made, Created::Existing(new.clone()));
    let other = idempotency(1, 2, scene.now());
    let refused = store
        .create_application(scene.new_application(org(), None), other)
        .await;
    assert!(
        matches!(refused, Err(ChangeError::IdempotencyKeyReused)),
        "{refused:?}"
    );
    store.delete_application(new.id, scene.now()).await.unwrap();
    let gone = store.create_application(new, request).await;
    assert!(matches!(gone, Err(ChangeError::NotFound)), "{gone:?}");
}

pub(crate) async fn updates(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let before = scene.version(scene.app).await;
    let mut spec = application_spec(Some("renamed"));
    spec.name = "Renamed".to_owned();
    spec.throttle_rate = None;
    spec.metadata.clear();
    let now = scene.later(std::time::Duration::from_secs(1));
    let updated = store
        .update_application(scene.app, spec.clone(), now)
        .await
        .unwrap();
    assert_eq!((&updated.spec, updated.updated_at), (&spec, now));
    let found = store.application(org(), &Reference::Id(scene.app)).await;
    assert_eq!(found.unwrap(), Some(updated));
    assert!(scene.version(scene.app).await > before);
    let missing = store.update_application(scene.id(), spec, now).await;
    assert!(matches!(missing, Err(ChangeError::NotFound)), "{missing:?}");
}

pub(crate) async fn deletes(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    store
        .delete_application(scene.app, scene.now())
        .await
        .unwrap();
    let reference = Reference::Id(scene.app);
    assert_eq!(store.application(org(), &reference).await.unwrap(), None);
    let list = store
        .applications(org(), first_page(50, Order::Ascending))
        .await;
    assert_eq!(list.unwrap().rows, []);
    let found = store.endpoint(scene.app, &Reference::Id(endpoint)).await;
    assert_eq!(found.unwrap(), None);
    let again = store.delete_application(scene.app, scene.now()).await;
    assert!(matches!(again, Err(ChangeError::NotFound)), "{again:?}");
    let new = scene.new_endpoint(scene.app, endpoint_spec(None));
    let refused = store.create_endpoint(new, None).await;
    assert!(matches!(refused, Err(ChangeError::NotFound)), "{refused:?}");
}

pub(crate) async fn pages_both_ways(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let mut all = vec![scene.app];
    for _ in 0..6 {
        all.push(scene.application(org(), None).await);
    }
    scene.application(other_org(), None).await;
    let page = async |from, order| {
        let page = PageRequest {
            limit: 3,
            from,
            order,
        };
        let page = store.applications(org(), page).await.unwrap();
        (
            page.rows.iter().map(|a| a.id).collect::<Vec<_>>(),
            page.done,
        )
    };
    let (up, down) = (Order::Ascending, Order::Descending);
    assert_eq!(
        page(PageStart::Beginning, up).await,
        (all[..3].to_vec(), false)
    );
    assert_eq!(
        page(PageStart::After(all[2]), up).await,
        (all[3..6].to_vec(), false)
    );
    assert_eq!(
        page(PageStart::After(all[5]), up).await,
        (all[6..].to_vec(), true)
    );
    assert_eq!(
        page(PageStart::Before(all[6]), up).await,
        (all[3..6].to_vec(), false)
    );
    assert_eq!(
        page(PageStart::Before(all[3]), up).await,
        (all[..3].to_vec(), true)
    );
    let newest = vec![all[6], all[5], all[4]];
    assert_eq!(
        page(PageStart::Beginning, down).await,
        (newest.clone(), false)
    );
    assert_eq!(page(PageStart::Before(all[3]), down).await, (newest, true));
    let oldest = vec![all[0]];
    assert_eq!(page(PageStart::After(all[1]), down).await, (oldest, true));
}

pub(crate) async fn routes_one_version(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let (one, other) = (scene.endpoint().await, scene.endpoint().await);
    let deleted = scene.endpoint().await;
    store
        .delete_endpoint(scene.app, deleted, scene.now())
        .await
        .unwrap();
    let routing = store.routing_of(scene.app).await.unwrap().unwrap();
    let ids: Vec<_> = routing.destinations.iter().map(|d| d.id).collect();
    assert_eq!(ids, [one, other], "live ones by id");
    let destination = routing.destination(one).unwrap();
    let spec = endpoint_spec(None);
    assert_eq!(destination.url, spec.url);
    assert_eq!(destination.subscription, spec.subscription);
    assert_eq!(destination.park_on, spec.park_on);
    assert_eq!(destination.headers, headers());
    assert!(!destination.disabled);
    assert_eq!(destination.keys_at(scene.now()).count(), 1);
    assert!(store.routing_of(scene.id()).await.unwrap().is_none());
}
