//! Receivers that are asked whether they want what is sent to them, and what waits for their answer.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use hookseal_domain::delivery::{Ended, Pending};
use hookseal_domain::endpoint::Endpoint;
use hookseal_domain::endpoint::url::EndpointUrl;
use hookseal_domain::endpoint::verification::{Demand, Method, Origin, Standing, State};
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::EndpointId;
use hookseal_domain::message::options::MessageOptions;
use hookseal_domain::signature::key::{KeyKind, SigningKey};
use hookseal_domain::signature::standard::sign;
use hookseal_domain::time::Timestamp;
use hookseal_engine::config::{EngineConfig, VerificationConfig};
use hookseal_engine::publish::{Audience, Publish, PublishHeaders};
use hookseal_engine::{Asked, VerifyError};
use hookseal_store::inspect::DeliveryStatus;
use hookseal_store::reference::AppRef;
use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::reply::Reply;
use hookseal_testkit::test_ca::{LeafSpec, TestCa};
use serde_json::Value;

use crate::world::{SECRET, World};

const DELIVERED: DeliveryStatus = DeliveryStatus::Ended(Ended::Delivered);
const HELD: DeliveryStatus = DeliveryStatus::Pending(Pending::Held);
const ORIGIN: &str = "hooks.example";
const CALLBACK: &str = "https://hooks.example/api/v1/verification/";

fn asking(config: &mut EngineConfig) {
    config.verification = VerificationConfig {
        demand: Demand::None,
        origin: Some(Origin::parse(ORIGIN).unwrap()),
        callback_url: None,
    };
}

fn calling_back(config: &mut EngineConfig) {
    asking(config);
    config.verification.callback_url = Some(CALLBACK.to_owned());
}

fn demanding(config: &mut EngineConfig) {
    calling_back(config);
    config.verification.demand = Demand::Verified;
}

fn cloud_events(rate: u32) -> Asked {
    Asked {
        method: Method::CloudEvents,
        rate: NonZeroU32::new(rate),
    }
}

const CHALLENGE: Asked = Asked {
    method: Method::Challenge,
    rate: None,
};

fn consent(rate: &str) -> Reply {
    Reply::status(204)
        .header("webhook-allowed-origin", ORIGIN)
        .header("webhook-allowed-rate", rate)
}

async fn ask(world: &World, endpoint: EndpointId, asked: Asked) -> Endpoint {
    let verified = world.engine.verify(world.app, endpoint, asked).await;
    verified.unwrap()
}

fn state(world: &World, endpoint: &Endpoint) -> State {
    endpoint.verification.state(world.engine.now())
}

fn reason<'e>(world: &World, endpoint: &'e Endpoint) -> &'e str {
    let reason = endpoint.verification.reason(world.engine.now());
    reason.unwrap_or_default()
}

/// What came of events, as opposed to questions.
fn events(hook: &FakeEndpoint) -> usize {
    let received = hook.received().into_iter();
    received
        .filter(|one| one.webhook_id().starts_with("msg_"))
        .count()
}

/// The token in the URL that a receiver got for a callback.
fn token(hook: &FakeEndpoint) -> String {
    let received = hook.received();
    let callback = received.last().unwrap().header("webhook-request-callback");
    callback.strip_prefix(CALLBACK).unwrap().to_owned()
}

// === the handshake of CloudEvents ===

