//! Deterministic: nothing here waits for time.

use std::collections::HashMap;

use tokio::sync::oneshot::Receiver;

use super::*;

fn lane(endpoint: i64) -> Arc<Share> {
    Share::new(EndpointId::from_raw(endpoint))
}

fn prompt(endpoint: i64) -> Arc<Share> {
    let share = lane(endpoint);
    share.learn(Duration::from_millis(5));
    share
}

fn slow(endpoint: i64) -> Arc<Share> {
    let share = lane(endpoint);
    share.learn(Duration::from_secs(15));
    share
}

fn ask(budget: &Arc<Budget>, share: &Arc<Share>) -> Asked {
    budget.ask(share, Priority::Normal)
}

fn granted(asked: Asked) -> Option<Permit> {
    match asked {
        Asked::Granted(permit) => Some(permit),
        Asked::Wait(_) | Asked::Busy => None,
    }
}

fn waiting(asked: Asked) -> Receiver<Permit> {
    match asked {
        Asked::Wait(waiting) => waiting,
        Asked::Granted(_) => panic!("granted at once"),
        Asked::Busy => panic!("refused"),
    }
}

/// All that a lane gets at once.
fn all(budget: &Arc<Budget>, share: &Arc<Share>, class: Priority) -> Vec<Permit> {
    std::iter::from_fn(|| granted(budget.ask(share, class))).collect()
}

#[test]
fn one_lane_gets_half_and_each_more_leaves_room_for_another() {
    let budget = Budget::new(60);
    let held = [1, 2, 3].map(|id| all(&budget, &prompt(id), Priority::Normal));
    assert_eq!(held.each_ref().map(Vec::len), [30, 15, 8]);
    assert_eq!(budget.held(), 53);
    drop(held);
    assert_eq!(budget.held(), 0);
    for (class, expect) in [(Priority::High, 30), (Priority::Bulk, 12)] {
        let held = all(&budget, &prompt(1), class);
        assert_eq!(held.len(), expect, "{class:?}");
    }
}

#[test]
fn slow_lanes_never_have_more_than_half() {
    let budget = Budget::new(40);
    let held: Vec<_> = (0..100)
        .flat_map(|id| granted(ask(&budget, &slow(id))))
        .collect();
    assert_eq!(held.len(), 20);
    let unknown: Vec<_> = (100..200)
        .flat_map(|id| granted(ask(&budget, &lane(id))))
        .collect();
    assert_eq!(unknown.len(), 10);
    let prompt: Vec<_> = (200..300)
        .flat_map(|id| granted(ask(&budget, &prompt(id))))
        .collect();
    assert_eq!(prompt.len(), 10, "whatever hangs, the others find room");
}

#[test]
fn who_was_moved_up_and_had_its_turn_is_forgotten() {
    let budget = Budget::new(1);
    let mut held = granted(ask(&budget, &prompt(0)));
    for id in 1..10_000 {
        let share = prompt(id);
        let mut waits = waiting(budget.ask(&share, Priority::Bulk));
        assert!(matches!(budget.ask(&share, Priority::High), Asked::Busy));
        drop(held);
        held = waits.try_recv().ok();
        assert!(held.is_some());
    }
    let standing = budget.state.lock().turns.standing();
    assert!(standing < 100, "{standing}");
}

#[test]
fn even_a_budget_of_one_lets_everybody_try() {
    let budget = Budget::new(1);
    for share in [prompt(1), slow(2), lane(3)] {
        assert!(granted(ask(&budget, &share)).is_some());
    }
}

/// A budget of one permit, and lanes that ask again as soon as they had it.
struct Crowd {
    budget: Arc<Budget>,
    waits: Vec<(i64, Priority, Receiver<Permit>)>,
    now: Option<Permit>,
}

impl Crowd {
    fn new() -> Self {
        let budget = Budget::new(1);
        let now = granted(ask(&budget, &prompt(1000)));
        Self {
            budget,
            waits: Vec::new(),
            now,
        }
    }

    fn joins(&mut self, id: i64, class: Priority) {
        let wait = waiting(self.budget.ask(&prompt(id), class));
        self.waits.push((id, class, wait));
    }

    /// Gives the permit back; says who has it now.
    fn next(&mut self) -> (i64, Priority) {
        self.now = None;
        let mut got = None;
        self.waits
            .retain_mut(|(id, class, wait)| match wait.try_recv() {
                Ok(permit) => {
                    assert!(got.is_none(), "there is one");
                    got = Some((*id, *class));
                    self.now = Some(permit);
                    false
                }
                Err(_) => true,
            });
        got.unwrap()
    }
}

#[test]
fn lanes_take_turns() {
    let mut crowd = Crowd::new();
    for id in 1..=3 {
        crowd.joins(id, Priority::Normal);
    }
    let turns: Vec<_> = (0..9)
        .map(|_| {
            let (id, class) = crowd.next();
            crowd.joins(id, class);
            id
        })
        .collect();
    assert_eq!(turns, [1, 2, 3, 1, 2, 3, 1, 2, 3]);
}

#[test]
fn a_lane_waits_once_however_many_workers_it_has() {
    let budget = Budget::new(1);
    let busy = prompt(9);
    let now = granted(ask(&budget, &busy)).unwrap();
    assert!(matches!(ask(&budget, &busy), Asked::Busy), "it has it");
    let one = prompt(1);
    let mut wait = waiting(ask(&budget, &one));
    assert!(matches!(ask(&budget, &one), Asked::Busy), "it waits");
    drop(now);
    let _now = wait.try_recv().unwrap();
    assert_eq!(one.held(), 1);
}

