//! The breaker's way through all of its states, as a timeline: when what was tried, and where it
//! stood then.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use hookseal_domain::delivery::Ended;
use hookseal_domain::delivery::breaker::{BreakerState, Pause, PauseReason};
use hookseal_domain::delivery::retry::RetrySchedule;
use hookseal_domain::endpoint::url::EndpointUrl;
use hookseal_domain::id::{EndpointId, MessageId};
use hookseal_domain::time::Timestamp;
use hookseal_engine::config::EngineConfig;
use hookseal_store::inspect::DeliveryStatus;
use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::reply::Reply;
use hookseal_testkit::test_ca::{LeafSpec, Speaks, TestCa, Validity};
use hookseal_testkit::wait::until;

use crate::world::World;

const DELIVERED: DeliveryStatus = DeliveryStatus::Ended(Ended::Delivered);
/// The step of the schedule: long, so that only what waits in the backlog meets a probe.
const STEP: Duration = Duration::from_secs(3600);

/// One endpoint, its breaker, and what is told of them.
struct Timeline {
    world: World,
    hook: FakeEndpoint,
    endpoint: EndpointId,
    start: Timestamp,
    published: Vec<MessageId>,
    told: String,
}

// === impl Timeline ===

impl Timeline {
    async fn of(world: World, hook: FakeEndpoint) -> Self {
        let endpoint = world.endpoint(&hook.url()).await;
        let start = world.engine.now();
        Self {
            world,
            hook,
            endpoint,
            start,
            published: Vec::new(),
            told: String::new(),
        }
    }

    async fn publish(&mut self, count: usize) {
        for _ in 0..count {
            self.published.push(self.world.publish("{}").await);
        }
    }

    fn advance(&self, secs: u64) {
        self.world.clock.advance(Duration::from_secs(secs));
    }

    /// Requests, or for TLS handshakes, so far.
    fn came(&self) -> usize {
        self.hook
            .connections()
            .opened
            .max(self.hook.received().len())
    }

    /// Waits until so much came in all and the breaker stands so, and tells it.
    async fn tell(&mut self, what: &str, came: usize, state: &str) {
        let reached = until(what, async || {
            let is = self.state().as_str() == state && self.came() >= came;
            Ok(is.then_some(()))
        });
        let reached = reached.await;
        let (so_far, now) = (self.came(), self.world.engine.now());
        let stands = self.stands();
        assert!(reached.is_ok(), "{what}: {so_far} came, {stands}");
        assert_eq!(so_far, came, "{what}");
        let at = self.at(now);
        writeln!(self.told, "{at:>6} {what}: {so_far} came, {stands}").unwrap();
    }

    /// What became of everything that was published. Not of which: what waits comes in any order.
    async fn tell_attempts(&mut self) {
        self.world.store.flush().await.unwrap();
        let mut stories: BTreeMap<Vec<(Timestamp, String)>, usize> = BTreeMap::new();
        for message in &self.published {
            let attempts = self.world.attempts(*message, 0).await;
            let story = attempts.into_iter().map(|attempt| {
                let status = attempt.status_code.map(|code| format!(" {code}"));
                let (outcome, status) = (attempt.outcome.as_str(), status.unwrap_or_default());
                (attempt.id.created_at(), format!("{outcome}{status}"))
            });
            *stories.entry(story.collect()).or_default() += 1;
        }
        for (story, events) in stories {
            let story = story
                .iter()
                .map(|(at, what)| format!("{} {what}", self.at(*at)));
            let story: Vec<_> = story.collect();
            writeln!(self.told, "{events:>2} x {}", story.join(", ")).unwrap();
        }
    }

    async fn all_delivered(&self) {
        for message in &self.published {
            self.world.status_becomes(*message, DELIVERED).await;
        }
    }

    fn state(&self) -> BreakerState {
        self.world.engine.breaker(self.endpoint).unwrap_or_default()
    }

    fn stands(&self) -> String {
        let state = self.state();
        let Some(pause) = state.pause() else {
            return state.as_str().to_owned();
        };
        let Pause {
            since,
            reason,
            failure,
            ..
        } = pause;
        let status = failure.status().map(|status| format!(" {status}"));
        let (since, status) = (self.at(since), status.unwrap_or_default());
        let until = match state {
            BreakerState::Paused { until, .. } => format!(" until {}", self.at(until)),
            _ => String::new(),
        };
        let (name, reason, failure) = (state.as_str(), reason.as_str(), failure.as_str());
        format!("{name} since {since}{until} ({reason}: {failure}{status})")
    }

    fn at(&self, at: Timestamp) -> String {
        format!("{}s", at.since(self.start).as_secs())
    }
}

/// One attempt at a time, so that the counts are exact.
fn one_at_a_time(config: &mut EngineConfig) {
    config.in_flight_per_endpoint_max = 1;
    config.attempt_timeout = Duration::from_secs(1);
    config.retry_schedule = RetrySchedule::try_new(vec![STEP; 5]).unwrap();
}