#[tokio::test]
async fn a_receiver_that_consents_is_verified_and_its_rate_holds() {
    let world = World::with(calling_back).await;
    let hook = FakeEndpoint::plain([consent("60"), 200.into()])
        .await
        .unwrap();
    let limited = |spec: &mut hookseal_domain::endpoint::EndpointSpec| {
        spec.throttle_rate = Some(50);
    };
    let id = world.endpoint_with(&hook.url(), limited).await;
    let endpoint = ask(&world, id, cloud_events(600)).await;
    assert_eq!(state(&world, &endpoint), State::Verified);
    assert_eq!(endpoint.verification.verified_at, Some(world.engine.now()));
    let grant = endpoint.verification.grant.unwrap();
    assert_eq!(grant.rate.map(NonZeroU32::get), Some(60));

    let asked = hook.receives_one().await.unwrap();
    assert_eq!(
        (asked.method.as_str(), asked.path.as_str()),
        ("OPTIONS", "/hook")
    );
    assert_eq!(asked.header("webhook-request-origin"), ORIGIN);
    assert_eq!(asked.header("webhook-request-rate"), "600");
    assert!(
        asked
            .header("webhook-request-callback")
            .starts_with(CALLBACK)
    );
    assert!(asked.body.is_empty());
    for name in ["webhook-id", "webhook-signature", "svix-signature"] {
        assert!(!asked.headers.contains_key(name), "{name}");
    }

    // 60 in a minute is slower than 50 in a second: one in each second, after the first.
    for _ in 0..20 {
        world.publish("{}").await;
    }
    world.clock.run_for(Duration::from_secs(1)).await;
    let from = world.engine.now();
    world.clock.run_for(Duration::from_secs(8)).await;
    let began = world.began_at(id).await;
    let within = began.iter().filter(|at| **at >= from).count();
    assert!((7..=9).contains(&within), "{within} of {began:?}");
    let pace = world.engine.pace(id).unwrap();
    assert!(
        pace.throttled_since.is_some() && pace.waiting > 0,
        "{pace:?}"
    );
    let delivered = hook.received().pop().unwrap();
    assert_eq!(delivered.method, "POST");
    assert_eq!(delivered.header("webhook-request-origin"), ORIGIN);
}

#[tokio::test]
async fn whatever_is_no_consent_fails_with_its_reason() {
    let world = World::with(asking).await;
    let allowed = |origin: &str| Reply::status(200).header("webhook-allowed-origin", origin);
    let rated = |rate: &str| allowed("*").header("webhook-allowed-rate", rate);
    let cases = [
        (
            Reply::status(200),
            "answered 200 without WebHook-Allowed-Origin",
        ),
        (Reply::status(405), "answered 405"),
        (
            Reply::status(403).header("webhook-allowed-origin", "*"),
            "answered 403",
        ),
        (
            Reply::status(302).header("location", "http://127.0.0.1:1/"),
            "answered 302",
        ),
        (allowed("other.example"), "names another origin"),
        (allowed("hooks.example, *"), "names another origin"),
        (
            allowed("*").header("webhook-allowed-origin", "*"),
            "more than one",
        ),
        (allowed("*"), "no WebHook-Allowed-Rate"),
        (rated("0"), "no number of requests per minute"),
        (rated("fast"), "no number of requests per minute"),
        (
            rated("1").header("webhook-allowed-rate", "2"),
            "more than one",
        ),
    ];
    for (reply, expect) in cases {
        let hook = FakeEndpoint::plain([reply]).await.unwrap();
        let id = world.endpoint(&hook.url()).await;
        let endpoint = ask(&world, id, cloud_events(60)).await;
        assert_eq!(state(&world, &endpoint), State::Failed, "{expect}");
        let reason = reason(&world, &endpoint);
        assert!(reason.contains(expect), "{reason}: {expect}");
        assert_eq!(endpoint.verification.grant, None);
        assert_eq!(hook.received().len(), 1, "no redirect is followed");
    }
}

#[tokio::test]
async fn whoever_failed_to_ask_again_goes_no_faster_than_before() {
    let world = World::with(asking).await;
    let hook = FakeEndpoint::plain([consent("60"), Reply::status(500), consent("*")])
        .await
        .unwrap();
    let id = world.endpoint(&hook.url()).await;
    let rate = |endpoint: &Endpoint| {
        let grant = endpoint.verification.grant.as_ref().unwrap();
        grant.rate.map(NonZeroU32::get)
    };
    assert_eq!(rate(&ask(&world, id, cloud_events(0)).await), Some(60));
    let failed = ask(&world, id, cloud_events(0)).await;
    assert_eq!(state(&world, &failed), State::Failed);
    assert_eq!(
        (failed.verification.verified_at, rate(&failed)),
        (None, Some(60))
    );
    assert_eq!(rate(&ask(&world, id, cloud_events(0)).await), None);
}

#[tokio::test]
async fn nobody_asks_who_is_not_told_his_name() {
    let world = World::new().await;
    let hook = FakeEndpoint::plain([consent("*")]).await.unwrap();
    let id = world.endpoint(&hook.url()).await;
    let refused = world.engine.verify(world.app, id, cloud_events(1)).await;
    assert!(matches!(refused, Err(VerifyError::NoOrigin)), "{refused:?}");
    let unknown = EndpointId::from_raw(1);
    let refused = world.engine.verify(world.app, unknown, CHALLENGE).await;
    assert!(
        matches!(refused, Err(VerifyError::UnknownEndpoint)),
        "{refused:?}"
    );
    assert!(hook.received().is_empty());
}

