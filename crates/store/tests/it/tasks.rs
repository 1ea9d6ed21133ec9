//! Tasks: begun, worked off step by step, ended; and what they leave alone.

use std::time::Duration;

use bytes::Bytes;

use hookseal_domain::delivery::priority::Priority;
use hookseal_domain::delivery::{DeliveryKey, Ended, Next, Pending, Trigger};
use hookseal_domain::endpoint::order::KeyHash;
use hookseal_domain::id::{AppId, EndpointId, MessageId, OrgId};
use hookseal_domain::message::options::MessageOptions;
use hookseal_domain::task::replay::{ReplayFilter, Wanted};
use hookseal_domain::task::{
    Broadcast, Replayed, Span, Task, TaskFailure, TaskKind, TaskState, TaskWork,
};
use hookseal_domain::time::Timestamp;
use hookseal_store::Store;
use hookseal_store::config::Created;
use hookseal_store::error::{AcceptError, ChangeError};
use hookseal_store::inspect::{Content, DeliveryStatus};
use hookseal_store::page::{Order, PageRequest, PageStart};
use hookseal_store::publish::{Accepted, DeliveryStart};
use hookseal_store::reference::MessageRef;
use hookseal_store::tasks::{
    Ahead, AheadLimit, AheadRows, NewTask, ReplayStep, RunningTask, StepReport, Stepped,
    TASKS_RUNNING_MAX, TaskFilter, TaskStatus,
};

use crate::scene::{
    Enabled, MANY, PAYLOAD, START, Scene, days, event_type, first_page, idempotency, org, other_org,
};

const SECOND: Duration = Duration::from_secs(1);
const LIMIT: AheadLimit = AheadLimit {
    rows: 100,
    bytes: 1 << 20,
    content: Content::Without,
    backlog: 1000,
};
const BACKLOG: Option<DeliveryStatus> = Some(DeliveryStatus::Pending(Pending::Backlog));

fn ended(ended: Ended) -> Option<DeliveryStatus> {
    Some(DeliveryStatus::Ended(ended))
}

fn finished(report: StepReport) -> Stepped {
    Stepped::Made(StepReport {
        ended: Some(TaskState::Finished),
        ..report
    })
}

fn done(done: u64) -> StepReport {
    StepReport {
        done,
        ..StepReport::default()
    }
}

fn filter(wanted: Wanted) -> ReplayFilter {
    ReplayFilter {
        wanted,
        channel: None,
        tag: None,
        event_types: None,
        status_code_class: None,
    }
}

impl Scene<'_> {
    /// All the time so far.
    pub(crate) fn so_far(&self) -> Span {
        Span {
            since: START,
            until: self.now(),
        }
    }

    pub(crate) fn new_task(&self, org: OrgId, work: TaskWork) -> NewTask {
        NewTask {
            id: self.id(),
            org,
            work,
            now: self.now(),
        }
    }

    async fn begin(&self, work: TaskWork) -> Task {
        let new = self.new_task(org(), work);
        let made = self.store.create_task(new, None).await.unwrap();
        made.into_inner()
    }

    pub(crate) async fn replay_of(&self, endpoint: EndpointId, which: Replayed) -> Task {
        self.begin(TaskWork::Replay {
            app: self.app,
            endpoint,
            span: self.so_far(),
            which,
        })
        .await
    }

    pub(crate) async fn running(&self) -> RunningTask {
        let next = self.store.next_task(None).await.unwrap().unwrap();
        self.store.take_task(next).await.unwrap().unwrap()
    }

    async fn ahead(&self, running: &RunningTask, limit: AheadLimit) -> AheadRows {
        match self.store.look_ahead(running, limit).await.unwrap() {
            Ahead::Some(rows) => rows,
            Ahead::Full => panic!("the backlog is full"),
        }
    }

    /// The step that delivers all of these, without an order.
    fn step(&self, running: &RunningTask, ahead: &AheadRows) -> ReplayStep {
        ReplayStep {
            of: running.claim,
            messages: ahead.messages.iter().map(|m| (m.id, None)).collect(),
            looked_at: ahead.looked_at,
            cursor: ahead.cursor,
            last: ahead.last,
            now: self.now(),
        }
    }

    /// Works the only running replay off in one step; tells what it came by.
    async fn replayed(&self) -> (Vec<MessageId>, Stepped) {
        let running = self.running().await;
        let ahead = self.ahead(&running, LIMIT).await;
        let found = ahead.messages.iter().map(|m| m.id).collect();
        let stepped = self.store.replay(self.step(&running, &ahead)).await;
        (found, stepped.unwrap())
    }

    async fn task(&self, task: &Task) -> Task {
        let found = self.store.task(task.org, task.id).await.unwrap();
        found.unwrap()
    }

    /// A delivery that ended so.
    async fn that(&self, endpoint: EndpointId, how: Ended) -> DeliveryKey {
        let key = self.owned(endpoint).await;
        self.end(key, how).await;
        key
    }

    async fn listed(&self, filter: TaskFilter) -> Vec<Task> {
        let page = first_page(250, Order::Ascending);
        let found = self.store.tasks(org(), filter, page).await;
        found.unwrap().rows
    }

    fn broadcast(&self) -> TaskWork {
        TaskWork::Broadcast {
            message: Broadcast {
                event_type: event_type("invoice.paid"),
                event_id: Some(crate::scene::uid("ours")),
                channels: vec![hookseal_domain::channel::Channel::parse("eu").unwrap()],
                retention_hours: 24,
                payload: Some(Bytes::from_static(PAYLOAD.as_bytes())),
            },
            span: self.so_far(),
        }
    }
}

