//! Endpoints that only fail: since when, what is told of it, how it ends, and how they come back.

use std::time::Duration;

use serde_json::{Value, json};

use hookseal_domain::delivery::{Ended, Next, Pending};
use hookseal_domain::endpoint::health::{Notice, Sign};
use hookseal_domain::endpoint::url::EndpointUrl;
use hookseal_domain::endpoint::{Endpoint, SwitchedOff};
use hookseal_domain::id::EndpointId;
use hookseal_domain::operational::{DisabledBy, EndpointChange};
use hookseal_domain::task::{Replayed, TaskState, TaskWork};
use hookseal_domain::time::Timestamp;
use hookseal_store::Store;
use hookseal_store::error::ChangeError;
use hookseal_store::inspect::DeliveryStatus;
use hookseal_store::publish::DeliveryStart;
use hookseal_store::reference::Reference;
use hookseal_store::tasks::{NewTask, TASKS_RUNNING_MAX};
use hookseal_store::work::FinishedAttempt;

use crate::operational::Told;
use crate::scene::{Enabled, Scene, days, endpoint_spec, idempotency, org};

/// What an attempt took.
const TOOK: Duration = Duration::from_millis(12);
const HOUR: Duration = Duration::from_hours(1);
/// When an endpoint fails, in hours after the last time, that is switched off by the last of them.
const TO_THE_END: [u32; 4] = [0, 60, 48, 12];

impl Scene<'_> {
    async fn stored(&self, endpoint: EndpointId) -> Endpoint {
        let found = self
            .store
            .endpoint(self.app, &Reference::Id(endpoint))
            .await;
        found.unwrap().unwrap()
    }

    pub(crate) async fn tried(&self, endpoint: EndpointId, sign: Sign) -> FinishedAttempt {
        let key = self.owned(endpoint).await;
        let mut finished = self.finished(key, 1, Next::End(Ended::Exhausted));
        finished.sign = sign;
        finished
    }

    /// An attempt that says this; returns its end.
    pub(crate) async fn signs(&self, endpoint: EndpointId, sign: Sign) -> Timestamp {
        let finished = self.tried(endpoint, sign).await;
        self.record(finished).await;
        self.now().plus(TOOK)
    }

    /// Fails until it is switched off.
    async fn only_fails(&self, endpoint: EndpointId) {
        for hours in TO_THE_END {
            self.later(HOUR * hours);
            self.signs(endpoint, Sign::Fails).await;
        }
        let switched_off = self.stored(endpoint).await.switched_off;
        assert!(matches!(switched_off, Some(SwitchedOff::Failing { .. })));
    }

    fn recovery(&self, endpoint: EndpointId) -> NewTask {
        let work = TaskWork::Replay {
            app: self.app,
            endpoint,
            span: self.so_far(),
            which: Replayed::Failed,
        };
        self.new_task(org(), work)
    }
}

/// What was told of an endpoint itself since it was asked last.
async fn of_endpoints(told: &Told<'_>) -> Vec<Value> {
    let all = told.all().await.into_iter();
    all.filter(|told| told["type"].as_str().unwrap().starts_with("endpoint."))
        .collect()
}

/// The types of that.
async fn types(told: &Told<'_>) -> Vec<Value> {
    let all = of_endpoints(told).await.into_iter();
    all.map(|told| told["type"].clone()).collect()
}

pub(crate) async fn knows_since_when_an_endpoint_fails(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let (endpoint, other) = (scene.endpoint().await, scene.endpoint().await);
    let since = async |endpoint| scene.stored(endpoint).await.failing_since;
    scene.signs(endpoint, Sign::Works).await;
    scene.signs(endpoint, Sign::Nothing).await;
    assert_eq!(since(endpoint).await, None);
    let began = scene.signs(endpoint, Sign::Fails).await;
    assert_eq!(since(endpoint).await, Some(began));
    scene.later(HOUR);
    scene.signs(endpoint, Sign::Fails).await;
    scene.signs(endpoint, Sign::Nothing).await;
    assert_eq!(since(endpoint).await, Some(began), "since the first");
    assert_eq!(since(other).await, None);
    scene.signs(endpoint, Sign::Works).await;
    assert_eq!(since(endpoint).await, None);
    scene.later(HOUR);
    let again = scene.signs(endpoint, Sign::Fails).await;
    assert_eq!(since(endpoint).await, Some(again));
    let message = scene.owned(endpoint).await.message;
    let page = crate::scene::first_page(10, hookseal_store::page::Order::Ascending);
    let destined = store.destinations(scene.app, message, page).await;
    let shown = destined.unwrap().rows[0].endpoint.failing_since;
    assert_eq!(shown, Some(again), "wherever it is shown");
}

