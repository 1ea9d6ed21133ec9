//! Operational events: told in the transaction of what happened, to those who want to know.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use hookseal_domain::delivery::outcome::Outcome;
use hookseal_domain::delivery::{DeliveryKey, Ended, Next};
use hookseal_domain::id::{AppId, EndpointId};
use hookseal_domain::limits::OPERATIONAL_ENDPOINTS_MAX;
use hookseal_domain::subscription::Subscription;
use hookseal_domain::task::{Span, TaskState, TaskWork};
use hookseal_store::Store;
use hookseal_store::error::ChangeError;
use hookseal_store::page::Order;
use hookseal_store::reference::Reference;
use hookseal_store::tasks::NewTask;

use crate::scene::{
    Enabled, MANY, Scene, endpoint_spec, event_type, first_page, headers, idempotency, org,
    other_org,
};

/// An organisation that listens.
pub(crate) struct Told<'s> {
    scene: &'s Scene<'s>,
    pub(crate) app: AppId,
    pub(crate) endpoint: EndpointId,
}

impl<'s> Told<'s> {
    pub(crate) async fn new(scene: &'s Scene<'s>) -> Self {
        let app = scene.operational(org()).await;
        let endpoint = scene.listens(app, None).await;
        Self {
            scene,
            app,
            endpoint,
        }
    }

    /// What was told since it was asked last, in order.
    pub(crate) async fn all(&self) -> Vec<Value> {
        self.scene.told_to(self.app, self.endpoint).await
    }