pub(crate) async fn begins_and_lists(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let chosen = Replayed::Chosen(ReplayFilter {
        channel: Some(hookseal_domain::channel::Channel::parse("eu").unwrap()),
        tag: Some("tag".to_owned()),
        event_types: Some(vec![event_type("invoice.paid")]),
        status_code_class: Some(500),
        ..filter(Wanted::Ended)
    });
    let mut all = Vec::new();
    for which in [Replayed::Failed, Replayed::Missing, chosen] {
        all.push(scene.replay_of(endpoint, which).await);
    }
    let (app, span) = (scene.app, scene.so_far());
    let cancel = TaskWork::Cancel {
        app,
        endpoint,
        span,
    };
    let cancel = scene.begin(cancel).await;
    all.push(scene.begin(TaskWork::Expunge { app, span }).await);
    all.push(scene.begin(scene.broadcast()).await);
    for task in &all {
        let found = scene.task(task).await;
        assert_eq!(&found, task);
        assert_eq!(found.state, TaskState::Running);
        assert_eq!(store.task(other_org(), task.id).await.unwrap(), None);
    }
    let listed = scene.listed(TaskFilter::default()).await;
    assert_eq!(listed, all, "what the contract does not know is left out");
    let of_kind = |kind| TaskFilter {
        kind: Some(kind),
        ..TaskFilter::default()
    };
    assert_eq!(scene.listed(of_kind(TaskKind::Cancel)).await, [cancel]);
    let expunge = scene.listed(of_kind(TaskKind::Expunge)).await;
    assert_eq!(expunge, all[3..4]);
    let of_app = TaskFilter {
        app: Some(app),
        ..TaskFilter::default()
    };
    assert_eq!(scene.listed(of_app).await, all[..4]);
    let after = scene.later(SECOND);
    let cancelled = store.cancel_task(org(), all[1].id, after).await.unwrap();
    assert_eq!(cancelled.state, TaskState::Failed(TaskFailure::Cancelled));
    assert_eq!(cancelled.updated_at, after);
    let again = store.cancel_task(org(), all[1].id, scene.later(SECOND));
    assert_eq!(again.await.unwrap(), cancelled, "it stays as it is");
    let of_state = |status| TaskFilter {
        status: Some(status),
        ..TaskFilter::default()
    };
    assert_eq!(
        scene.listed(of_state(TaskStatus::Failed)).await,
        [cancelled]
    );
    assert_eq!(scene.listed(of_state(TaskStatus::Running)).await.len(), 4);
    assert_eq!(scene.listed(of_state(TaskStatus::Finished)).await, []);
    let page = PageRequest {
        limit: 2,
        from: PageStart::After(all[3].id),
        order: Order::Descending,
    };
    let page = store.tasks(org(), TaskFilter::default(), page).await;
    let ids: Vec<_> = page.unwrap().rows.iter().map(|task| task.id).collect();
    assert_eq!(ids, [all[2].id, all[1].id]);
    let other = store.cancel_task(other_org(), all[0].id, after).await;
    assert!(matches!(other, Err(ChangeError::NotFound)));
}