#[tokio::test]
async fn nothing_is_asked_of_whom_is_not_trusted() {
    let ours = TestCa::new("Ours").unwrap();
    let theirs = TestCa::new("Theirs").unwrap();
    let world = World::trusting(&ours, demanding).await;
    let leaf = theirs.issue(&LeafSpec::default()).unwrap();
    let hook = FakeEndpoint::tls(&leaf, [consent("*")]).await.unwrap();
    let id = world.endpoint(&hook.url()).await;
    for asked in [cloud_events(0), CHALLENGE] {
        let endpoint = ask(&world, id, asked).await;
        assert_eq!(state(&world, &endpoint), State::Failed);
        assert!(!reason(&world, &endpoint).is_empty());
        assert_eq!(endpoint.verification.standing, Standing::Withheld);
    }
    assert_eq!(hook.connections().application_bytes, 0);
}

// === callbacks ===

#[tokio::test]
async fn a_callback_verifies_once_and_lets_everything_go() {
    let world = World::with(demanding).await;
    // Knows nothing of it; somebody finds the callback in a log.
    let hook = FakeEndpoint::plain([Reply::status(405), 200.into()])
        .await
        .unwrap();
    let id = world.endpoint(&hook.url()).await;
    let endpoint = ask(&world, id, cloud_events(120)).await;
    assert_eq!(state(&world, &endpoint), State::Pending);
    let message = world.publish("{}").await;
    world.status_becomes(message, HELD).await;
    let token = token(&hook);
    assert_eq!(token.len(), 43);

    let wrong = world.engine.call_back(&token[1..], Vec::new()).await;
    assert_eq!(wrong.unwrap(), None);
    let nonsense = world.engine.call_back(&token, vec![b"many".to_vec()]).await;
    assert!(nonsense.unwrap().unwrap().is_err());
    assert_eq!(events(&hook), 0);
    let granted = world.engine.call_back(&token, Vec::new()).await;
    assert_eq!(granted.unwrap(), Some(Ok(())));
    world.status_becomes(message, DELIVERED).await;
    let again = world.engine.call_back(&token, Vec::new()).await;
    assert_eq!(again.unwrap(), None);
    let endpoint = world.stored_endpoint(id).await;
    let grant = endpoint.verification.grant.unwrap();
    assert_eq!(grant.rate.map(NonZeroU32::get), Some(120));
}

#[tokio::test]
async fn a_callback_is_void_once_its_time_is_over_or_the_url_is_another_one() {
    let world = World::with(demanding).await;
    let hook = FakeEndpoint::plain([Reply::status(200)]).await.unwrap();
    let id = world.endpoint(&hook.url()).await;
    ask(&world, id, cloud_events(0)).await;
    let first = token(&hook);
    ask(&world, id, cloud_events(0)).await;
    let second = token(&hook);
    let used = world.engine.call_back(&first, Vec::new()).await;
    assert_eq!(used.unwrap(), None, "another one was begun");

    let other = format!("{}?other", hook.url());
    let elsewhere = |spec: &mut hookseal_domain::endpoint::EndpointSpec| {
        spec.url = EndpointUrl::parse(&other).unwrap();
    };
    world.update_endpoint(id, elsewhere).await;
    let used = world.engine.call_back(&second, Vec::new()).await;
    assert_eq!(used.unwrap(), None, "it was asked of another URL");
    let endpoint = world.stored_endpoint(id).await;
    assert_eq!(state(&world, &endpoint), State::Unverified);

    ask(&world, id, cloud_events(0)).await;
    let third = token(&hook);
    world.clock.advance(Duration::from_hours(24));
    let used = world.engine.call_back(&third, Vec::new()).await;
    assert_eq!(used.unwrap(), None, "its time is over");
    let endpoint = world.stored_endpoint(id).await;
    assert_eq!(state(&world, &endpoint), State::Failed);
    assert_eq!(reason(&world, &endpoint), "nobody answered in time");
}

// === challenges ===

