//! Event types.

use std::time::Duration;

use hookseal_domain::delivery::retry::RetrySchedule;
use hookseal_domain::event_type::validation::ValidationMode;
use hookseal_domain::event_type::{EventType, EventTypeSpec};
use hookseal_store::Store;
use hookseal_store::catalogue::{EnvironmentImport, EventTypeImport, EventTypeRules};
use hookseal_store::config::{Created, EventTypeListing};
use hookseal_store::error::ChangeError;
use hookseal_store::page::{Order, PageRequest, PageStart};

use crate::scene::{Scene, event_type, first_page, idempotency, org, other_org};

fn spec() -> EventTypeSpec {
    EventTypeSpec {
        description: "An invoice was paid".to_owned(),
        archived: false,
        deprecated: true,
        feature_flags: vec!["beta".to_owned()],
        group_name: Some("billing".to_owned()),
        schemas: Some(r#"{"1":{"type":"object"}}"#.to_owned()),
        validation: ValidationMode::Off,
    }
}

fn new(scene: &Scene<'_>, name: &str) -> EventType {
    EventType {
        org: org(),
        name: event_type(name),
        spec: spec(),
        retry_schedule: None,
        created_at: scene.now(),
        updated_at: scene.now(),
    }
}

async fn names(store: &dyn Store, listing: EventTypeListing) -> Vec<String> {
    let page = first_page(50, Order::Ascending);
    let list = store.event_types(org(), listing, page).await.unwrap();
    list.rows.iter().map(|t| t.name.to_string()).collect()
}

pub(crate) async fn makes_and_lists(store: &dyn Store) {
    let scene = Scene::new(store).await;
    for name in ["c", "a", "b", "d"] {
        let new = new(&scene, name);
        let made = store.create_event_type(new.clone(), None).await.unwrap();
        assert_eq!(made, Created::New(new.clone()));
        let found = store.event_type(org(), &new.name).await.unwrap();
        assert_eq!(found, Some(new.clone()));
        assert_eq!(
            store.event_type(other_org(), &new.name).await.unwrap(),
            None
        );
    }
    let refused = store.create_event_type(new(&scene, "a"), None).await;
    assert!(
        matches!(refused, Err(ChangeError::NameTaken)),
        "{refused:?}"
    );
    assert_eq!(
        names(store, EventTypeListing::Current).await,
        ["a", "b", "c", "d"]
    );
    let page = async |from, order| {
        let page = PageRequest {
            limit: 2,
            from,
            order,
        };
        let listing = EventTypeListing::Current;
        let page = store.event_types(org(), listing, page).await.unwrap();
        let names: Vec<_> = page.rows.iter().map(|t| t.name.to_string()).collect();
        (names.join(" "), page.done)
    };
    let (up, down) = (Order::Ascending, Order::Descending);
    let after = |name| PageStart::After(event_type(name));
    let before = |name| PageStart::Before(event_type(name));
    assert_eq!(
        page(PageStart::Beginning, up).await,
        ("a b".to_owned(), false)
    );
    assert_eq!(page(after("b"), up).await, ("c d".to_owned(), true));
    assert_eq!(page(before("d"), up).await, ("b c".to_owned(), false));
    assert_eq!(
        page(PageStart::Beginning, down).await,
        ("d c".to_owned(), false)
    );
    assert_eq!(page(after("b"), down).await, ("a".to_owned(), true));
    assert_eq!(page(before("b"), down).await, ("d c".to_owned(), true));
}

pub(crate) async fn archives_and_revives(store: &dyn Store) {
    let scene = Scene::new(store).await;
    store
        .create_event_type(new(&scene, "a"), None)
        .await
        .unwrap();
    let made_at = scene.now();
    let archived = EventTypeSpec {
        archived: true,
        ..spec()
    };
    let now = scene.later(std::time::Duration::from_secs(1));
    let name = event_type("a");
    store
        .put_event_type(org(), name.clone(), archived, now)
        .await
        .unwrap();
    assert!(names(store, EventTypeListing::Current).await.is_empty());
    assert_eq!(names(store, EventTypeListing::WithArchived).await, ["a"]);
    let revived = store
        .create_event_type(new(&scene, "a"), None)
        .await
        .unwrap();
    let Created::New(revived) = revived else {
        panic!("{revived:?}");
    };
    assert_eq!((revived.created_at, revived.updated_at), (made_at, now));
    assert_eq!(names(store, EventTypeListing::Current).await, ["a"]);
    assert_eq!(store.event_type(org(), &name).await.unwrap(), Some(revived));
}

pub(crate) async fn puts(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let name = event_type("a");
    let put = async || {
        store
            .put_event_type(org(), name.clone(), spec(), scene.now())
            .await
    };
    let made = put().await.unwrap();
    assert_eq!(made, Created::New(new(&scene, "a")));
    let made_at = scene.now();
    scene.later(std::time::Duration::from_secs(1));
    let Created::Existing(replaced) = put().await.unwrap() else {
        panic!("it existed");
    };
    assert_eq!(
        (replaced.created_at, replaced.updated_at),
        (made_at, scene.now())
    );
}

pub(crate) async fn deletes(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let name = event_type("a");
    store
        .create_event_type(new(&scene, "a"), None)
        .await
        .unwrap();
    let elsewhere = store.delete_event_type(other_org(), &name).await;
    assert!(
        matches!(elsewhere, Err(ChangeError::NotFound)),
        "{elsewhere:?}"
    );
    store.delete_event_type(org(), &name).await.unwrap();
    assert_eq!(store.event_type(org(), &name).await.unwrap(), None);
    let again = store.delete_event_type(org(), &name).await;
    assert!(matches!(again, Err(ChangeError::NotFound)), "{again:?}");
}

pub(crate) async fn repeats(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let request = idempotency(1, 1, scene.now());
    let new = new(&scene, "a");
    store.create_event_type(new.clone(), request).await.unwrap();
    let again = store.create_event_type(new.clone(), request).await.unwrap();
    assert_eq!(again, Created::Existing(new.clone()));
    let other = idempotency(1, 2, scene.now());
    let refused = store.create_event_type(new, other).await;
    assert!(
        matches!(refused, Err(ChangeError::IdempotencyKeyReused)),
        "{refused:?}"
    );
}

fn schedule(secs: &[u64]) -> RetrySchedule {
    RetrySchedule::try_new(secs.iter().map(|secs| Duration::from_secs(*secs)).collect()).unwrap()
}

pub(crate) async fn keeps_rules(store: &dyn Store) {
    let scene = Scene::new(store).await;
    for name in ["quiet", "strict", "patient", "other"] {
        store
            .create_event_type(new(&scene, name), None)
            .await
            .unwrap();
    }
    assert_eq!(store.event_type_rules(org()).await.unwrap(), []);

    let strict = EventTypeSpec {
        validation: ValidationMode::Enforce,
        ..spec()
    };
    let (name, now) = (event_type("strict"), scene.now());
    store
        .put_event_type(org(), name.clone(), strict.clone(), now)
        .await
        .unwrap();
    let patient = event_type("patient");
    let set = async |to| store.set_retry_schedule(org(), &patient, to, now).await;
    set(Some(schedule(&[1, 60]))).await.unwrap();
    let rules = |name, validation, retry_schedule| EventTypeRules {
        name: event_type(name),
        validation,
        retry_schedule,
    };
    let expect = [
        rules("patient", ValidationMode::Off, Some(schedule(&[1, 60]))),
        rules("strict", ValidationMode::Enforce, None),
    ];
    assert_eq!(store.event_type_rules(org()).await.unwrap(), expect);
    assert_eq!(store.event_type_rules(other_org()).await.unwrap(), []);
    let found = store.event_type(org(), &name).await.unwrap().unwrap();
    assert_eq!(found.spec, strict);

    let replaced = store.put_event_type(org(), patient.clone(), spec(), now);
    let kept = replaced.await.unwrap().into_inner().retry_schedule;
    assert_eq!(kept, Some(schedule(&[1, 60])), "a PUT leaves it alone");
    set(Some(schedule(&[]))).await.unwrap();
    let found = store.event_type(org(), &patient).await.unwrap().unwrap();
    assert_eq!(found.retry_schedule, Some(schedule(&[])));
    set(None).await.unwrap();
    store
        .put_event_type(org(), name, spec(), now)
        .await
        .unwrap();
    assert_eq!(store.event_type_rules(org()).await.unwrap(), []);
    let nothing = store
        .set_retry_schedule(org(), &event_type("nothing"), None, now)
        .await;
    assert!(matches!(nothing, Err(ChangeError::NotFound)), "{nothing:?}");
}

pub(crate) async fn imports(store: &dyn Store) {
    let scene = Scene::new(store).await;
    for name in ["kept", "old", "replaced"] {
        store
            .create_event_type(new(&scene, name), None)
            .await
            .unwrap();
    }
    let made_at = scene.now();
    let patient = event_type("replaced");
    store
        .set_retry_schedule(org(), &patient, Some(schedule(&[5])), made_at)
        .await
        .unwrap();
    let now = scene.later(Duration::from_secs(1));
    let warned = EventTypeSpec {
        validation: ValidationMode::Warn,
        ..spec()
    };
    let import = EventTypeImport {
        put: vec![(event_type("new"), spec()), (patient.clone(), warned)],
        archive: vec![event_type("old"), event_type("nothing")],
    };
    store.import_event_types(org(), import, now).await.unwrap();
    let listed = names(store, EventTypeListing::Current).await;
    assert_eq!(listed, ["kept", "new", "replaced"]);
    assert_eq!(
        names(store, EventTypeListing::WithArchived).await,
        ["kept", "new", "old", "replaced"]
    );
    let replaced = store.event_type(org(), &patient).await.unwrap().unwrap();
    assert_eq!((replaced.created_at, replaced.updated_at), (made_at, now));
    assert_eq!(replaced.retry_schedule, Some(schedule(&[5])));
    assert_eq!(replaced.spec.validation, ValidationMode::Warn);
    let old = store.event_type(org(), &event_type("old")).await.unwrap();
    assert_eq!(old.map(|old| old.updated_at), Some(now));
}

pub(crate) async fn imports_environments(store: &dyn Store) {
    let scene = Scene::new(store).await;
    for name in ["kept", "same", "other"] {
        let made = store.create_event_type(new(&scene, name), None);
        made.await.unwrap();
    }
    let made_at = scene.now();
    let now = scene.later(Duration::from_secs(1));
    let warned = EventTypeSpec {
        validation: ValidationMode::Warn,
        ..spec()
    };
    let import = EnvironmentImport {
        event_types: vec![
            (event_type("new"), spec()),
            (event_type("same"), spec()),
            (event_type("other"), warned.clone()),
        ],
        retry_schedules: vec![(event_type("new"), schedule(&[5]))],
    };
    let find = async |name| {
        store
            .event_type(org(), &event_type(name))
            .await
            .unwrap()
            .unwrap()
    };
    for at in [now, scene.later(Duration::from_secs(1))] {
        store
            .import_environment(org(), import.clone(), at)
            .await
            .unwrap();
        let (made, same, other) = (find("new").await, find("same").await, find("other").await);
        assert_eq!(made.retry_schedule, Some(schedule(&[5])));
        assert_eq!((made.created_at, made.updated_at), (now, now));
        assert_eq!(same.updated_at, made_at, "it was so already");
        assert_eq!((other.created_at, other.updated_at), (made_at, now));
        assert_eq!(other.spec, warned);
        assert_eq!(find("kept").await.updated_at, made_at);
    }
    let max = hookseal_domain::limits::EVENT_TYPES_WITH_RULES_MAX;
    let many = (0..=max).map(|n| (event_type(&format!("t{n}")), warned.clone()));
    let import = EnvironmentImport {
        event_types: many.collect(),
        retry_schedules: Vec::new(),
    };
    let refused = store.import_environment(org(), import, scene.now()).await;
    assert!(
        matches!(refused, Err(ChangeError::TooMany { .. })),
        "{refused:?}"
    );
    assert_eq!(
        names(store, EventTypeListing::WithArchived).await,
        ["kept", "new", "other", "same"]
    );
}