pub(crate) async fn repeats_and_bounds(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let work = TaskWork::Expunge {
        app: scene.app,
        span: scene.so_far(),
    };
    let mut made = Vec::new();
    for body in [1, 1, 2] {
        let new = scene.new_task(org(), work.clone());
        let request = idempotency(1, body, scene.now());
        made.push(store.create_task(new, request).await);
    }
    let [first, second, third] = made.try_into().unwrap();
    let Ok(Created::New(task)) = first else {
        panic!("{first:?}");
    };
    assert!(matches!(second, Ok(Created::Existing(same)) if same == task));
    assert!(matches!(third, Err(ChangeError::IdempotencyKeyReused)));
    for _ in 1..TASKS_RUNNING_MAX {
        scene.begin(work.clone()).await;
    }
    let one_more = store.create_task(scene.new_task(org(), work), None).await;
    let max = TASKS_RUNNING_MAX;
    assert!(matches!(one_more, Err(ChangeError::TooMany { max: is }) if is == max));
    let app = scene.application(org(), None).await;
    let span = scene.so_far();
    scene.begin(TaskWork::Expunge { app, span }).await;
    scene.begin(scene.broadcast()).await;
}

pub(crate) async fn recovers_what_failed(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let (endpoint, other) = (scene.endpoint().await, scene.endpoint().await);
    let early = scene.that(endpoint, Ended::Exhausted).await;
    let since = scene.later(SECOND);
    scene.that(endpoint, Ended::Delivered).await;
    let exhausted = scene.that(endpoint, Ended::Exhausted).await;
    let parked = scene.that(endpoint, Ended::Parked).await;
    scene.that(endpoint, Ended::Skipped).await;
    scene.owned(endpoint).await;
    scene.that(other, Ended::Exhausted).await;
    let until = scene.now();
    scene.later(SECOND);
    let late = scene.that(endpoint, Ended::Exhausted).await;
    let work = TaskWork::Replay {
        app: scene.app,
        endpoint,
        span: Span { since, until },
        which: Replayed::Failed,
    };
    let task = scene.begin(work).await;
    let (found, stepped) = scene.replayed().await;
    assert_eq!(found, [exhausted.message, parked.message]);
    assert_eq!(stepped, finished(done(2)));
    let task = scene.task(&task).await;
    assert_eq!(task.state, TaskState::Finished);
    let progress = task.progress;
    assert_eq!(progress.cursor, {
        // What somebody skipped is come by, but not wanted.
        let skipped = scene.with_status(endpoint, None).await;
        let skipped = skipped
            .iter()
            .find(|(_, s)| Some(*s) == ended(Ended::Skipped));
        skipped.unwrap().0.raw()
    });
    assert_eq!(
        (progress.looked_at, progress.done, progress.left_out),
        (3, 2, 0)
    );
    for key in [exhausted, parked] {
        assert_eq!(scene.status(key).await, BACKLOG);
    }
    for key in [early, late] {
        assert_eq!(scene.status(key).await, ended(Ended::Exhausted));
    }
    let pulled = store.pull_backlog(scene.app, endpoint, MANY).await.unwrap();
    assert_eq!(pulled.len(), 2);
    for one in &pulled {
        assert_eq!((one.attempts, one.step), (0, 0), "the whole schedule");
        assert_eq!(one.trigger, Trigger::Resend);
        assert_eq!(one.payload.as_deref(), Some(PAYLOAD.as_bytes()));
    }
    assert!(store.next_task(None).await.unwrap().is_none());
}

