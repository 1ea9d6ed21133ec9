//! How an endpoint wants its deliveries, besides their rate, as it comes in and goes out.

use std::borrow::Cow;
use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use hookseal_domain::delivery::batch::{
    BATCH_EVENTS_MAX, BATCH_EVENTS_MIN, BATCH_WAIT_MS_MAX, BatchRule,
};
use hookseal_domain::endpoint::discipline::Discipline;
use hookseal_domain::endpoint::format::Format;
use hookseal_domain::endpoint::order::{OnExhausted, Order, OrderKey};
use hookseal_domain::violation::Violation;

use crate::api::check::{Fields, number};
use crate::api::wire::Patch;

/// What has an order goes one by one.
const WITH_FIFO: Violation = Violation {
    rule: "value_error.batch.fifo",
    message: Cow::Borrowed("can not be given with fifo: true, which delivers one event at a time"),
};

/// A CloudEvent in either of these modes is a request of its own.
const WITH_BATCH: Violation = Violation {
    rule: "value_error.delivery_format.batch",
    message: Cow::Borrowed(
        "can not be given with batch: as a CloudEvent each event is a request of its own",
    ),
};

/// What is ordered among each other: messages with the same value of a header of the request that
/// published them, or with the same value at a place of their payloads. One of the two.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderingKey {
    /// A header's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    header: Option<String>,
    /// A JSON pointer (RFC 6901) into the payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pointer: Option<String>,
}

/// Several events in one request, as a JSON array: `[{"id": "msg_…", "type": "…", "timestamp": "…",
/// "data": …}, …]`, of 1 MiB at most.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EndpointBatch)]
pub(crate) struct Batch {
    /// Most events of one request.
    #[schema(value_type = i64, required, minimum = 2, maximum = 1000)]
    max_events: Option<i64>,
    /// Longest that an event waits for others, in milliseconds. With 0 those go together that wait
    /// anyway.
    #[schema(value_type = i64, required, minimum = 0, maximum = 60_000)]
    max_wait_ms: Option<i64>,
}

/// All that a body says of it.
pub(crate) struct DisciplineIn {
    pub(crate) max_in_flight: Option<i64>,
    pub(crate) fifo: bool,
    pub(crate) on_exhausted: Option<String>,
    pub(crate) ordering_key: Option<OrderingKey>,
    pub(crate) batch: Option<Batch>,
    pub(crate) delivery_format: Option<String>,
}

/// All that a PATCH says of it.
pub(crate) struct DisciplinePatch {
    pub(crate) max_in_flight: Patch<i64>,
    pub(crate) fifo: Option<bool>,
    pub(crate) on_exhausted: Patch<String>,
    pub(crate) ordering_key: Patch<OrderingKey>,
    pub(crate) batch: Patch<Batch>,
    pub(crate) delivery_format: Patch<String>,
}

/// As it goes out: only what was said.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DisciplineOut {
    /// Most attempts at the same time. An extension of Hookseal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u16>)]
    max_in_flight: Option<NonZeroU16>,
    /// Whether deliveries come one after the other, as they were accepted. An extension of
    /// Hookseal.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false, default = false)]
    fifo: bool,
    /// What happens to the others when one of them is exhausted: `block` or `moveOn`. An extension
    /// of Hookseal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    on_exhausted: Option<&'static str>,
    /// What is ordered among each other; everything if not given. An extension of Hookseal.
    #[serde(skip_serializing_if = "Option::is_none")]
    ordering_key: Option<OrderingKey>,
    /// Several events in one request. An extension of Hookseal.
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<Batch>,
    /// In which form it gets them, if not `standard`: `cloudevents-structured` or `cloudevents-binary`.
    /// An extension of Hookseal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    delivery_format: Option<&'static str>,
}

// === impl DisciplineIn ===

impl DisciplineIn {
    /// Checks it; broken rules are noted.
    pub(crate) fn check(self, fields: &mut Fields<'_>) -> Option<Discipline> {
        let max_in_flight = fields.optional("maxInFlight", self.max_in_flight, |most| {
            number(most, 0, u16::MAX)
        });
        let format = fields.optional("deliveryFormat", self.delivery_format, |name| {
            let rule = "must be standard, cloudevents-structured or cloudevents-binary";
            Format::parse(&name).ok_or_else(|| Violation::new("value_error.delivery_format", rule))
        });
        let order = check_order(fields, self.fifo, self.on_exhausted, self.ordering_key);
        let batch = match self.batch {
            None => Some(None),
            Some(_) if self.fifo => {
                fields.add("batch", &WITH_FIFO);
                None
            }
            Some(batch) => batch.check(fields).map(Some),
        };
        let (batch, format) = (batch?, format?.unwrap_or_default());
        if batch.is_some() && format != Format::Standard {
            fields.add("deliveryFormat", &WITH_BATCH);
            return None;
        }
        Some(Discipline {
            max_in_flight: max_in_flight?.and_then(NonZeroU16::new),
            order: order?,
            batch,
            format,
        })
    }
}

