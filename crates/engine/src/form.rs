//! The form that an endpoint gets a message in: what stands in body and headers, ready to be signed.
//!
//! **Invariant:** a payload's bytes are sent as they were published, alone or within an event.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use hookseal_domain::cloud_event::CloudEvent;
use hookseal_domain::endpoint::format::Format;
use hookseal_domain::id::{AppId, MessageId};

use crate::prepared::Prepared;
use crate::shared::Shared;

/// Why nothing is sent where the store can't tell what the event was.
const UNREADABLE: &str = "Hookseal can't read what the event was; see its log";
/// The content type of an event in structured mode.
const STRUCTURED: HeaderValue = HeaderValue::from_static("application/cloudevents+json");

/// What is sent besides the signature.
pub(crate) struct Form {
    /// To be signed as it is.
    pub(crate) body: Bytes,
    /// In place of those that are the same every time.
    pub(crate) headers: HeaderMap,
}

/// Brings a payload into the form that the endpoint gets.
pub(crate) async fn formed(
    shared: &Shared,
    app: AppId,
    to: &Prepared,
    message: MessageId,
    payload: Bytes,
) -> Result<Form, &'static str> {
    let mut headers = HeaderMap::new();
    let format = to.destination.discipline.format;
    if format == Format::Standard {
        let body = payload;
        return Ok(Form { body, headers });
    }
    // Only these endpoints need it: what the others get waits in memory.
    let published = match shared.store.published_event(app, message).await {
        Ok(Some(published)) => published,
        Ok(None) => return Err("The message is not kept any more"),
        Err(error) => {
            tracing::error!(
                message.id = %message,
                error = %error,
                "Could not read what the event of message {message} was"
            );
            return Err(UNREADABLE);
        }
    };
    let event = published.cloud_event;
    let event = event.unwrap_or_else(|| CloudEvent::of_message(app, message));
    if format == Format::Structured {
        headers.insert(http::header::CONTENT_TYPE, STRUCTURED);
        let body = event.structured(&published.event_type, &payload).into();
        return Ok(Form { body, headers });
    }
    for (name, value) in event.binary(&published.event_type) {
        // Both are made of characters that headers have.
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    let body = payload;
    Ok(Form { body, headers })
}