pub(crate) async fn works_off_in_steps(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let mut failed = Vec::new();
    for _ in 0..5 {
        failed.push(scene.that(endpoint, Ended::Exhausted).await.message);
    }
    let task = scene.replay_of(endpoint, Replayed::Failed).await;
    let limit = AheadLimit { rows: 2, ..LIMIT };
    let mut found = Vec::new();
    for expect in [2, 4, 5] {
        let running = scene.running().await;
        let ahead = scene.ahead(&running, limit).await;
        found.extend(ahead.messages.iter().map(|m| m.id));
        let step = scene.step(&running, &ahead);
        let stepped = store.replay(step.clone()).await.unwrap();
        assert!(matches!(stepped, Stepped::Made(_)));
        let again = store.replay(step).await.unwrap();
        assert_eq!(again, Stepped::Void, "a step is made once");
        assert_eq!(scene.task(&task).await.progress.done, expect);
    }
    assert_eq!(found, failed);
    assert_eq!(scene.task(&task).await.state, TaskState::Finished);
    let bytes = AheadLimit {
        bytes: 0,
        content: Content::With,
        ..LIMIT
    };
    scene.later(SECOND);
    scene.that(endpoint, Ended::Exhausted).await;
    scene.that(endpoint, Ended::Exhausted).await;
    scene.replay_of(endpoint, Replayed::Failed).await;
    let ahead = scene.ahead(&scene.running().await, bytes).await;
    assert_eq!((ahead.messages.len(), ahead.last), (1, false));
    assert_eq!(
        ahead.messages[0].payload.as_deref(),
        Some(PAYLOAD.as_bytes())
    );
}

pub(crate) async fn goes_on_after_a_restart(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    for _ in 0..4 {
        scene.that(endpoint, Ended::Exhausted).await;
    }
    let task = scene.replay_of(endpoint, Replayed::Failed).await;
    let limit = AheadLimit { rows: 3, ..LIMIT };
    let running = scene.running().await;
    let ahead = scene.ahead(&running, limit).await;
    store.replay(scene.step(&running, &ahead)).await.unwrap();
    let before = scene.running().await;
    let prepared = scene.step(&before, &scene.ahead(&before, limit).await);
    store.begin_epoch(scene.now()).await.unwrap();
    let late = store.replay(prepared).await.unwrap();
    assert_eq!(late, Stepped::Void, "prepared by an earlier process");
    assert_eq!(scene.task(&task).await.progress.done, 3);
    let after = scene.running().await;
    assert_eq!(after.claim.cursor, before.claim.cursor);
    assert!(after.claim.epoch > before.claim.epoch);
    assert_eq!(scene.replayed().await.1, finished(done(1)));
    let progress = scene.task(&task).await.progress;
    assert_eq!((progress.looked_at, progress.done), (4, 4));
    let pulled = store.pull_backlog(scene.app, endpoint, MANY).await.unwrap();
    assert_eq!(pulled.len(), 4);
}

pub(crate) async fn a_task_that_is_cancelled_does_nothing_more(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let key = scene.that(endpoint, Ended::Exhausted).await;
    let task = scene.replay_of(endpoint, Replayed::Failed).await;
    let running = scene.running().await;
    let step = scene.step(&running, &scene.ahead(&running, LIMIT).await);
    let now = scene.now();
    store.cancel_task(org(), task.id, now).await.unwrap();
    assert_eq!(store.replay(step).await.unwrap(), Stepped::Void);
    assert_eq!(scene.status(key).await, ended(Ended::Exhausted));
    assert!(store.next_task(None).await.unwrap().is_none());
}

