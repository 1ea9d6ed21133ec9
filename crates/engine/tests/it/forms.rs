//! The form of a delivery: as it is, or as a CloudEvent in either mode; signed as it is sent.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use hookseal_domain::cloud_event::{Attribute, CloudEvent};
use hookseal_domain::endpoint::format::Format;
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::message::options::MessageOptions;
use hookseal_domain::signature::key::{KeyKind, SigningKey};
use hookseal_domain::signature::standard::sign;
use hookseal_domain::time::Timestamp;
use hookseal_engine::publish::{Audience, Publish, PublishHeaders};
use hookseal_store::reference::AppRef;
use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::received::Received;
use hookseal_testkit::reply::Reply;

use crate::world::{SECRET, World};

const PAYLOAD: &str = r#"{ "exact": 0.1000 }"#;

async fn receives(world: &World, format: Format) -> FakeEndpoint {
    let hook = FakeEndpoint::plain([Reply::status(200)]).await.unwrap();
    let in_form = |spec: &mut hookseal_domain::endpoint::EndpointSpec| {
        spec.discipline.format = format;
    };
    world.endpoint_with(&hook.url(), in_form).await;
    hook
}

fn assert_signed(received: &Received) {
    let key = SigningKey::from_bytes(KeyKind::HmacSha256, &SECRET).unwrap();
    let secs: i64 = received.header("webhook-timestamp").parse().unwrap();
    let at = Timestamp::from_millis(secs * 1000);
    let expect = sign([&key], received.webhook_id(), at, &received.body);
    assert_eq!(received.header("webhook-signature"), expect);
}

#[tokio::test]
async fn an_event_arrives_as_it_was_published_in_the_form_that_is_wanted() {
    let world = World::new().await;
    let structured = receives(&world, Format::Structured).await;
    let binary = receives(&world, Format::Binary).await;
    let standard = receives(&world, Format::Standard).await;
    let subject = Attribute::Text("größe".to_owned());
    let attributes = BTreeMap::from([
        ("subject".to_owned(), subject),
        ("retries".to_owned(), Attribute::Integer(7)),
    ]);
    let context = CloudEvent::checked(Some("a 1".to_owned()), Some("/s".to_owned()), attributes);
    let publish = Publish {
        org: world.org,
        app: AppRef::Id(world.app),
        event_type: EventTypeName::parse("invoice.paid").unwrap(),
        event_id: None,
        channels: Vec::new(),
        tags: Vec::new(),
        payload: Bytes::from_static(PAYLOAD.as_bytes()),
        payload_retention: Duration::from_hours(1),
        headers: PublishHeaders::default(),
        options: MessageOptions::default(),
        audience: Audience::Subscribers,
        idempotency: None,
        cloud_event: Some(context.unwrap()),
        step_of: None,
    };
    let message = world.engine.publish(publish).await.unwrap().id.to_string();

    let received = structured.receives_one().await.unwrap();
    assert_signed(&received);
    assert_eq!(received.webhook_id(), message);
    let content_type = received.header("content-type");
    assert_eq!(content_type, "application/cloudevents+json");
    let expect = format!(
        "{{\"id\":\"a 1\",\"retries\":7,\"source\":\"/s\",\"specversion\":\"1.0\",\
         \"subject\":\"größe\",\"type\":\"invoice.paid\",\"data\":{PAYLOAD}}}"
    );
    assert_eq!(received.body, expect);

    let received = binary.receives_one().await.unwrap();
    assert_signed(&received);
    assert_eq!(received.body, PAYLOAD);
    assert_eq!(received.header("content-type"), "application/json");
    assert_eq!(received.header("ce-specversion"), "1.0");
    assert_eq!(received.header("ce-id"), "a%201");
    assert_eq!(received.header("ce-type"), "invoice.paid");
    assert_eq!(received.header("ce-subject"), "gr%C3%B6%C3%9Fe");
    assert_eq!(received.header("ce-retries"), "7");

    let received = standard.receives_one().await.unwrap();
    assert_signed(&received);
    assert_eq!(received.body, PAYLOAD);
    assert!(!received.headers.contains_key("ce-id"));
}

#[tokio::test]
async fn what_was_no_event_becomes_one_by_its_id_application_and_time() {
    let world = World::new().await;
    let binary = receives(&world, Format::Binary).await;
    let message = world.publish(PAYLOAD).await;
    let received = binary.receives_one().await.unwrap();
    assert_signed(&received);
    assert_eq!(received.header("ce-id"), message.to_string());
    assert_eq!(received.header("ce-source"), format!("/app/{}", world.app));
    let time = message.created_at().to_string();
    assert_eq!(received.header("ce-time"), time);
}

#[tokio::test]
async fn a_form_is_changed_with_the_endpoint() {
    let world = World::new().await;
    let hook = FakeEndpoint::plain([Reply::status(200)]).await.unwrap();
    let endpoint = world.endpoint(&hook.url()).await;
    world.publish(PAYLOAD).await;
    hook.receives_one().await.unwrap();
    let structured = |spec: &mut hookseal_domain::endpoint::EndpointSpec| {
        spec.discipline.format = Format::Structured;
    };
    world.update_endpoint(endpoint, structured).await;
    world.publish(PAYLOAD).await;
    let received = hook.receives(2).await.unwrap();
    let content_type = received[1].header("content-type");
    assert_eq!(content_type, "application/cloudevents+json");
}