#[tokio::test]
async fn a_challenge_is_signed_and_comes_back() {
    let world = World::with(asking).await;
    let hook = FakeEndpoint::plain([Reply::status(200).echo("challenge")])
        .await
        .unwrap();
    let id = world.endpoint(&hook.url()).await;
    let endpoint = ask(&world, id, CHALLENGE).await;
    assert_eq!(state(&world, &endpoint), State::Verified);
    assert_eq!(endpoint.verification.grant, None);
    ask(&world, id, CHALLENGE).await;

    let mut challenges = Vec::new();
    for asked in hook.received() {
        assert_eq!(asked.method, "POST");
        let key = SigningKey::from_bytes(KeyKind::HmacSha256, &SECRET).unwrap();
        let secs: i64 = asked.header("webhook-timestamp").parse().unwrap();
        let at = Timestamp::from_millis(secs * 1000);
        let signature = sign([&key], asked.webhook_id(), at, &asked.body);
        assert_eq!(asked.header("webhook-signature"), signature);
        assert!(asked.webhook_id().starts_with("verify_"));
        let body: Value = serde_json::from_slice(&asked.body).unwrap();
        assert_eq!(body["type"], "endpoint.verification");
        challenges.push(body["challenge"].as_str().unwrap().to_owned());
    }
    assert_eq!(challenges[0].len(), 43);
    assert_ne!(challenges[0], challenges[1]);
}

#[tokio::test]
async fn a_challenge_that_does_not_come_back_whole_and_in_time_fails() {
    let world = World::with(|config| config.attempt_timeout = Duration::from_millis(700)).await;
    let slow = Reply::status(200)
        .echo("challenge")
        .after(Duration::from_secs(5));
    let cases = [
        (Reply::status(200), "is not the challenge"),
        (Reply::status(200).body("challenge"), "is not the challenge"),
        (Reply::status(200).echo("type"), "is not the challenge"),
        (Reply::status(403).echo("challenge"), "answered 403"),
        (
            Reply::status(200).body(vec![b'x'; 2000]),
            "longer than 1024 bytes",
        ),
        (slow, "no answer within 700 ms"),
    ];
    for (reply, expect) in cases {
        let hook = FakeEndpoint::plain([reply]).await.unwrap();
        let id = world.endpoint(&hook.url()).await;
        let endpoint = ask(&world, id, CHALLENGE).await;
        assert_eq!(state(&world, &endpoint), State::Failed, "{expect}");
        let reason = reason(&world, &endpoint);
        assert!(reason.contains(expect), "{reason}: {expect}");
    }
}

// === the demand ===

#[tokio::test]
async fn who_is_not_verified_gets_nothing_and_then_everything() {
    let world = World::with(demanding).await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let id = world.endpoint(&hook.url()).await;
    let first = world.publish("{}").await;
    world.status_becomes(first, HELD).await;
    // Asked by hand it waits as well.
    let key = hookseal_domain::delivery::DeliveryKey {
        message: first,
        endpoint: id,
    };
    world.engine.resend(world.app, key, None).await.unwrap();
    world.status_becomes(first, HELD).await;
    let failed = ask(&world, id, CHALLENGE).await;
    assert_eq!(state(&world, &failed), State::Failed);
    assert_eq!(failed.verification.standing, Standing::Withheld);
    let second = world.publish("{}").await;
    world.status_becomes(second, HELD).await;
    assert_eq!((events(&hook), hook.received().len()), (0, 1));

    hook.reply_with([Reply::status(200).echo("challenge"), 200.into()]);
    let verified = ask(&world, id, CHALLENGE).await;
    assert_eq!(verified.verification.standing, Standing::Free);
    world.status_becomes(first, DELIVERED).await;
    world.status_becomes(second, DELIVERED).await;
    let third = world.publish("{}").await;
    world.status_becomes(third, DELIVERED).await;
    assert_eq!(events(&hook), 3);

    // Another URL is somebody else.
    let other = format!("{}?other", hook.url());
    let elsewhere = |spec: &mut hookseal_domain::endpoint::EndpointSpec| {
        spec.url = EndpointUrl::parse(&other).unwrap();
    };
    world.update_endpoint(id, elsewhere).await;
    let fourth = world.publish("{}").await;
    world.status_becomes(fourth, HELD).await;
    // Who fails to be verified anew gets nothing more.
    assert_eq!(events(&hook), 3);
}

#[tokio::test]
async fn a_test_attempt_is_no_way_round_it() {
    let world = World::with(demanding).await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let id = world.endpoint(&hook.url()).await;
    let publish = Publish {
        org: world.org,
        app: AppRef::Id(world.app),
        event_type: EventTypeName::parse("invoice.paid").unwrap(),
        event_id: None,
        channels: Vec::new(),
        tags: Vec::new(),
        payload: Bytes::from_static(b"{}"),
        payload_retention: Duration::from_hours(1),
        headers: PublishHeaders::default(),
        options: MessageOptions::default(),
        audience: Audience::Trial(id),
        idempotency: None,
        cloud_event: None,
        step_of: None,
    };
    let attempt = world.engine.trial(publish, id).await.unwrap();
    let reason = attempt.facts.reason.unwrap_or_default();
    assert!(reason.contains("not verified"), "{reason}");
    assert!(hook.received().is_empty());
}

