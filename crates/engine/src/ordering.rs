//! What endpoints that have an order ask of the engine: which key a message has, and who goes on
//! when a delivery is out of the way.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;

use hookseal_domain::delivery::{DeliveryKey, Next};
use hookseal_domain::endpoint::Destination;
use hookseal_domain::endpoint::order::{CREDENTIAL_HEADERS, KeyHash, OnExhausted, Order, OrderKey};
use hookseal_domain::id::AppId;
use hookseal_store::error::StoreError;
use hookseal_store::reference::MessageRef;
use hookseal_store::work::{FinishedAttempt, Recorded};

use crate::backlog;
use crate::job::Job;
use crate::lane::Lane;
use crate::persist::until_stored;
use crate::prepared::Prepared;
use crate::queue::After;
use crate::shared::Shared;

/// The headers of the request that published a message, without its credentials.
#[derive(Clone, Default)]
pub struct PublishHeaders(HeaderMap);

// === impl PublishHeaders ===

impl PublishHeaders {
    /// Those of this request.
    pub fn new(mut headers: HeaderMap) -> Self {
        for credential in CREDENTIAL_HEADERS {
            headers.remove(credential);
        }
        Self(headers)
    }

    /// The first value of a header.
    fn value(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(http::HeaderValue::as_bytes)
    }
}

/// Others' values are not for logs.
impl fmt::Debug for PublishHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublishHeaders(…)")
    }
}

/// In which order a message is for a destination; `None` if in none.
pub(crate) fn key_of(
    to: &Destination,
    payload: &[u8],
    headers: &PublishHeaders,
) -> Option<KeyHash> {
    match &to.discipline.order {
        Order::Any => None,
        Order::Accepted { key, .. } => key.hash(to.id, payload, |name| headers.value(name)),
    }
}

/// Whether the order of a destination is by what is in the payload.
pub(crate) fn needs_payload(to: &Destination) -> bool {
    let by_payload = |key: &OrderKey| matches!(key, OrderKey::Pointer(_));
    matches!(&to.discipline.order, Order::Accepted { key, .. } if by_payload(key))
}

/// The same for a message that is sent again: its headers are not known any more, so that by them
/// it has no order.
pub(crate) async fn key_of_resend(
    shared: &Shared,
    app: AppId,
    delivery: DeliveryKey,
) -> Result<Option<KeyHash>, StoreError> {
    let routes = shared.routes.get(&*shared.store, app).await?;
    let to = routes.as_ref().and_then(|r| r.endpoint(delivery.endpoint));
    let Some(to) = to.map(|to| &*to.destination) else {
        return Ok(None);
    };
    let message = if needs_payload(to) {
        let message = MessageRef::Id(delivery.message);
        shared.store.message(app, &message).await?
    } else {
        None
    };
    let payload = message.and_then(|message| message.payload);
    let payload = payload.unwrap_or_default();
    Ok(key_of(to, &payload, &PublishHeaders::default()))
}

/// Whether those behind this delivery wait when it is exhausted, as its endpoint is configured now.
pub(crate) fn blocks(job: &Job, to: Option<&Prepared>) -> bool {
    let blocking = |to: &Prepared| {
        let order = &to.destination.discipline.order;
        matches!(
            order,
            Order::Accepted {
                exhausted: OnExhausted::Block,
                ..
            }
        )
    };
    job.rank.is_some() && to.is_some_and(blocking)
}

/// Takes an attempt down: what others wait for before they go on, the others when there is
/// company. Tells what becomes of those that wait.
pub(crate) async fn record(shared: &Shared, job: &Job, finished: &FinishedAttempt) -> After {
    const WHAT: &str = "record an attempt";
    if job.rank.is_none() {
        let record = || shared.store.record(finished);
        until_stored(shared, WHAT, record).await;
        return After::GoOn;
    }
    let record = || shared.store.record_in_order(finished);
    match (until_stored(shared, WHAT, record).await, finished.next) {
        (Some(Recorded::Followed), Next::End(_)) => After::GoOn,
        (Some(Recorded::Overtaken) | None, _) | (_, Next::Retry { .. } | Next::Block) => {
            After::GoBack
        }
    }
}

/// Lets those behind a delivery go on, or hands them back, that is under way no more.
pub(crate) async fn go_on(shared: &Arc<Shared>, lane: &Lane, order: Option<KeyHash>, after: After) {
    let Some(order) = order else { return };
    let back = shared.lanes.ended(lane, order, after);
    hand_back(shared, lane.app, back).await;
}

/// Takes a delivery out of memory that was resent or skipped, with those behind it: they come again
/// in their order. An attempt under way goes on, but decides nothing any more.
pub(crate) async fn withdraw(shared: &Arc<Shared>, app: AppId, delivery: DeliveryKey) {
    let lanes = &shared.lanes;
    let back = lanes.withdraw_all(delivery.endpoint, |of| of == delivery);
    hand_back(shared, app, back).await;
}

async fn hand_back(shared: &Arc<Shared>, app: AppId, back: Vec<DeliveryKey>) {
    let Some(first) = back.first() else { return };
    let endpoint = first.endpoint;
    let back = back.into_iter().map(|key| (app, key)).collect();
    backlog::give_back(shared, back).await;
    // What was looked for before found them under way.
    shared.lanes.note_backlog(shared, app, endpoint);
}