#[test]
fn classes_share_by_weight() {
    let mut crowd = Crowd::new();
    for id in 0..3 {
        for (tens, class) in (1..).zip(Priority::ALL) {
            crowd.joins(tens * 10 + id, class);
        }
    }
    let mut turns = HashMap::new();
    for _ in 0..210 {
        let (id, class) = crowd.next();
        crowd.joins(id, class);
        *turns.entry(class).or_insert(0) += 1;
    }
    let turns = Priority::ALL.map(|class| turns[&class]);
    assert_eq!(turns, [160, 40, 10]);
}

#[test]
fn a_class_alone_gets_all_turns() {
    let mut crowd = Crowd::new();
    crowd.joins(1, Priority::Bulk);
    crowd.joins(2, Priority::Bulk);
    let turns: Vec<_> = (0..50)
        .map(|_| {
            let (id, class) = crowd.next();
            crowd.joins(id, class);
            id
        })
        .collect();
    assert!(turns.chunks(2).all(|pair| pair == [1, 2]));
}

#[test]
fn a_lane_that_waits_is_moved_up_by_something_more_urgent() {
    let mut crowd = Crowd::new();
    crowd.joins(1, Priority::Normal);
    crowd.joins(2, Priority::Bulk);
    let urgent = crowd.budget.ask(&prompt(2), Priority::High);
    assert!(matches!(urgent, Asked::Busy));
    assert_eq!([crowd.next().0, crowd.next().0], [2, 1]);
    crowd.joins(3, Priority::Bulk);
    assert_eq!(crowd.next().0, 3, "where it stood before is nothing");
}

#[test]
fn slow_lanes_that_wait_stand_in_nobodys_way() {
    let budget = Budget::new(4);
    let mut hanging: Vec<_> = [1, 2]
        .into_iter()
        .flat_map(|id| granted(ask(&budget, &slow(id))))
        .collect();
    let mut third = waiting(ask(&budget, &slow(3)));
    let prompts = [4, 5].map(|id| granted(ask(&budget, &prompt(id))).unwrap());
    let mut sixth = waiting(ask(&budget, &prompt(6)));
    drop(prompts);
    let _sixth = sixth.try_recv().unwrap();
    assert!(third.try_recv().is_err(), "though one is free");
    hanging.pop();
    assert!(third.try_recv().is_ok());
}

#[test]
fn who_leaves_takes_no_permit_along() {
    let budget = Budget::new(1);
    let now = granted(ask(&budget, &prompt(1))).unwrap();
    let (left, mut stays) = (
        waiting(ask(&budget, &prompt(2))),
        waiting(ask(&budget, &prompt(3))),
    );
    drop(left);
    let again = waiting(ask(&budget, &prompt(2)));
    drop(now);
    let got = stays.try_recv().unwrap();
    drop(got);
    drop(again);
    assert_eq!(budget.held(), 0, "what was sent and not taken came back");
    assert!(granted(ask(&budget, &prompt(2))).is_some());
}

#[test]
fn a_panic_gives_back() {
    let budget = Budget::new(1);
    let permit = granted(ask(&budget, &prompt(1)));
    let attempt = std::panic::AssertUnwindSafe(move || {
        let _permit = permit;
        panic!("as the test said");
    });
    assert!(std::panic::catch_unwind(attempt).is_err());
    assert_eq!(budget.held(), 0);
}

#[tokio::test]
async fn nobody_gets_anything_once_it_is_closed() {
    let budget = Budget::new(1);
    let now = granted(ask(&budget, &prompt(1))).unwrap();
    let wait = waiting(ask(&budget, &prompt(2)));
    budget.close();
    assert!(wait.await.is_err());
    let idle = tokio::spawn({
        let budget = Arc::clone(&budget);
        async move { budget.idle().await }
    });
    drop(now);
    idle.await.unwrap();
    assert!(budget.acquire(&prompt(3), Priority::High).await.is_none());
}

#[test]
fn whatever_happens_no_permit_is_lost_or_made() {
    let budget = Budget::new(7);
    let shares: Vec<_> = (0..20)
        .map(|id| match id % 3 {
            0 => prompt(id),
            1 => slow(id),
            _ => lane(id),
        })
        .collect();
    let (mut held, mut waits) = (Vec::new(), Vec::new());
    let mut dice = 1_u64;
    for _ in 0..20_000 {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let roll = usize::try_from(dice >> 33).unwrap();
        match roll % 5 {
            0 | 1 => match budget.ask(&shares[roll / 5 % 20], Priority::ALL[roll / 100 % 3]) {
                Asked::Granted(permit) => held.push(permit),
                Asked::Wait(wait) => waits.push(wait),
                Asked::Busy => {}
            },
            2 | 3 if !held.is_empty() => {
                held.swap_remove(roll / 5 % held.len());
            }
            _ if !waits.is_empty() => {
                waits.swap_remove(roll / 5 % waits.len());
            }
            _ => {}
        }
        waits.retain_mut(|wait: &mut Receiver<Permit>| match wait.try_recv() {
            Ok(permit) => {
                held.push(permit);
                false
            }
            Err(_) => true,
        });
        assert_eq!(budget.held(), held.len());
    }
    held.clear();
    while let Some(permit) = waits.iter_mut().find_map(|wait| wait.try_recv().ok()) {
        drop(permit);
    }
    assert_eq!(budget.held(), 0);
    let state = budget.state.lock();
    assert_eq!(
        [state.prompt_held, state.unknown_held, state.slow_held],
        [0; 3]
    );
}