// === impl DisciplinePatch ===

impl DisciplinePatch {
    /// What becomes of it; broken rules are noted.
    pub(crate) fn apply(self, before: Discipline, fields: &mut Fields<'_>) -> Option<Discipline> {
        let was = DisciplineOut::of(&before);
        let fifo = self.fifo.unwrap_or(was.fifo);
        // What goes with an order goes with it.
        let kept = was.fifo && fifo;
        let was_exhausted = was.on_exhausted.filter(|_| kept).map(str::to_owned);
        let was_key = was.ordering_key.filter(|_| kept);
        let was_most = was.max_in_flight.map(|most| i64::from(most.get()));
        let was_format = was.delivery_format.map(str::to_owned);
        let whole = DisciplineIn {
            max_in_flight: self.max_in_flight.unwrap_or(was_most),
            fifo,
            on_exhausted: self.on_exhausted.unwrap_or(was_exhausted),
            ordering_key: self.ordering_key.unwrap_or(was_key),
            batch: self.batch.unwrap_or(was.batch),
            delivery_format: self.delivery_format.unwrap_or(was_format),
        };
        whole.check(fields)
    }
}

// === impl DisciplineOut ===

impl DisciplineOut {
    /// As it goes out.
    pub(crate) fn of(discipline: &Discipline) -> Self {
        let (fifo, on_exhausted, ordering_key) = match &discipline.order {
            Order::Any => (false, None, None),
            Order::Accepted { key, exhausted } => {
                (true, Some(exhausted.as_str()), OrderingKey::of(key))
            }
        };
        let said = discipline.format != Format::default();
        Self {
            max_in_flight: discipline.max_in_flight,
            fifo,
            on_exhausted,
            ordering_key,
            batch: discipline.batch.map(Batch::of),
            delivery_format: said.then(|| discipline.format.as_str()),
        }
    }
}

// === impl Batch ===

impl Batch {
    fn of(rule: BatchRule) -> Self {
        Self {
            max_events: Some(rule.events_max().into()),
            max_wait_ms: Some(rule.wait_ms().into()),
        }
    }

    fn check(self, fields: &mut Fields<'_>) -> Option<BatchRule> {
        let mut checked = |field, given: Option<i64>, min, max| {
            let missing = Violation::new("value_error.missing", "must be given");
            let number = given
                .ok_or(missing)
                .and_then(|given| number(given, min, max));
            number
                .inspect_err(|violation| fields.add_at(&["batch", field], violation))
                .ok()
        };
        let events = checked(
            "maxEvents",
            self.max_events,
            BATCH_EVENTS_MIN,
            BATCH_EVENTS_MAX,
        );
        let wait = checked("maxWaitMs", self.max_wait_ms, 0, BATCH_WAIT_MS_MAX);
        BatchRule::new(events?, wait?)
    }
}

impl OrderingKey {
    fn of(key: &OrderKey) -> Option<Self> {
        let (header, pointer) = match key {
            OrderKey::Endpoint => return None,
            OrderKey::Header(name) => (Some(name.clone()), None),
            OrderKey::Pointer(pointer) => (None, Some(pointer.clone())),
        };
        Some(Self { header, pointer })
    }
}

fn check_order(
    fields: &mut Fields<'_>,
    fifo: bool,
    on_exhausted: Option<String>,
    ordering_key: Option<OrderingKey>,
) -> Option<Order> {
    if !fifo {
        let violation = Violation::new("value_error.fifo", "can only be given with fifo: true");
        let mut order = Some(Order::Any);
        for (field, given) in [
            ("onExhausted", on_exhausted.is_some()),
            ("orderingKey", ordering_key.is_some()),
        ] {
            if given {
                fields.add(field, &violation);
                order = None;
            }
        }
        return order;
    }
    let exhausted = fields.optional("onExhausted", on_exhausted, |name| {
        OnExhausted::parse(&name)
            .ok_or_else(|| Violation::new("value_error.on_exhausted", "must be block or moveOn"))
    });
    let key = match ordering_key {
        None => Some(OrderKey::Endpoint),
        Some(given) => fields.take("orderingKey", check_key(given)),
    };
    Some(Order::Accepted {
        key: key?,
        exhausted: exhausted?.unwrap_or_default(),
    })
}

fn check_key(given: OrderingKey) -> Result<OrderKey, Violation> {
    match (given.header, given.pointer) {
        (Some(name), None) => OrderKey::header(&name),
        (None, Some(pointer)) => OrderKey::pointer(&pointer),
        _ => Err(Violation::new(
            "value_error.ordering_key",
            "must have either a header or a pointer",
        )),
    }
}
