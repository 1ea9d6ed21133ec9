//! Random commands, compared with a small model after each.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use hookseal_domain::delivery::{DeliveryKey, Ended, Next, Pending};
use hookseal_domain::id::EndpointId;
use hookseal_store::Store;
use hookseal_store::inspect::DeliveryStatus;
use hookseal_store::publish::DeliveryStart;
use hookseal_store::work::PullLimit;

use crate::scene::{Enabled, MANY, Scene};

const COMMANDS: usize = 250;

#[derive(Clone, Debug)]
enum Command {
    Accept(u8, u8),
    End(u8),
    Retry(u8, u8),
    EndFenced(u8),
    ClaimDue(u8),
    Pull(u8, u8),
    GiveBack(u8),
    Hold(u8),
    Disable(u8),
    Enable(u8),
    Release(u8),
    Resend(u8),
    Restart,
    Wait(u8),
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        6 => (0..3_u8, 0..3_u8).prop_map(|(e, s)| Command::Accept(e, s)),
        4 => any::<u8>().prop_map(Command::End),
        4 => (any::<u8>(), 1..5_u8).prop_map(|(k, d)| Command::Retry(k, d)),
        1 => any::<u8>().prop_map(Command::EndFenced),
        3 => (1..4_u8).prop_map(Command::ClaimDue),
        3 => (0..3_u8, 1..4_u8).prop_map(|(e, n)| Command::Pull(e, n)),
        1 => any::<u8>().prop_map(Command::GiveBack),
        1 => any::<u8>().prop_map(Command::Hold),
        1 => (0..3_u8).prop_map(Command::Disable),
        2 => (0..3_u8).prop_map(Command::Enable),
        2 => (1..4_u8).prop_map(Command::Release),
        2 => any::<u8>().prop_map(Command::Resend),
        1 => Just(Command::Restart),
        2 => (1..4_u8).prop_map(Command::Wait),
    ]
}

/// What the store should hold.
#[derive(Default)]
struct Model {
    deliveries: BTreeMap<DeliveryKey, DeliveryStatus>,
    disabled: BTreeMap<EndpointId, bool>,
    releasing: BTreeMap<EndpointId, bool>,
}

impl Model {
    fn owned(&self, pick: u8) -> Option<DeliveryKey> {
        self.pick(pick, |status| {
            status == DeliveryStatus::Pending(Pending::Owned)
        })
    }

    fn pick(&self, pick: u8, wanted: impl Fn(DeliveryStatus) -> bool) -> Option<DeliveryKey> {
        let keys: Vec<_> = self.in_state(wanted);
        (!keys.is_empty()).then(|| keys[usize::from(pick) % keys.len()])
    }

    fn in_state(&self, wanted: impl Fn(DeliveryStatus) -> bool) -> Vec<DeliveryKey> {
        let all = self.deliveries.iter();
        all.filter(|(_, s)| wanted(**s)).map(|(k, _)| *k).collect()
    }

    fn set(&mut self, key: DeliveryKey, pending: Pending) {
        self.deliveries
            .insert(key, DeliveryStatus::Pending(pending));
    }
}

pub(crate) async fn behaves_like_the_model(store: &dyn Store) {
    let scene = Scene::new(store).await;
    let mut endpoints = Vec::new();
    for _ in 0..3 {
        endpoints.push(scene.endpoint().await);
    }
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut model = Model::default();
    for number in 0..COMMANDS {
        let command = command().new_tree(&mut runner).unwrap().current();
        apply(&scene, &endpoints, &mut model, &command).await;
        let mut stored = BTreeMap::new();
        for &endpoint in &endpoints {
            for (message, status) in scene.with_status(endpoint, None).await {
                stored.insert(DeliveryKey { message, endpoint }, status);
            }
        }
        assert_eq!(stored, model.deliveries, "after {number}: {command:?}");
    }
    let ended = model.in_state(|s| matches!(s, DeliveryStatus::Ended(_)));
    assert!(ended.len() > 10, "the commands get somewhere");
}