pub(crate) async fn makes_no_second_delivery(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let mut keys = Vec::new();
    for _ in 0..4 {
        keys.push(scene.that(endpoint, Ended::Exhausted).await);
    }
    let task = scene.replay_of(endpoint, Replayed::Failed).await;
    let running = scene.running().await;
    let ahead = scene.ahead(&running, LIMIT).await;
    assert_eq!(ahead.messages.len(), 4);
    // Meanwhile somebody sends one again by hand, and one of those arrives.
    for key in &keys[..2] {
        let resent = store.resend(scene.app, *key, None, scene.now(), None);
        resent.await.unwrap();
    }
    let pulled = store.pull_backlog(scene.app, endpoint, MANY).await.unwrap();
    scene.took(&pulled);
    scene.end(keys[1], Ended::Delivered).await;
    store
        .expunge_message(scene.app, keys[2].message)
        .await
        .unwrap();
    let stepped = store.replay(scene.step(&running, &ahead)).await.unwrap();
    let report = StepReport {
        left_out: 3,
        ..done(1)
    };
    assert_eq!(stepped, finished(report));
    let progress = scene.task(&task).await.progress;
    assert_eq!((progress.done, progress.left_out), (1, 3));
    let owned = Some(DeliveryStatus::Pending(Pending::Owned));
    assert_eq!(scene.status(keys[0]).await, owned, "as it was");
    assert_eq!(scene.status(keys[1]).await, ended(Ended::Delivered));
    assert_eq!(scene.status(keys[3]).await, BACKLOG);
}

pub(crate) async fn ends_with_its_endpoint(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let fails = async |endpoint, why| {
        let task = scene.replay_of(endpoint, Replayed::Failed).await;
        let (_, stepped) = scene.replayed().await;
        let report = StepReport {
            ended: Some(TaskState::Failed(why)),
            ..StepReport::default()
        };
        assert_eq!(stepped, Stepped::Made(report));
        assert_eq!(scene.task(&task).await.state, TaskState::Failed(why));
    };
    let endpoint = scene.endpoint().await;
    scene.that(endpoint, Ended::Exhausted).await;
    scene.enable(endpoint, Enabled::No).await;
    fails(endpoint, TaskFailure::EndpointDisabled).await;
    let (app, now) = (scene.app, scene.now());
    store.delete_endpoint(app, endpoint, now).await.unwrap();
    fails(endpoint, TaskFailure::EndpointDeleted).await;
    store.delete_application(app, now).await.unwrap();
    fails(endpoint, TaskFailure::ApplicationDeleted).await;
}

pub(crate) async fn recovers_in_the_order_and_class_and_time(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let mut message = scene.message(DeliveryStart::Owned, &[endpoint]).await;
    message.options = MessageOptions {
        priority: Priority::Bulk,
        expires_at: Some(scene.now().plus(days(1))),
        ..MessageOptions::default()
    };
    let bulk = DeliveryKey {
        message: message.id,
        endpoint,
    };
    store.accept(message).await.unwrap();
    scene.end(bulk, Ended::Exhausted).await;
    let mut message = scene.message(DeliveryStart::Owned, &[endpoint]).await;
    message.options.expires_at = Some(scene.now().plus(SECOND));
    let expired = DeliveryKey {
        message: message.id,
        endpoint,
    };
    store.accept(message).await.unwrap();
    scene.end(expired, Ended::Exhausted).await;
    let first = scene.blocked(endpoint).await;
    scene.later(SECOND);
    let task = scene.replay_of(endpoint, Replayed::Failed).await;
    let running = scene.running().await;
    let ahead = scene.ahead(&running, LIMIT).await;
    let mut step = scene.step(&running, &ahead);
    for (_, order) in &mut step.messages {
        *order = Some(KeyHash::ENDPOINT);
    }
    store.replay(step).await.unwrap();
    let progress = scene.task(&task).await.progress;
    assert_eq!((progress.done, progress.left_out), (2, 1));
    assert_eq!(scene.status(expired).await, ended(Ended::Exhausted));
    let pulled = store.pull_backlog(scene.app, endpoint, MANY).await.unwrap();
    let pulled: Vec<_> = pulled.iter().map(|one| (one.key, one.class)).collect();
    let expect = [(first, Priority::Normal), (bulk, Priority::Bulk)];
    assert_eq!(pulled, expect, "what blocks comes at its old place");
}

impl Scene<'_> {
    /// The exhausted head of an order.
    async fn blocked(&self, endpoint: EndpointId) -> DeliveryKey {
        let mut message = self.message(DeliveryStart::Backlog, &[endpoint]).await;
        message.deliveries[0].order = Some(KeyHash::ENDPOINT);
        let key = DeliveryKey {
            message: message.id,
            endpoint,
        };
        assert_eq!(self.store.accept(message).await.unwrap(), Accepted::New);
        let pulled = self.store.pull_backlog(self.app, endpoint, MANY).await;
        self.took(&pulled.unwrap());
        self.record(self.finished(key, 1, Next::Block)).await;
        key
    }
}

