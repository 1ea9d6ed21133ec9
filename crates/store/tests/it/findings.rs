//! What tasks find out about applications, kept with them.

use std::time::Duration;

use hookseal_domain::delivery::{Ended, Next};
use hookseal_domain::endpoint::EndpointSpec;
use hookseal_domain::id::AppId;
use hookseal_domain::task::{Finding, Found, Span, Task, TaskFailure, TaskState, TaskWork};
use hookseal_store::Store;
use hookseal_store::reference::AppRef;
use hookseal_store::tasks::{FindingStep, Findings, NewTask, RunningTask, StepReport, Stepped};

use crate::scene::{START, Scene, days, endpoint_spec, event_type, org, other_org, uid};

async fn begin(scene: &Scene<'_>, work: TaskWork) -> Task {
    let new = NewTask {
        id: scene.id(),
        org: org(),
        work,
        now: scene.now(),
    };
    scene
        .store
        .create_task(new, None)
        .await
        .unwrap()
        .into_inner()
}

async fn running(scene: &Scene<'_>) -> RunningTask {
    let next = scene.store.next_task(None).await.unwrap().unwrap();
    scene.store.take_task(next).await.unwrap().unwrap()
}

async fn step(scene: &Scene<'_>, running: &RunningTask, findings: Findings) -> Stepped {
    let step = FindingStep {
        of: running.claim,
        findings,
        now: scene.now(),
    };
    scene.store.keep_findings(step).await.unwrap()
}

/// Works the only running task off in one step; shows what it found out.
async fn found(scene: &Scene<'_>, task: &Task) -> Vec<Finding> {
    let running = running(scene).await;
    let findings = scene.store.find_out(&running).await.unwrap();
    assert!(findings.last);
    let stepped = step(scene, &running, findings).await;
    assert!(
        matches!(
            stepped,
            Stepped::Made(StepReport {
                ended: Some(TaskState::Finished),
                ..
            })
        ),
        "{stepped:?}"
    );
    let page = scene.store.findings(task.id, None).await.unwrap();
    assert!(!page.more);
    page.rows
}

fn usage(app: AppId, name: Option<&str>, attempts: u64) -> Finding {
    Finding {
        app,
        uid: name.map(uid),
        found: Found::Usage { attempts },
    }
}

pub(crate) async fn counts_usage(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let other = scene.application(org(), Some("other")).await;
    scene.application(other_org(), None).await;
    let early = scene.now();
    for _ in 0..3 {
        let key = scene.owned(endpoint).await;
        scene.end(key, Ended::Delivered).await;
    }
    let late = scene.later(Duration::from_hours(2));
    let key = scene.owned(endpoint).await;
    let failed = scene.finished(key, 1, Next::End(Ended::Exhausted));
    scene.record(failed).await;
    let app = AppRef::Id(scene.app);
    let name = store.application(org(), &app).await.unwrap();
    let name = name.unwrap().spec.uid;
    let name = name.as_ref().map(hookseal_domain::uid::Uid::as_str);
    for (since, until, apps, expect) in [
        (early, late, None, vec![(scene.app, 4), (other, 0)]),
        (late, late, None, vec![(scene.app, 1), (other, 0)]),
        (early, early, Some(vec![scene.app]), vec![(scene.app, 3)]),
        (early, late, Some(Vec::new()), Vec::new()),
    ] {
        let span = Span { since, until };
        let task = begin(&scene, TaskWork::Usage { apps, span }).await;
        let expect = expect.into_iter().map(|(app, attempts)| {
            let name = if app == other { Some("other") } else { name };
            usage(app, name, attempts)
        });
        assert_eq!(found(&scene, &task).await, expect.collect::<Vec<_>>());
        let ended = store.task(org(), task.id).await.unwrap().unwrap();
        assert_eq!(ended.work, task.work);
        assert_eq!(ended.state, TaskState::Finished);
    }
}