#[tokio::test]
async fn failures_in_a_row() {
    let world = World::with(one_at_a_time).await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let mut timeline = Timeline::of(world, hook).await;
    timeline.publish(2).await;
    timeline.tell("two are accepted", 2, "delivering").await;

    timeline.hook.reply_with([500]);
    timeline.publish(9).await;
    timeline.tell("nine more fail", 7, "paused").await;
    timeline.advance(4);
    timeline.publish(1).await;
    timeline.tell("before its end", 7, "paused").await;
    timeline.advance(1);
    timeline.tell("the first probe", 8, "paused").await;

    let never = Reply::status(200).after(Duration::from_secs(60));
    timeline.hook.reply_with([never]);
    timeline.advance(10);
    timeline.tell("the second one hangs", 9, "probing").await;
    timeline.advance(100);
    timeline.publish(1).await;
    timeline.tell("and no other comes", 9, "probing").await;
    timeline.tell("until it times out", 9, "paused").await;

    timeline.hook.reply_with([200]);
    timeline.world.engine.reset_breaker(timeline.endpoint);
    timeline.tell("a person ends it", 13, "delivering").await;
    timeline.hook.reply_with([502]);
    timeline.publish(6).await;
    timeline.tell("six fail", 18, "paused").await;
    timeline.hook.reply_with([200]);
    timeline.advance(5);
    timeline.tell("a probe is accepted", 19, "delivering").await;

    timeline.hook.reply_with([404]);
    timeline.publish(6).await;
    timeline.tell("six are refused", 25, "delivering").await;
    timeline.hook.reply_with([200]);
    timeline.world.clock.advance(STEP);
    timeline.all_delivered().await;
    timeline
        .tell("all others come at their step", 43, "delivering")
        .await;
    timeline.tell_attempts().await;
    insta::assert_snapshot!(timeline.told);
}

#[tokio::test]
async fn a_failure_rate() {
    let world = World::with(one_at_a_time).await;
    let round = [200, 500, 500, 500, 500];
    let hook = FakeEndpoint::plain(round.repeat(4)).await.unwrap();
    let mut timeline = Timeline::of(world, hook).await;
    timeline.publish(15).await;
    timeline.tell("four of five fail", 15, "delivering").await;
    timeline.advance(49);
    timeline.publish(7).await;
    timeline.tell("and again", 20, "paused").await;
    timeline.hook.reply_with([200]);
    timeline.advance(5);
    timeline.tell("a probe is accepted", 22, "delivering").await;

    // It had not recovered for as long as a window.
    timeline.hook.reply_with([500]);
    timeline.publish(5).await;
    timeline.tell("five fail soon after", 27, "paused").await;
    timeline.hook.reply_with([200]);
    timeline.publish(1).await;
    timeline.advance(10);
    timeline.tell("a probe is accepted", 28, "delivering").await;
    timeline.advance(60);
    timeline.hook.reply_with([500]);
    timeline.publish(5).await;
    timeline.tell("five fail much later", 33, "paused").await;
    insta::assert_snapshot!(timeline.told);
}

#[tokio::test]
async fn a_change_of_the_endpoint() {
    let world = World::with(one_at_a_time).await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let mut timeline = Timeline::of(world, hook).await;
    let (endpoint, url) = (timeline.endpoint, timeline.hook.url());
    let moved_to = async |timeline: &Timeline, url: &str| {
        let url = EndpointUrl::parse(url).unwrap();
        let world = &timeline.world;
        world.update_endpoint(endpoint, |spec| spec.url = url).await;
    };
    // Nobody listens on port 1.
    moved_to(&timeline, "http://127.0.0.1:1/").await;
    timeline.publish(8).await;
    timeline.tell("nobody is there", 0, "paused").await;
    timeline.advance(5);
    until("the probe", async || {
        let probed = timeline.state().pause();
        Ok(probed.filter(|pause| pause.failed_at > pause.since))
    })
    .await
    .unwrap();
    timeline.tell("nor for the probe", 0, "paused").await;
    moved_to(&timeline, &url).await;
    timeline.tell("it moves", 2, "delivering").await;
    timeline.tell_attempts().await;
    insta::assert_snapshot!(timeline.told);
}

#[tokio::test]
async fn an_expired_certificate() {
    let ca = TestCa::new("Customer's root").unwrap();
    let world = World::trusting(&ca, one_at_a_time).await;
    let expired = LeafSpec {
        validity: Validity::Past,
        ..LeafSpec::default()
    };
    let hook = FakeEndpoint::tls(&ca.issue(&expired).unwrap(), [200]).await;
    let mut timeline = Timeline::of(world, hook.unwrap()).await;
    timeline.publish(12).await;
    timeline.tell("three handshakes", 3, "paused").await;
    for handshakes in 4..=9 {
        timeline.advance(59);
        timeline.publish(1).await;
        assert_eq!(timeline.came(), handshakes - 1, "not before its time");
        timeline.advance(1);
        let came = async || Ok((timeline.came() == handshakes).then_some(()));
        until("the handshake", came).await.unwrap();
        timeline.tell("one a minute", handshakes, "paused").await;
    }
    assert_eq!(timeline.hook.connections().application_bytes, 0);
    let good = ca.issue(&LeafSpec::default()).unwrap();
    timeline.hook.present(&good, Speaks::Http2).unwrap();
    timeline.advance(60);
    timeline.hook.receives(9).await.unwrap();
    timeline
        .tell("mended, and noticed within one", 10, "delivering")
        .await;
    timeline.world.clock.advance(STEP);
    timeline.all_delivered().await;
    timeline.tell_attempts().await;
    insta::assert_snapshot!(timeline.told);
}

#[tokio::test]
async fn an_endpoint_that_only_pushes_back_is_paused_in_the_end() {
    let world = World::with(one_at_a_time).await;
    let hook = FakeEndpoint::plain([429]).await.unwrap();
    let mut timeline = Timeline::of(world, hook).await;
    // However fast its pace lets them come.
    until("the pause", async || {
        timeline.publish(1).await;
        timeline.advance(10);
        let pause = timeline.state().pause();
        Ok(pause.filter(|pause| pause.reason == PauseReason::PushBack))
    })
    .await
    .unwrap();
    let paused = || {
        let by = r#"hookseal_lanes_paused{reason="push_back"}"#;
        timeline.world.metric(by) == Some(1.0)
    };
    until("the metric", async || {
        timeline.advance(5);
        Ok(paused().then_some(()))
    })
    .await
    .unwrap();
}