pub(crate) async fn waits_while_the_backlog_is_long(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    for _ in 0..3 {
        scene.accept(DeliveryStart::Backlog, &[endpoint]).await;
    }
    scene.that(endpoint, Ended::Exhausted).await;
    scene.replay_of(endpoint, Replayed::Failed).await;
    let running = scene.running().await;
    for (backlog, full) in [(2, true), (3, false)] {
        let limit = AheadLimit { backlog, ..LIMIT };
        let ahead = store.look_ahead(&running, limit).await.unwrap();
        assert_eq!(matches!(ahead, Ahead::Full), full, "{backlog}");
    }
}

pub(crate) async fn replays_what_is_missing(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let other = scene.endpoint().await;
    let missed = scene.accept(DeliveryStart::Owned, &[other]).await;
    let mut put_off = scene.message(DeliveryStart::Owned, &[other]).await;
    let due = scene.now().plus(SECOND);
    put_off.options.deliver_at = Some(due);
    let put_off_id = put_off.id;
    store.accept(put_off).await.unwrap();
    let endpoint = scene.endpoint().await;
    scene.that(endpoint, Ended::Delivered).await;
    scene.that(endpoint, Ended::Exhausted).await;
    scene.owned(endpoint).await;
    let unwanted = scene.accept(DeliveryStart::Owned, &[other]).await;
    let task = scene.replay_of(endpoint, Replayed::Missing).await;
    let running = scene.running().await;
    let mut ahead = scene.ahead(&running, LIMIT).await;
    let found: Vec<_> = ahead.messages.iter().map(|m| m.id).collect();
    assert_eq!(found, [missed, put_off_id, unwanted]);
    assert_eq!(ahead.messages[0].event_type, event_type("invoice.paid"));
    assert_eq!(ahead.messages[0].payload, None, "not asked for");
    // The subscription says so.
    ahead.messages.pop();
    let stepped = store.replay(scene.step(&running, &ahead)).await.unwrap();
    assert_eq!(stepped, finished(done(2)));
    let progress = scene.task(&task).await.progress;
    assert_eq!((progress.looked_at, progress.done), (6, 2));
    let key = |message| DeliveryKey { message, endpoint };
    assert_eq!(scene.status(key(missed)).await, BACKLOG);
    let waiting = Some(DeliveryStatus::Pending(Pending::Waiting { due }));
    assert_eq!(scene.status(key(put_off_id)).await, waiting);
    assert_eq!(scene.status(key(unwanted)).await, None);
}

pub(crate) async fn replays_what_is_chosen(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let mut keys = Vec::new();
    for (number, how) in [Ended::Delivered, Ended::Exhausted, Ended::Skipped]
        .into_iter()
        .enumerate()
    {
        let mut message = scene.message(DeliveryStart::Owned, &[endpoint]).await;
        message.tags = vec![format!("tag-{number}")];
        message.channels =
            vec![hookseal_domain::channel::Channel::parse(&format!("c{number}")).unwrap()];
        message.event_type = event_type(&format!("t.{number}"));
        let key = DeliveryKey {
            message: message.id,
            endpoint,
        };
        store.accept(message).await.unwrap();
        scene.end(key, how).await;
        keys.push(key.message);
    }
    let chooses = async |filter: ReplayFilter, expect: &[MessageId]| {
        let task = scene.replay_of(endpoint, Replayed::Chosen(filter)).await;
        let ahead = scene.ahead(&scene.running().await, LIMIT).await;
        let found: Vec<_> = ahead.messages.iter().map(|m| m.id).collect();
        assert_eq!(found, expect, "{task:?}");
        let now = scene.now();
        store.cancel_task(org(), task.id, now).await.unwrap();
    };
    chooses(filter(Wanted::Ended), &keys).await;
    chooses(filter(Wanted::Delivered), &keys[..1]).await;
    chooses(filter(Wanted::Failed), &keys[1..2]).await;
    chooses(filter(Wanted::Cancelled), &keys[2..]).await;
    let any = || filter(Wanted::Ended);
    let channel = hookseal_domain::channel::Channel::parse("c1").ok();
    let by_channel = ReplayFilter { channel, ..any() };
    chooses(by_channel, &keys[1..2]).await;
    let tag = Some("tag-2".to_owned());
    chooses(ReplayFilter { tag, ..any() }, &keys[2..]).await;
    let event_types = Some(vec![event_type("t.0"), event_type("t.2")]);
    let by_type = ReplayFilter {
        event_types,
        ..any()
    };
    chooses(by_type, &[keys[0], keys[2]]).await;
    for (class, expect) in [(200, &keys[..1]), (500, &keys[1..]), (0, &[])] {
        let status_code_class = Some(class);
        let by_class = ReplayFilter {
            status_code_class,
            ..any()
        };
        chooses(by_class, expect).await;
    }
    scene.replay_of(endpoint, Replayed::Chosen(any())).await;
    assert_eq!(scene.replayed().await.1, finished(done(3)));
}

