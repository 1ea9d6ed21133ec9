//! Payload filters of endpoints: who gets what, and what is said of those that can't decide.

use hookseal_domain::filter::{Filter, FilterError};
use hookseal_domain::id::{EndpointId, MessageId};
use hookseal_store::page::{Order, PageRequest, PageStart};
use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::reply::Reply;

use crate::world::World;

async fn endpoint(world: &World, hook: &FakeEndpoint, filter: &str) -> EndpointId {
    let filter = Filter::parse(filter).unwrap();
    let filtered = |spec: &mut hookseal_domain::endpoint::EndpointSpec| {
        spec.subscription.filter = Some(filter);
    };
    world.endpoint_with(&hook.url(), filtered).await
}

/// The endpoints that a message has deliveries to.
async fn destinations(world: &World, message: MessageId) -> Vec<EndpointId> {
    let page = PageRequest {
        limit: 250,
        from: PageStart::Beginning,
        order: Order::Ascending,
    };
    let all = world.store.destinations(world.app, message, page).await;
    all.unwrap()
        .rows
        .iter()
        .map(|row| row.endpoint.id)
        .collect()
}

#[tokio::test]
async fn each_endpoint_gets_what_its_filter_lets_through_and_what_it_can_not_decide() {
    let world = World::new().await;
    let hook = FakeEndpoint::plain([Reply::status(200)]).await.unwrap();
    let all = world.endpoint(&hook.url()).await;
    let filter = "payload.amount > 100 && payload.currency in ['EUR', 'USD']";
    let large = endpoint(&world, &hook, filter).await;
    let typed = endpoint(&world, &hook, "eventType == 'invoice.sent'").await;

    let message = world.publish(r#"{"amount": 250, "currency": "EUR"}"#).await;
    assert_eq!(destinations(&world, message).await, [all, large]);
    let message = world.publish(r#"{"amount": 5, "currency": "EUR"}"#).await;
    assert_eq!(destinations(&world, message).await, [all]);
    let parsed = Filter::parse(filter).unwrap();
    assert_eq!(world.engine.filter_trouble(large, &parsed), None);

    // It can't be told whether it is wanted: nothing is lost.
    for count in 1..=2 {
        let message = world.publish(r#"{"currency": "EUR"}"#).await;
        assert_eq!(destinations(&world, message).await, [all, large]);
        let trouble = world.engine.filter_trouble(large, &parsed).unwrap();
        assert_eq!(
            (trouble.count, trouble.last),
            (count, FilterError::NoSuchField)
        );
    }
    let counted = |result| {
        let name = format!("hookseal_filter_decisions_total{{result=\"{result}\"}}");
        world.metric(&name)
    };
    assert_eq!(counted("passed"), Some(1.0));
    assert_eq!(counted("no_such_field"), Some(2.0));
    assert_eq!(counted("filtered_out"), Some(5.0));

    // Of another filter nothing is known; one that is taken away lets everything through.
    let other = Filter::parse("payload.amount == 1").unwrap();
    assert_eq!(world.engine.filter_trouble(large, &other), None);
    let none = |spec: &mut hookseal_domain::endpoint::EndpointSpec| spec.subscription.filter = None;
    world.update_endpoint(typed, none).await;
    let message = world.publish(r#"{"amount": 5, "currency": "EUR"}"#).await;
    assert_eq!(destinations(&world, message).await, [all, typed]);
}
