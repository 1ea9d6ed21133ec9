//! Contexts of messages that were published as CloudEvents.

use std::collections::BTreeMap;
use std::time::Duration;

use hookseal_domain::cloud_event::{Attribute, CloudEvent};
use hookseal_domain::delivery::Ended;
use hookseal_domain::id::{AppId, MessageId};
use hookseal_store::Store;
use hookseal_store::publish::DeliveryStart;
use hookseal_store::retention::RetentionPolicy;

use crate::scene::{Scene, days};

fn context() -> CloudEvent {
    let attributes = BTreeMap::from([
        ("sampled".to_owned(), Attribute::Bool(true)),
        ("retries".to_owned(), Attribute::Integer(-3)),
        ("subject".to_owned(), Attribute::Text("-3".to_owned())),
    ]);
    CloudEvent::checked(Some("1".to_owned()), Some("/shop".to_owned()), attributes).unwrap()
}

pub(crate) async fn keeps_contexts(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let mut message = scene.message(DeliveryStart::Owned, &[endpoint]).await;
    message.cloud_event = Some(context());
    let id = message.id;
    store.accept(message).await.unwrap();
    let published = store.published_event(scene.app, id).await.unwrap().unwrap();
    assert_eq!(published.event_type.as_str(), "invoice.paid");
    assert_eq!(published.cloud_event, Some(context()));

    let plain = scene.owned(endpoint).await;
    let published = store.published_event(scene.app, plain.message).await;
    assert_eq!(published.unwrap().unwrap().cloud_event, None);
    let nobody = store.published_event(scene.app, MessageId::from_raw(1));
    assert_eq!(nobody.await.unwrap(), None);
    let elsewhere = store.published_event(AppId::from_raw(1), id).await;
    assert_eq!(elsewhere.unwrap(), None);
}

pub(crate) async fn contexts_go_with_their_messages(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let mut message = scene.message(DeliveryStart::Owned, &[endpoint]).await;
    message.cloud_event = Some(context());
    let id = message.id;
    store.accept(message.clone()).await.unwrap();
    let delivery = hookseal_domain::delivery::DeliveryKey {
        message: id,
        endpoint,
    };
    scene.end(delivery, Ended::Delivered).await;
    let policy = RetentionPolicy {
        history: Duration::from_secs(30 * 86_400),
        batch_rows: 1000,
    };
    let later = scene.later(days(31));
    while store.retain(later, policy).await.unwrap().more {}
    let gone = store.published_event(scene.app, id).await.unwrap();
    assert_eq!(gone, None);
    // Nothing is left in the way of the same id.
    message.deliveries.clear();
    store.accept(message).await.unwrap();
}