pub(crate) async fn cancels_deliveries(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let (endpoint, other) = (scene.endpoint().await, scene.endpoint().await);
    let owned = scene.owned(endpoint).await;
    let waiting = scene.owned(endpoint).await;
    let due = scene.now().plus(SECOND);
    let retry = Next::Retry { due, step: 1 };
    scene.record(scene.finished(waiting, 1, retry)).await;
    let backlog = scene.accept(DeliveryStart::Backlog, &[endpoint]).await;
    let held = scene.accept(DeliveryStart::Held, &[endpoint]).await;
    let key = |message| DeliveryKey { message, endpoint };
    let all = [owned, waiting, key(backlog), key(held)];
    let of_other = scene.owned(other).await;
    let span = scene.so_far();
    scene.later(SECOND);
    let late = scene.owned(endpoint).await;
    let task = scene
        .begin(TaskWork::Cancel {
            app: scene.app,
            endpoint,
            span,
        })
        .await;
    let mut cancelled = Vec::new();
    for expect in [2, 2, 0] {
        let running = scene.running().await;
        let step = store.cancel_deliveries(running.claim, 2, scene.now());
        let (stepped, keys) = step.await.unwrap();
        let report = done(expect);
        if expect == 0 {
            assert_eq!(stepped, finished(report));
        } else {
            assert_eq!(stepped, Stepped::Made(report));
        }
        cancelled.extend(keys);
    }
    cancelled.sort_unstable();
    assert_eq!(cancelled, all);
    let task = scene.task(&task).await;
    assert_eq!((task.state, task.progress.done), (TaskState::Finished, 4));
    for key in all {
        assert_eq!(scene.status(key).await, ended(Ended::Skipped));
    }
    // What was under way changes nothing any more.
    scene.record(scene.finished(owned, 1, retry)).await;
    assert_eq!(scene.status(owned).await, ended(Ended::Skipped));
    assert_eq!(scene.attempts(owned.message).await, 1);
    let owned = Some(DeliveryStatus::Pending(Pending::Owned));
    assert_eq!(scene.status(late).await, owned);
    assert_eq!(scene.status(of_other).await, owned);
    assert_eq!(
        store.pull_backlog(scene.app, endpoint, MANY).await.unwrap(),
        []
    );
}

pub(crate) async fn expunges_contents(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let mut messages = Vec::new();
    for _ in 0..3 {
        messages.push(scene.accept(DeliveryStart::Held, &[endpoint]).await);
    }
    let gone = messages[1];
    store.expunge_message(scene.app, gone).await.unwrap();
    let (app, span) = (scene.app, scene.so_far());
    scene.later(SECOND);
    let late = scene.accept(DeliveryStart::Held, &[endpoint]).await;
    let task = scene.begin(TaskWork::Expunge { app, span }).await;
    for expect in [(1, 1, false), (1, 1, true)] {
        let running = scene.running().await;
        let stepped = store.expunge_contents(running.claim, 2, scene.now());
        let Stepped::Made(report) = stepped.await.unwrap() else {
            panic!("void");
        };
        let ends = report.ended == Some(TaskState::Finished);
        assert_eq!((report.done, report.brought_up, ends), expect);
    }
    let task = scene.task(&task).await;
    assert_eq!((task.progress.looked_at, task.progress.done), (3, 2));
    let payload = async |id| {
        let found = store.message(app, &MessageRef::Id(id)).await.unwrap();
        found.unwrap().payload
    };
    for message in messages {
        assert_eq!(payload(message).await, None);
        let key = DeliveryKey { message, endpoint };
        assert_eq!(scene.status(key).await, BACKLOG, "to be ended");
    }
    assert!(payload(late).await.is_some());
}