#[tokio::test]
async fn enabling_does_not_make_up_for_a_verification() {
    let world = World::with(demanding).await;
    let hook = FakeEndpoint::plain([Reply::status(200).echo("challenge")])
        .await
        .unwrap();
    let disabled = |spec: &mut hookseal_domain::endpoint::EndpointSpec| spec.disabled = true;
    let id = world.endpoint_with(&hook.url(), disabled).await;
    let first = world.publish("{}").await;
    world
        .update_endpoint(id, |spec| spec.disabled = false)
        .await;
    world.engine.backlog_changed(world.app, id);
    let second = world.publish("{}").await;
    world.status_becomes(second, HELD).await;
    world.status_becomes(first, HELD).await;
    assert_eq!(events(&hook), 0);

    world.update_endpoint(id, disabled).await;
    let verified = ask(&world, id, CHALLENGE).await;
    assert_eq!(verified.verification.standing, Standing::Free);
    world.status_becomes(first, HELD).await;
    assert_eq!(events(&hook), 0, "it is still disabled");
    world
        .update_endpoint(id, |spec| spec.disabled = false)
        .await;
    world.engine.backlog_changed(world.app, id);
    world.status_becomes(first, DELIVERED).await;
    world.status_becomes(second, DELIVERED).await;
}

#[tokio::test]
async fn nor_does_bringing_it_back_with_what_failed() {
    let world = World::with(demanding).await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let disabled = |spec: &mut hookseal_domain::endpoint::EndpointSpec| spec.disabled = true;
    let id = world.endpoint_with(&hook.url(), disabled).await;
    let first = world.publish("{}").await;
    let span = hookseal_domain::task::Span {
        since: hookseal_domain::time::Timestamp::from_millis(0),
        until: world.engine.now(),
    };
    let of = (world.app, id);
    let enabled = world
        .engine
        .enable_endpoint(world.org, of, Some(span), None);
    assert!(enabled.await.unwrap().task.is_some());
    let second = world.publish("{}").await;
    world.status_becomes(second, HELD).await;
    world.status_becomes(first, HELD).await;
    assert!(hook.received().is_empty());
}

#[tokio::test]
async fn a_verification_outlives_the_process_and_so_does_what_waits_for_it() {
    let world = World::with(demanding).await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let id = world.endpoint(&hook.url()).await;
    let message = world.publish("{}").await;
    let pending = ask(&world, id, cloud_events(0)).await;
    assert_eq!(state(&world, &pending), State::Pending);
    let token = token(&hook);

    let world = world.restart_with(demanding).await;
    let endpoint = world.stored_endpoint(id).await;
    assert_eq!(state(&world, &endpoint), State::Pending);
    world.status_becomes(message, HELD).await;
    assert_eq!(events(&hook), 0);
    let granted = world.engine.call_back(&token, Vec::new()).await;
    assert_eq!(granted.unwrap(), Some(Ok(())));
    world.status_becomes(message, DELIVERED).await;

    let world = world.restart_with(demanding).await;
    let endpoint = world.stored_endpoint(id).await;
    assert_eq!(state(&world, &endpoint), State::Verified);
    let message = world.publish("{}").await;
    world.status_becomes(message, DELIVERED).await;
}

#[tokio::test]
async fn an_operator_who_changes_his_mind_is_followed_at_the_next_start() {
    let world = World::with(asking).await;
    let hook = FakeEndpoint::plain([200]).await.unwrap();
    let id = world.endpoint(&hook.url()).await;
    let message = world.publish("{}").await;
    world.status_becomes(message, DELIVERED).await;

    let world = world.restart_with(demanding).await;
    let endpoint = world.stored_endpoint(id).await;
    assert_eq!(endpoint.verification.standing, Standing::Withheld);
    let message = world.publish("{}").await;
    world.status_becomes(message, HELD).await;
    assert_eq!(events(&hook), 1);

    let world = world.restart_with(asking).await;
    world.status_becomes(message, DELIVERED).await;
    assert_eq!(events(&hook), 2);
}