pub(crate) async fn switches_off_what_only_fails(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let told = Told::new(&scene).await;
    let endpoint = scene.endpoint().await;
    assert_eq!(types(&told).await, ["endpoint.created"]);
    let since = scene.signs(endpoint, Sign::Fails).await;
    let data = |more: Value| {
        let mut data = json!({"appId": scene.app.to_string(), "appUid": null,
            "endpointId": endpoint.to_string(), "endpointUid": null,
            "failSince": since.to_string()});
        let more = more.as_object().unwrap().clone();
        data.as_object_mut().unwrap().extend(more);
        data
    };
    let end = since.plus(days(5));
    for (hours, percent) in [
        (59, None),
        (1, Some(50)),
        (0, None),
        (47, None),
        (1, Some(90)),
        (11, None),
    ] {
        scene.later(HOUR * hours);
        scene.signs(endpoint, Sign::Fails).await;
        let expect = percent.map(|percent| {
            json!({"type": "endpoint.failing",
                "data": data(json!({"percent": percent, "disableAt": end.to_string()}))})
        });
        assert_eq!(of_endpoints(&told).await, expect.as_slice(), "{hours}");
        assert_eq!(scene.stored(endpoint).await.switched_off, None);
    }
    let left = store.aftermath().await;
    let last = EndpointChange::Failing {
        since,
        notice: Notice::Last,
        disable_at: end,
    };
    assert_eq!(left.health.get(&endpoint), Some(&last));
    let before = scene.version(scene.app).await;
    scene.later(HOUR);
    let at = scene.signs(endpoint, Sign::Fails).await;
    let expect = json!({"type": "endpoint.disabled",
        "data": data(json!({"trigger": "automatic", "reason": "failing"}))});
    assert_eq!(of_endpoints(&told).await, [expect]);
    let stored = scene.stored(endpoint).await;
    let off = SwitchedOff::Failing { at, since };
    assert_eq!(
        (stored.switched_off, stored.failing_since, stored.updated_at),
        (Some(off), None, at)
    );
    assert!(scene.version(scene.app).await > before);
    let left = store.aftermath().await;
    assert!(left.changed.contains(&scene.app));
    let disabled = EndpointChange::Disabled(DisabledBy::Failing { since });
    assert_eq!(left.health.get(&endpoint), Some(&disabled));

    // What was under way when it was switched off says nothing of what it is later.
    scene.signs(endpoint, Sign::Fails).await;
    assert_eq!(scene.stored(endpoint).await.failing_since, None);
    let held = scene.accept(DeliveryStart::Held, &[endpoint]).await;
    assert_eq!(store.release_held(10).await.unwrap(), []);
    scene.enable(endpoint, Enabled::Yes).await;
    let stored = scene.stored(endpoint).await;
    assert_eq!((stored.switched_off, stored.failing_since), (None, None));
    let released = store.release_held(10).await.unwrap();
    assert_eq!(released, [(scene.app, endpoint)], "{held}");
}

pub(crate) async fn who_works_now_and_then_stays(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let told = Told::new(&scene).await;
    let endpoint = scene.endpoint().await;
    types(&told).await;
    let mut since = None;
    for _ in 0..10 {
        scene.later(days(2));
        scene.signs(endpoint, Sign::Fails).await;
        scene.signs(endpoint, Sign::Works).await;
        since = Some(scene.signs(endpoint, Sign::Fails).await);
    }
    assert_eq!(types(&told).await, [Value::Null; 0]);
    // Nothing was tried at it since: that alone disables nobody, however many fail then.
    scene.later(days(30));
    for _ in 0..5 {
        scene.signs(endpoint, Sign::Fails).await;
    }
    assert_eq!(types(&told).await, ["endpoint.failing"]);
    let stored = scene.stored(endpoint).await;
    assert_eq!((stored.switched_off, stored.failing_since), (None, since));
}

pub(crate) async fn a_changed_endpoint_begins_anew(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    for hours in [0, 60, 48] {
        scene.later(HOUR * hours);
        scene.signs(endpoint, Sign::Fails).await;
    }
    scene.later(HOUR * 12);
    let late = scene.tried(endpoint, Sign::Fails).await;
    scene.later(HOUR);
    scene.enable(endpoint, Enabled::Yes).await;
    let since = async || scene.stored(endpoint).await.failing_since;
    assert!(since().await.is_some(), "the same URL, and not switched on");
    scene.record(late).await;
    assert_eq!(scene.stored(endpoint).await.switched_off, None, "too late");

    let mut spec = endpoint_spec(None);
    spec.url = EndpointUrl::parse("https://elsewhere.example/").unwrap();
    let now = scene.now();
    let updated = store.update_endpoint(scene.app, endpoint, spec, now);
    assert_eq!(updated.await.unwrap().failing_since, None);

    scene.signs(endpoint, Sign::Fails).await;
    scene.enable(endpoint, Enabled::No).await;
    scene.later(days(9));
    scene.enable(endpoint, Enabled::Yes).await;
    assert_eq!(since().await, None, "it was disabled all the time");
    scene.signs(endpoint, Sign::Fails).await;
    assert_eq!(scene.stored(endpoint).await.switched_off, None);
}