pub(crate) async fn broadcasts(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let other = scene.application(org(), None).await;
    let task = scene.begin(scene.broadcast()).await;
    let running = scene.running().await;
    let TaskWork::Broadcast { message, .. } = &running.task.work else {
        panic!("{running:?}");
    };
    assert_eq!(message.payload.as_deref(), Some(PAYLOAD.as_bytes()));
    let listed = scene.task(&task).await;
    assert!(
        matches!(listed.work, TaskWork::Broadcast { message, .. } if message.payload.is_none()),
        "not for people"
    );
    let publish = async |app: AppId| {
        let mut new = scene.message(DeliveryStart::Owned, &[]).await;
        new.app = app;
        new.routing_version = scene.version(app).await;
        new.step_of = Some(running.claim);
        store.accept(new).await
    };
    assert_eq!(publish(scene.app).await.unwrap(), Accepted::New);
    let again = publish(scene.app).await;
    assert!(matches!(again, Err(AcceptError::StepVoid)), "{again:?}");
    let progress = scene.task(&task).await.progress;
    assert_eq!(progress.cursor, scene.app.raw());
    assert_eq!((progress.looked_at, progress.done), (1, 1));
    let messages = store.messages(
        scene.app,
        Default::default(),
        first_page(10, Order::Ascending),
    );
    assert_eq!(messages.await.unwrap().rows.len(), 1);
    let running = scene.running().await;
    let now: Timestamp = scene.now();
    let passed = store.pass_application(running.claim, other, now).await;
    assert!(matches!(passed.unwrap(), Stepped::Made(report) if report.left_out == 1));
    let claim = scene.running().await.claim;
    let ended = store.end_task(claim, TaskState::Finished, now).await;
    assert!(matches!(ended.unwrap(), Stepped::Made(_)));
    let task = scene.task(&task).await;
    assert_eq!(task.state, TaskState::Finished);
    assert_eq!((task.progress.done, task.progress.left_out), (1, 1));
}

pub(crate) async fn forgets_what_ended(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let work = TaskWork::Expunge {
        app: scene.app,
        span: scene.so_far(),
    };
    let mut tasks = Vec::new();
    for _ in 0..3 {
        tasks.push(scene.begin(work.clone()).await);
    }
    let later = scene.later(SECOND);
    let young = scene.begin(work).await;
    for task in [&tasks[0], &tasks[2], &young] {
        store.cancel_task(org(), task.id, later).await.unwrap();
    }
    assert_eq!(store.forget_tasks(later, 1).await.unwrap(), 1);
    assert_eq!(store.forget_tasks(later, 9).await.unwrap(), 1);
    assert_eq!(store.forget_tasks(later, 9).await.unwrap(), 0);
    let left = scene.listed(TaskFilter::default()).await;
    let left: Vec<_> = left.iter().map(|task| task.id).collect();
    assert_eq!(left, [tasks[1].id, young.id], "the running and the young");
}

pub(crate) async fn takes_turns(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let work = TaskWork::Expunge {
        app: scene.app,
        span: scene.so_far(),
    };
    let (one, other) = (scene.begin(work.clone()).await, scene.begin(work).await);
    let next = async |after| store.next_task(after).await.unwrap();
    assert_eq!(next(None).await, Some(one.id));
    assert_eq!(next(Some(one.id)).await, Some(other.id));
    assert_eq!(next(Some(other.id)).await, None);
    let highest = store.begin_epoch(scene.now()).await.unwrap().highest_id;
    assert_eq!(highest, Some(other.id.raw()), "no id is made twice");
}