async fn apply(scene: &Scene<'_>, endpoints: &[EndpointId], model: &mut Model, command: &Command) {
    let store = scene.store;
    match *command {
        Command::Accept(endpoint, start) => {
            let endpoint = endpoints[usize::from(endpoint)];
            let (start, pending) = [
                (DeliveryStart::Owned, Pending::Owned),
                (DeliveryStart::Backlog, Pending::Backlog),
                (DeliveryStart::Held, Pending::Held),
            ][usize::from(start)];
            let message = scene.accept(start, &[endpoint]).await;
            model.set(DeliveryKey { message, endpoint }, pending);
        }
        Command::End(pick) => {
            if let Some(key) = model.owned(pick) {
                scene.end(key, Ended::Delivered).await;
                let ended = DeliveryStatus::Ended(Ended::Delivered);
                model.deliveries.insert(key, ended);
            }
        }
        Command::Retry(pick, delay) => {
            if let Some(key) = model.owned(pick) {
                let due = scene.now().plus(Duration::from_secs(delay.into()));
                let next = Next::Retry { due, step: 1 };
                scene.record(scene.finished(key, 1, next)).await;
                model.set(key, Pending::Waiting { due });
            }
        }
        Command::EndFenced(pick) => {
            let unowned = |s| s != DeliveryStatus::Pending(Pending::Owned);
            if let Some(key) = model.pick(pick, unowned) {
                scene.end(key, Ended::Parked).await;
            }
        }
        Command::ClaimDue(rows) => claim_due(scene, model, rows).await,
        Command::Pull(endpoint, rows) => {
            let endpoint = endpoints[usize::from(endpoint)];
            pull(scene, model, endpoint, rows).await;
        }
        Command::GiveBack(pick) => {
            if let Some(key) = model.owned(pick) {
                store
                    .return_to_backlog(vec![(scene.app, key)])
                    .await
                    .unwrap();
                model.set(key, Pending::Backlog);
            }
        }
        Command::Hold(pick) => {
            if let Some(key) = model.owned(pick) {
                store.hold(vec![(scene.app, key)]).await.unwrap();
                model.set(key, Pending::Held);
                if !model.disabled.get(&key.endpoint).unwrap_or(&false) {
                    model.releasing.insert(key.endpoint, true);
                }
            }
        }
        Command::Disable(endpoint) => {
            let endpoint = endpoints[usize::from(endpoint)];
            scene.enable(endpoint, Enabled::No).await;
            model.disabled.insert(endpoint, true);
            model.releasing.insert(endpoint, false);
        }
        Command::Enable(endpoint) => {
            let endpoint = endpoints[usize::from(endpoint)];
            scene.enable(endpoint, Enabled::Yes).await;
            if model.disabled.insert(endpoint, false) == Some(true) {
                model.releasing.insert(endpoint, true);
            }
        }
        Command::Release(limit) => release(scene, endpoints, model, limit.into()).await,
        Command::Resend(pick) => {
            if let Some(key) = model.pick(pick, |_| true)
                && !model.disabled.get(&key.endpoint).unwrap_or(&false)
            {
                store
                    .resend(scene.app, key, None, scene.now(), None)
                    .await
                    .unwrap();
                model.set(key, Pending::Backlog);
            }
        }
        Command::Restart => {
            let owned = model.in_state(|s| s == DeliveryStatus::Pending(Pending::Owned));
            let session = store.begin_epoch(scene.now()).await.unwrap();
            assert_eq!(session.taken_back, u64::try_from(owned.len()).unwrap());
            for key in owned {
                model.set(key, Pending::Backlog);
            }
        }
        Command::Wait(seconds) => {
            scene.later(Duration::from_secs(seconds.into()));
        }
    }
}

async fn claim_due(scene: &Scene<'_>, model: &mut Model, rows: u8) {
    let now = scene.now();
    let rows = usize::from(rows);
    let limit = PullLimit { rows, ..MANY };
    let batch = scene.store.claim_due(now, limit).await.unwrap();
    let due_of = |status: &DeliveryStatus| match status {
        DeliveryStatus::Pending(Pending::Waiting { due }) => Some(*due),
        _ => None,
    };
    let mut dues: Vec<_> = model.deliveries.values().filter_map(due_of).collect();
    dues.sort_unstable();
    let ripe = dues.iter().filter(|due| **due <= now).count().min(rows);
    scene.took(&batch.deliveries);
    assert_eq!(batch.deliveries.len(), ripe);
    assert_eq!(batch.next_due, dues.get(ripe).copied());
    let mut claimed: Vec<_> = Vec::new();
    for one in &batch.deliveries {
        claimed.extend(due_of(&model.deliveries[&one.key]));
        model.set(one.key, Pending::Owned);
    }
    assert_eq!(claimed, dues[..ripe], "earliest first");
}

async fn pull(scene: &Scene<'_>, model: &mut Model, endpoint: EndpointId, rows: u8) {
    let rows = usize::from(rows);
    let limit = PullLimit { rows, ..MANY };
    let pulled = scene.store.pull_backlog(scene.app, endpoint, limit).await;
    let pulled = pulled.unwrap();
    scene.took(&pulled);
    let pulled: Vec<_> = pulled.iter().map(|c| c.key).collect();
    let mut expect = model.in_state(|s| s == DeliveryStatus::Pending(Pending::Backlog));
    expect.retain(|key| key.endpoint == endpoint);
    expect.truncate(rows);
    assert_eq!(pulled, expect, "oldest first");
    for key in pulled {
        model.set(key, Pending::Owned);
    }
}

async fn release(scene: &Scene<'_>, endpoints: &[EndpointId], model: &mut Model, limit: usize) {
    let released = scene.store.release_held(limit).await.unwrap();
    let mut moved = 0;
    let mut expect = Vec::new();
    for endpoint in endpoints {
        if moved == limit {
            break;
        }
        if model.releasing.get(endpoint) != Some(&true) {
            continue;
        }
        let mut held = model.in_state(|s| s == DeliveryStatus::Pending(Pending::Held));
        held.retain(|key| key.endpoint == *endpoint);
        held.truncate(limit - moved);
        if !held.is_empty() {
            expect.push((scene.app, *endpoint));
        }
        moved += held.len();
        if moved < limit {
            model.releasing.insert(*endpoint, false);
        }
        for key in held {
            model.set(key, Pending::Backlog);
        }
    }
    assert_eq!(released, expect);
}