    /// The types of that.
    pub(crate) async fn types(&self) -> Vec<String> {
        let all = self.all().await.into_iter();
        all.map(|told| told["type"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Scene<'_> {
    async fn operational(&self, org: hookseal_domain::id::OrgId) -> AppId {
        let made = self
            .store
            .make_operational_application(org, self.id(), self.now());
        made.await.unwrap()
    }

    /// An endpoint that wants these types.
    async fn listens(&self, app: AppId, types: Option<&[&str]>) -> EndpointId {
        let mut spec = endpoint_spec(None);
        spec.subscription = Subscription {
            event_types: types.map(|types| types.iter().map(|name| event_type(name)).collect()),
            channels: None,
            filter: None,
        };
        let new = self.new_endpoint(app, spec);
        let id = new.id;
        self.store.create_endpoint(new, None).await.unwrap();
        id
    }

    async fn told_to(&self, app: AppId, endpoint: EndpointId) -> Vec<Value> {
        let claimed = self.store.pull_backlog(app, endpoint, MANY).await.unwrap();
        let read = |one: hookseal_store::work::Claimed| {
            serde_json::from_slice(&one.payload.unwrap()).unwrap()
        };
        claimed.into_iter().map(read).collect()
    }

    async fn tries(&self, key: DeliveryKey, number: u32, next: Next) {
        self.record(self.finished(key, number, next)).await;
    }
}

pub(crate) async fn is_not_among_the_others(store: &dyn Store) {
    let scene = Scene::new(store).await;
    assert_eq!(store.operational_application(org()).await.unwrap(), None);
    let app = scene.operational(org()).await;
    assert_eq!(scene.operational(org()).await, app, "there is one");
    let found = store.operational_application(org()).await.unwrap();
    assert_eq!(found, Some(app));
    let others = store.operational_application(other_org()).await.unwrap();
    assert_eq!(others, None);
    for order in [Order::Ascending, Order::Descending] {
        let listed = store.applications(org(), first_page(10, order)).await;
        let listed = listed.unwrap().rows.into_iter();
        assert_eq!(listed.map(|app| app.id).collect::<Vec<_>>(), [scene.app]);
    }
    let named = Reference::Id(app);
    assert_eq!(store.application(org(), &named).await.unwrap(), None);
    assert!(store.routing(org(), &named).await.unwrap().is_none());
    let routing = store.routing_of(app).await.unwrap().unwrap();
    assert_eq!(routing.application.org, org(), "but it is delivered from");
}

pub(crate) async fn tells_of_endpoints(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let told = Told::new(&scene).await;
    let new = scene.new_endpoint(scene.app, endpoint_spec(Some("theirs")));
    let endpoint = new.id;
    store.create_endpoint(new, None).await.unwrap();
    let data = |uid: Option<&str>| {
        json!({"appId": scene.app.to_string(), "appUid": null,
            "endpointId": endpoint.to_string(), "endpointUid": uid})
    };
    let expect = json!({"type": "endpoint.created", "data": data(Some("theirs"))});
    assert_eq!(told.all().await, [expect]);

    let now = scene.now();
    let set = store.set_endpoint_headers(scene.app, endpoint, headers(), now);
    set.await.unwrap();
    assert_eq!(told.types().await, ["endpoint.updated"]);
    scene.enable(endpoint, Enabled::Yes).await;
    let expect = json!({"type": "endpoint.updated", "data": data(None)});
    assert_eq!(told.all().await, [expect]);

    scene.enable(endpoint, Enabled::No).await;
    let mut disabled = data(None);
    disabled["failSince"] = Value::Null;
    disabled["trigger"] = "manual".into();
    disabled["reason"] = "client".into();
    let expect = [
        json!({"type": "endpoint.updated", "data": data(None)}),
        json!({"type": "endpoint.disabled", "data": disabled}),
    ];
    assert_eq!(told.all().await, expect);
    scene.enable(endpoint, Enabled::Yes).await;
    assert_eq!(told.types().await, ["endpoint.updated", "endpoint.enabled"]);

    let key = scene.owned(endpoint).await;
    let mut gone = scene.finished(key, 1, Next::End(Ended::Gone));
    gone.endpoint_gone_at = Some(scene.now());
    scene.record(gone).await;
    disabled["trigger"] = "automatic".into();
    disabled["reason"] = "gone".into();
    let expect = json!({"type": "endpoint.disabled", "data": disabled});
    assert_eq!(told.all().await, [expect]);

    let deleted = store.delete_endpoint(scene.app, endpoint, scene.now());
    deleted.await.unwrap();
    let expect = json!({"type": "endpoint.deleted", "data": data(None)});
    assert_eq!(told.all().await, [expect]);
}

pub(crate) async fn tells_what_attempts_come_to(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let told = Told::new(&scene).await;
    let endpoint = scene.endpoint().await;
    told.all().await;
    let key = scene.owned(endpoint).await;
    let fails = async |number| {
        let due = scene.later(Duration::from_secs(1));
        let next = Next::Retry { due, step: number };
        scene.tries(key, number, next).await;
        scene.took(&store.claim_due(due, MANY).await.unwrap().deliveries);
    };
    for number in 1..=3 {
        fails(number).await;
        assert!(told.all().await.is_empty(), "{number}");
    }
    fails(4).await;
    let all = told.all().await;
    let attempt = all[0]["data"]["lastAttempt"]["id"].clone();
    assert!(attempt.as_str().unwrap().starts_with("atmpt_"));
    let expect = json!({"type": "message.attempt.failing", "data": {
        "appId": scene.app.to_string(), "appUid": null, "endpointId": endpoint.to_string(),
        "msgId": key.message.to_string(), "msgEventId": null,
        "lastAttempt": {"id": attempt, "responseStatusCode": 503,
            "timestamp": scene.now().to_string()}}});
    assert_eq!(all, [expect]);
    fails(5).await;
    assert!(told.all().await.is_empty(), "once");
    scene.tries(key, 6, Next::End(Ended::Delivered)).await;
    assert_eq!(told.types().await, ["message.attempt.recovered"]);

    let exhausted = scene.owned(endpoint).await;
    scene.end(exhausted, Ended::Exhausted).await;
    assert_eq!(told.types().await, ["message.attempt.exhausted"]);
    let fine = scene.owned(endpoint).await;
    scene.end(fine, Ended::Delivered).await;
    assert!(told.all().await.is_empty());
}

pub(crate) async fn tells_how_tasks_end(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let told = Told::new(&scene).await;
    let work = TaskWork::Expunge {
        app: scene.app,
        span: Span {
            since: scene.now(),
            until: scene.now(),
        },
    };
    let begin = async || {
        let (org, work) = (org(), work.clone());
        let (id, now) = (scene.id(), scene.now());
        let made = store
            .create_task(NewTask { id, org, work, now }, None)
            .await;
        made.unwrap().into_inner().id
    };
    begin().await;
    let next = store.next_task(None).await.unwrap().unwrap();
    let running = store.take_task(next).await.unwrap().unwrap();
    for _ in 0..2 {
        let ended = store.end_task(running.claim, TaskState::Finished, scene.now());
        ended.await.unwrap();
    }
    let all = told.all().await;
    assert_eq!(all.len(), 1, "once");
    assert_eq!(all[0]["type"], "background_task.finished");
    assert_eq!(all[0]["data"]["taskId"], running.task.id.to_string());
    assert_eq!(all[0]["data"]["status"], "finished");
    let cancelled = begin().await;
    for _ in 0..2 {
        let now = scene.now();
        store.cancel_task(org(), cancelled, now).await.unwrap();
    }
    let all = told.all().await;
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["data"]["data"]["reason"], "cancelled");
}

pub(crate) async fn what_does_not_happen_is_not_told(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let told = Told::new(&scene).await;
    let request = idempotency(1, 1, scene.now());
    for _ in 0..2 {
        let new = scene.new_endpoint(scene.app, endpoint_spec(Some("a")));
        store.create_endpoint(new, request).await.unwrap();
    }
    let new = scene.new_endpoint(scene.app, endpoint_spec(Some("a")));
    store.create_endpoint(new, None).await.unwrap_err();
    assert_eq!(told.types().await, ["endpoint.created"]);

    let nowhere: EndpointId = scene.id();
    let (app, now) = (scene.app, scene.now());
    let updated = store.update_endpoint(app, nowhere, endpoint_spec(None), now);
    updated.await.unwrap_err();
    store.delete_endpoint(app, nowhere, now).await.unwrap_err();

    let endpoint = scene.endpoint().await;
    told.all().await;
    let key = scene.owned(endpoint).await;
    let late = scene.finished(key, 9, Next::End(Ended::Exhausted));
    store.begin_epoch(scene.now()).await.unwrap();
    told.all().await;
    scene.record(late.clone()).await;
    assert!(told.all().await.is_empty(), "the delivery goes on");
    scene.took(&store.pull_backlog(app, endpoint, MANY).await.unwrap());
    let ended = scene.finished(key, 1, Next::End(Ended::Exhausted));
    scene.record(ended.clone()).await;
    scene.record(ended).await;
    assert_eq!(told.types().await, ["message.attempt.exhausted"]);
}

pub(crate) async fn only_who_wants_to_know_is_told(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let others = scene.operational(other_org()).await;
    let elsewhere = scene.listens(others, None).await;
    scene.endpoint().await;
    let app = scene.operational(org()).await;
    scene.endpoint().await;
    let all = scene.listens(app, None).await;
    let deleted = scene.listens(app, Some(&["endpoint.deleted"])).await;
    let endpoint = scene.endpoint().await;
    assert_eq!(scene.told_to(app, all).await.len(), 1, "from now on");
    let delete = async |app, endpoint| {
        let deleted = store.delete_endpoint(app, endpoint, scene.now());
        deleted.await.unwrap();
    };
    delete(scene.app, endpoint).await;
    assert_eq!(scene.told_to(app, deleted).await.len(), 1);
    assert_eq!(scene.told_to(app, all).await.len(), 1);
    delete(app, all).await;
    delete(app, deleted).await;
    scene.endpoint().await;
    assert!(scene.told_to(others, elsewhere).await.is_empty());
    let page = first_page(10, Order::Ascending);
    let messages = store.messages(app, Default::default(), page).await.unwrap();
    assert_eq!(messages.rows.len(), 2, "no message that nobody wants");
}

pub(crate) async fn nothing_is_told_of_itself(store: &dyn Store) {
    let mut scene = Scene::new(store).await;
    let app = scene.operational(org()).await;
    let listening = scene.listens(app, None).await;
    let more = scene.listens(app, None).await;
    scene.endpoint().await;
    let claimed = store.pull_backlog(app, listening, MANY).await.unwrap();
    let theirs = std::mem::replace(&mut scene.app, app);
    scene.took(&claimed);
    scene
        .tries(claimed[0].key, 9, Next::End(Ended::Exhausted))
        .await;
    let now = scene.now();
    let disabled = hookseal_domain::endpoint::EndpointSpec {
        disabled: true,
        ..endpoint_spec(None)
    };
    let updated = store.update_endpoint(app, listening, disabled, now);
    updated.await.unwrap();
    assert_eq!(scene.told_to(app, more).await.len(), 1);
    scene.app = theirs;
    scene.endpoint().await;
    assert_eq!(scene.told_to(app, more).await.len(), 1);
    assert!(scene.told_to(app, listening).await.is_empty(), "it is held");
}

pub(crate) async fn bounds_the_listeners(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let app = scene.operational(org()).await;
    for _ in 0..OPERATIONAL_ENDPOINTS_MAX {
        scene.listens(app, None).await;
    }
    let new = scene.new_endpoint(app, endpoint_spec(None));
    let refused = store.create_endpoint(new, None).await;
    let max = OPERATIONAL_ENDPOINTS_MAX;
    assert!(
        matches!(refused, Err(ChangeError::TooMany { max: most }) if most == max),
        "{refused:?}"
    );
}

pub(crate) async fn says_what_is_to_be_done(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let told = Told::new(&scene).await;
    let endpoint = scene.endpoint().await;
    let left = store.aftermath().await;
    assert_eq!(left.backlogged, BTreeSet::from([(told.app, told.endpoint)]));
    assert!(left.changed.is_empty());
    let key = scene.owned(endpoint).await;
    let mut gone = scene.finished(key, 1, Next::End(Ended::Gone));
    gone.attempt.outcome = Outcome::Gone;
    gone.endpoint_gone_at = Some(scene.now());
    scene.record(gone).await;
    let left = store.aftermath().await;
    assert_eq!(left.changed, BTreeSet::from([scene.app]));
    assert_eq!(left.backlogged.len(), 1);
}
