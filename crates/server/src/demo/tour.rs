//! What the demo does as a client of the API: makes an application with endpoints, publishes, and
//! reads what became of every delivery.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use hookseal_domain::secret::Secret;
use hookseal_domain::time::Timestamp;

use crate::api_client::{Client, ClientError};
use crate::demo::events::Event;
use crate::demo::receivers::Role;
use crate::demo::table::EndpointView;
use crate::demo::wire::{
    Anything, ApplicationIn, AttemptOut, AttemptsByMessage, DeliveryOut, EndpointIn, EndpointOut,
    EventTypeIn, Made, MessageIn, Page, SecretOut, TaskOut,
};

/// The uid of the application.
pub const APP: &str = "demo";

/// How many things a page of a list has: what the API gives at most.
const PAGE_SIZE: usize = 250;

/// Most pages of one list: 1000 events with every attempt of the schedule, and room.
const PAGES_MAX: usize = 100;

/// The published messages.
#[derive(Debug)]
pub struct Published {
    /// Their ids, in the order of the events.
    pub ids: Vec<String>,
}

/// Makes the application and the event types.
pub async fn make_application(client: &Client, events: &[Event]) -> Result<(), ClientError> {
    let application = ApplicationIn {
        name: "Demo shop",
        uid: APP,
    };
    create::<_, Anything>(client, "/api/v1/app", &application).await?;
    let names: BTreeSet<&str> = events
        .iter()
        .map(|event| event.event_type.as_str())
        .collect();
    for name in names {
        let event_type = EventTypeIn {
            name,
            description: "An event of the demo",
        };
        create::<_, Anything>(client, "/api/v1/event-type", &event_type).await?;
    }
    Ok(())
}

/// Makes the endpoint of a receiver, with the given signing key or one that the server makes, and
/// answers what the receiver verifies with.
pub async fn make_endpoint(
    client: &Client,
    role: Role,
    url: &str,
    signing_key: Option<&Secret<String>>,
) -> Result<Secret<String>, ClientError> {
    let endpoint = EndpointIn {
        url,
        uid: role.as_str(),
        description: role.description(),
        secret: signing_key.map(|key| key.expose().as_str()),
    };
    create::<_, Anything>(client, &format!("/api/v1/app/{APP}/endpoint"), &endpoint).await?;
    let path = format!("{}/secret", endpoint_path(role));
    let secret: SecretOut = client.read(&path).await?;
    Ok(Secret::new(secret.key))
}

/// Publishes every event.
pub async fn publish(client: &Client, events: &[Event]) -> Result<Published, ClientError> {
    let mut ids = Vec::with_capacity(events.len());
    for event in events {
        let message = MessageIn {
            event_type: event.event_type.as_str(),
            payload: &event.payload,
        };
        let made: Made = create(client, &format!("/api/v1/app/{APP}/msg"), &message).await?;
        ids.push(made.id);
    }
    Ok(Published { ids })
}

/// Reads how every delivery of an endpoint stands, with its attempts.
pub async fn look(
    client: &Client,
    role: Role,
    published: &Published,
) -> Result<EndpointView, ClientError> {
    let endpoint: EndpointOut = client.read(&endpoint_path(role)).await?;
    let path = format!("{}/msg", endpoint_path(role));
    let mut deliveries: Vec<DeliveryOut> = pages(client, &path).await?;
    let order: HashMap<&String, usize> = published.ids.iter().zip(0..).collect();
    deliveries.sort_by_key(|delivery| order.get(&delivery.id).copied());
    Ok(EndpointView {
        name: role.as_str(),
        disabled: endpoint.disabled,
        deliveries,
        attempts: attempts(client, role).await?,
    })
}

/// Enables the endpoint of a receiver, so that its held deliveries flow.
pub async fn enable(client: &Client, role: Role) -> Result<(), ClientError> {
    let enabled = json!({ "disabled": false });
    let path = endpoint_path(role);
    client.change(Method::PATCH, &path, &enabled).await
}

/// Begins to send again what failed since then.
pub async fn recover(
    client: &Client,
    role: Role,
    since: Timestamp,
) -> Result<TaskOut, ClientError> {
    let path = format!("{}/recover", endpoint_path(role));
    let span = json!({ "since": since.to_string() });
    create(client, &path, &span).await
}

/// How far a task has come.
pub async fn task(client: &Client, id: &str) -> Result<TaskOut, ClientError> {
    client.read(&format!("/api/v1/background-task/{id}")).await
}

async fn attempts(client: &Client, role: Role) -> Result<AttemptsByMessage, ClientError> {
    let path = format!("/api/v1/app/{APP}/attempt/endpoint/{}", role.as_str());
    let mut attempts: Vec<AttemptOut> = pages(client, &path).await?;
    // RFC 3339 in UTC, all of one length: the texts sort as the times do.
    attempts.sort_by(|a, b| a.timestamp.cmp(&b.timestamp));
    let mut by_message = AttemptsByMessage::new();
    for attempt in attempts {
        by_message
            .entry(attempt.msg_id.clone())
            .or_default()
            .push(attempt);
    }
    Ok(by_message)
}

fn endpoint_path(role: Role) -> String {
    format!("/api/v1/app/{APP}/endpoint/{}", role.as_str())
}

async fn create<In: Serialize, Out: DeserializeOwned>(
    client: &Client,
    path: &str,
    body: &In,
) -> Result<Out, ClientError> {
    let body = serde_json::to_vec(body).map_err(|source| ClientError::Shape {
        call: format!("POST {path}"),
        source,
    })?;
    client.create(path, Bytes::from(body)).await
}

async fn pages<T: DeserializeOwned>(client: &Client, path: &str) -> Result<Vec<T>, ClientError> {
    let mut all = Vec::new();
    let mut iterator = String::new();
    for _ in 0..PAGES_MAX {
        let query = format!("{path}?limit={PAGE_SIZE}&with_content=false{iterator}");
        let page: Page<T> = client.read(&query).await?;
        all.extend(page.data);
        match page.iterator {
            Some(next) if !page.done => iterator = format!("&iterator={next}"),
            _ => break,
        }
    }
    Ok(all)
}
