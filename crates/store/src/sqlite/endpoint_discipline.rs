//! How an endpoint wants its deliveries, as it stands in its row.

use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use hookseal_domain::delivery::batch::BatchRule;
use hookseal_domain::endpoint::discipline::Discipline;
use hookseal_domain::endpoint::format::Format;
use hookseal_domain::endpoint::order::{OnExhausted, Order, OrderKey};
use hookseal_domain::id::EndpointId;

use crate::sqlite::failure::Failure;
use crate::sqlite::rows::{Typed, json};

/// What the column holds. Absent is what nobody said.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_in_flight: Option<NonZeroU16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    order: Option<StoredOrder>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    batch: Option<StoredBatch>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    format: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StoredBatch {
    events_max: u16,
    wait_ms: u16,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StoredOrder {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    exhausted: String,
}

/// The column's value; `None` where nothing was said.
pub(super) fn written(discipline: &Discipline) -> Option<String> {
    if *discipline == Discipline::default() {
        return None;
    }
    let order = match &discipline.order {
        Order::Any => None,
        Order::Accepted { key, exhausted } => {
            let (header, pointer) = match key {
                OrderKey::Endpoint => (None, None),
                OrderKey::Header(name) => (Some(name.clone()), None),
                OrderKey::Pointer(pointer) => (None, Some(pointer.clone())),
            };
            Some(StoredOrder {
                header,
                pointer,
                exhausted: exhausted.as_str().to_owned(),
            })
        }
    };
    let said = discipline.format != Format::default();
    Some(json(&Stored {
        max_in_flight: discipline.max_in_flight,
        order,
        batch: discipline.batch.map(|rule| StoredBatch {
            events_max: rule.events_max(),
            wait_ms: rule.wait_ms(),
        }),
        format: said.then(|| discipline.format.as_str().to_owned()),
    }))
}

/// Reads the column.
pub(super) fn read(row: &Typed<'_, EndpointId>) -> Result<Discipline, Failure> {
    let corrupt = || row.corrupt("discipline");
    let Stored {
        max_in_flight,
        order,
        batch,
        format,
    } = row.json("discipline")?.unwrap_or_default();
    let order = order.map(|stored| order_of(&stored).ok_or_else(corrupt));
    let batch_of =
        |stored: StoredBatch| BatchRule::new(stored.events_max, stored.wait_ms).ok_or_else(corrupt);
    let batch = batch.map(batch_of).transpose()?;
    let format = format.map(|name| Format::parse(&name).ok_or_else(corrupt));
    Ok(Discipline {
        max_in_flight,
        order: order.transpose()?.unwrap_or_default(),
        batch,
        format: format.transpose()?.unwrap_or_default(),
    })
}

fn order_of(stored: &StoredOrder) -> Option<Order> {
    let key = match (&stored.header, &stored.pointer) {
        (None, None) => OrderKey::Endpoint,
        (Some(name), None) => OrderKey::header(name).ok()?,
        (None, Some(pointer)) => OrderKey::pointer(pointer).ok()?,
        (Some(_), Some(_)) => return None,
    };
    let exhausted = OnExhausted::parse(&stored.exhausted)?;
    Some(Order::Accepted { key, exhausted })
}