pub(crate) async fn looks_up_subscriptions(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let other = scene.application(org(), Some("other")).await;
    let make = async |app, names: Option<&[&str]>| {
        let names = names.map(|names| names.iter().map(|name| event_type(name)).collect());
        let mut spec: EndpointSpec = endpoint_spec(None);
        spec.subscription.event_types = names;
        let made = store.create_endpoint(scene.new_endpoint(app, spec), None);
        made.await.unwrap().into_inner().id
    };
    make(scene.app, Some(&["b", "a"])).await;
    make(scene.app, Some(&["c", "b"])).await;
    make(other, None).await;
    let gone = make(other, Some(&["gone"])).await;
    store
        .delete_endpoint(other, gone, scene.now())
        .await
        .unwrap();
    let span = Span {
        since: START,
        until: scene.now(),
    };
    let task = begin(&scene, TaskWork::Subscriptions { span }).await;
    let found: Vec<_> = found(&scene, &task)
        .await
        .into_iter()
        .map(|row| (row.app, row.found))
        .collect();
    let expect = |names: &[&str], catch_all| Found::Subscriptions {
        named: names.iter().map(|name| event_type(name)).collect(),
        truncated: false,
        catch_all,
    };
    assert_eq!(
        found,
        [
            (scene.app, expect(&["a", "b", "c"], false)),
            (other, expect(&[], true))
        ]
    );
}

pub(crate) async fn finds_out_in_steps(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let mut apps = vec![scene.app];
    for _ in 0..250 {
        apps.push(scene.application(org(), None).await);
    }
    let span = Span {
        since: START,
        until: scene.now(),
    };
    let task = begin(&scene, TaskWork::Usage { apps: None, span }).await;
    let first = running(&scene).await;
    let ahead = store.find_out(&first).await.unwrap();
    assert!(!ahead.last);
    assert!(matches!(
        step(&scene, &first, ahead.clone()).await,
        Stepped::Made(_)
    ));
    let again = step(&scene, &first, ahead).await;
    assert_eq!(again, Stepped::Void, "it went on meanwhile");
    store
        .delete_application(apps[230], scene.now())
        .await
        .unwrap();
    let second = running(&scene).await;
    let ahead = store.find_out(&second).await.unwrap();
    assert!(ahead.last);
    step(&scene, &second, ahead).await;
    let rows = store.findings(task.id, None).await.unwrap().rows;
    let found: Vec<_> = rows.iter().map(|row| row.app).collect();
    let gone = apps.remove(230);
    assert_eq!(found, apps, "without {gone}");
    let after = store.findings(task.id, Some(apps[247])).await.unwrap().rows;
    assert_eq!(after.len(), 2);
    let progress = store.task(org(), task.id).await.unwrap().unwrap().progress;
    assert_eq!((progress.done, progress.looked_at), (250, 250));
}

pub(crate) async fn forgets_findings_with_their_task(store: &dyn Store) {
    let scene = Scene::new(store).await;
    for _ in 0..5 {
        scene.application(org(), None).await;
    }
    let span = Span {
        since: START,
        until: scene.now(),
    };
    let task = begin(&scene, TaskWork::Usage { apps: None, span }).await;
    assert_eq!(found(&scene, &task).await.len(), 6);
    let later = scene.later(days(1));
    let left = async || store.findings(task.id, None).await.unwrap().rows.len();
    assert_eq!(store.forget_tasks(later, 4).await.unwrap(), 0);
    assert_eq!(left().await, 2, "in small batches");
    assert!(store.task(org(), task.id).await.unwrap().is_some());
    assert_eq!(store.forget_tasks(later, 4).await.unwrap(), 1);
    assert_eq!(left().await, 0);
    assert_eq!(store.task(org(), task.id).await.unwrap(), None);
    let cancelled = begin(&scene, TaskWork::Usage { apps: None, span }).await;
    let running = running(&scene).await;
    let ahead = store.find_out(&running).await.unwrap();
    let ended = store
        .cancel_task(org(), cancelled.id, scene.now())
        .await
        .unwrap();
    assert_eq!(ended.state, TaskState::Failed(TaskFailure::Cancelled));
    assert_eq!(step(&scene, &running, ahead).await, Stepped::Void);
}