pub(crate) async fn those_who_are_told_of_it_stay(store: &dyn Store) {
    let mut scene = Scene::new(store).await;
    let told = Told::new(&scene).await;
    let (app, endpoint) = (told.app, told.endpoint);
    scene.app = app;
    for hours in TO_THE_END {
        scene.later(HOUR * hours);
        scene.signs(endpoint, Sign::Fails).await;
    }
    let stored = scene.stored(endpoint).await;
    assert_eq!(stored.switched_off, None);
    assert!(stored.failing_since.is_some());
}

pub(crate) async fn enables_with_a_task(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let told = Told::new(&scene).await;
    let endpoint = scene.endpoint().await;
    scene.only_fails(endpoint).await;
    scene.accept(DeliveryStart::Held, &[endpoint]).await;
    types(&told).await;
    scene.later(HOUR);
    let (app, now) = (scene.app, scene.now());
    let key = idempotency(1, 1, now);
    let enable = async |recovery| {
        let enabled = store.enable_endpoint(app, endpoint, recovery, now, key);
        enabled.await.unwrap()
    };
    let recovery = scene.recovery(endpoint);
    let id = recovery.id;
    let enabled = enable(Some(recovery)).await;
    let stored = enabled.endpoint;
    assert_eq!(stored, scene.stored(endpoint).await);
    assert_eq!(
        (stored.switched_off, stored.spec.disabled, stored.updated_at),
        (None, false, now)
    );
    let task = enabled.task.unwrap();
    assert_eq!((task.id, task.state), (id, TaskState::Running));
    assert_eq!(scene.running().await.task.id, id);
    assert_eq!(types(&told).await, ["endpoint.updated", "endpoint.enabled"]);
    assert_eq!(store.release_held(10).await.unwrap(), [(app, endpoint)]);

    // Asked again with the same key, it does nothing more.
    scene.enable(endpoint, Enabled::No).await;
    types(&told).await;
    let again = enable(Some(scene.recovery(endpoint))).await;
    assert_eq!(again.task.map(|task| task.id), Some(id));
    assert!(again.endpoint.spec.disabled);
    let other = idempotency(1, 2, now);
    let reused = store.enable_endpoint(app, endpoint, None, now, other).await;
    assert!(matches!(reused, Err(ChangeError::IdempotencyKeyReused)));
    assert_eq!(types(&told).await, [Value::Null; 0]);
    assert!(scene.stored(endpoint).await.spec.disabled);
}

pub(crate) async fn enables_all_or_nothing(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let told = Told::new(&scene).await;
    let endpoint = scene.endpoint().await;
    scene.enable(endpoint, Enabled::No).await;
    let (app, now) = (scene.app, scene.now());
    for _ in 0..TASKS_RUNNING_MAX {
        let begun = store.create_task(scene.recovery(endpoint), None).await;
        begun.unwrap();
    }
    types(&told).await;
    let recovery = scene.recovery(endpoint);
    let refused = store.enable_endpoint(app, endpoint, Some(recovery), now, None);
    assert!(matches!(refused.await, Err(ChangeError::TooMany { .. })));
    assert!(scene.stored(endpoint).await.spec.disabled);
    assert_eq!(types(&told).await, [Value::Null; 0]);

    let enabled = store.enable_endpoint(app, endpoint, None, now, None).await;
    let enabled = enabled.unwrap();
    assert_eq!(
        (enabled.endpoint.spec.disabled, enabled.task),
        (false, None)
    );
    assert_eq!(types(&told).await, ["endpoint.updated", "endpoint.enabled"]);
    let version = scene.version(app).await;
    let again = store.enable_endpoint(app, endpoint, None, now, None).await;
    assert!(!again.unwrap().endpoint.spec.disabled);
    assert_eq!(scene.version(app).await, version, "it was enabled already");
    assert_eq!(types(&told).await, [Value::Null; 0]);

    store.delete_endpoint(app, endpoint, now).await.unwrap();
    let gone = store.enable_endpoint(app, endpoint, None, now, None).await;
    assert!(matches!(gone, Err(ChangeError::NotFound)));
}

pub(crate) async fn a_retry_waits_for_the_one_that_is_switched_off(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let key = scene.owned(endpoint).await;
    for hours in TO_THE_END.iter().take(3) {
        scene.later(HOUR * *hours);
        scene.signs(endpoint, Sign::Fails).await;
    }
    scene.later(HOUR * 12);
    let due = scene.now().plus(HOUR);
    scene
        .record(scene.finished(key, 1, Next::Retry { due, step: 1 }))
        .await;
    let stored = scene.stored(endpoint).await;
    assert!(stored.switched_off.is_some());
    let waits = DeliveryStatus::Pending(Pending::Waiting { due });
    assert_eq!(scene.status(key).await, Some(waits), "it is not lost");
}
