//! What a task was asked besides whom and when it is about, as it lies in its row.

use serde::{Deserialize, Serialize};

use hookseal_domain::channel::Channel;
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::{AppId, TaskId};
use hookseal_domain::task::replay::{ReplayFilter, Wanted};
use hookseal_domain::task::{Broadcast, Replayed, TaskKind, TaskWork};
use hookseal_domain::uid::Uid;

use crate::codes::Code;
use crate::sqlite::failure::Failure;
use crate::sqlite::rows::{Typed, json};

#[derive(Deserialize, Serialize)]
struct ReplayParams {
    wanted: i64,
    channel: Option<String>,
    tag: Option<String>,
    event_types: Option<Vec<String>>,
    status_code_class: Option<u16>,
}

#[derive(Deserialize, Serialize)]
struct BroadcastParams {
    event_type: String,
    event_id: Option<String>,
    channels: Vec<String>,
    retention_hours: u32,
}

#[derive(Deserialize, Serialize)]
struct UsageParams {
    apps: Vec<i64>,
}

/// As it is stored; `None` where there is nothing.
pub(super) fn encode(work: &TaskWork) -> Option<String> {
    match work {
        TaskWork::Replay {
            which: Replayed::Chosen(filter),
            ..
        } => Some(json(&ReplayParams {
            wanted: filter.wanted.code(),
            channel: filter.channel.as_ref().map(ToString::to_string),
            tag: filter.tag.clone(),
            event_types: filter
                .event_types
                .as_ref()
                .map(|names| names.iter().map(ToString::to_string).collect()),
            status_code_class: filter.status_code_class,
        })),
        TaskWork::Broadcast { message, .. } => Some(json(&BroadcastParams {
            event_type: message.event_type.to_string(),
            event_id: message.event_id.as_ref().map(ToString::to_string),
            channels: message.channels.iter().map(ToString::to_string).collect(),
            retention_hours: message.retention_hours,
        })),
        TaskWork::Usage { apps, .. } => apps.as_ref().map(|apps| {
            json(&UsageParams {
                apps: apps.iter().map(|app| app.raw()).collect(),
            })
        }),
        TaskWork::Replay { .. }
        | TaskWork::Cancel { .. }
        | TaskWork::Expunge { .. }
        | TaskWork::Subscriptions { .. }
        | TaskWork::Export { .. } => None,
    }
}

/// Which messages a replay is about.
pub(super) fn replayed(row: &Typed<'_, TaskId>, kind: TaskKind) -> Result<Replayed, Failure> {
    match kind {
        TaskKind::Recover => return Ok(Replayed::Failed),
        TaskKind::ReplayMissing => return Ok(Replayed::Missing),
        TaskKind::BulkReplay
        | TaskKind::Cancel
        | TaskKind::Expunge
        | TaskKind::Broadcast
        | TaskKind::Usage
        | TaskKind::Subscriptions
        | TaskKind::Export => {}
    }
    let params: Option<ReplayParams> = row.json("params")?;
    let params = params.ok_or_else(|| row.corrupt("params"))?;
    let names = params.event_types;
    Ok(Replayed::Chosen(ReplayFilter {
        wanted: Wanted::from_code(params.wanted).ok_or_else(|| row.corrupt("params"))?,
        channel: params.channel.map(Channel::from_stored),
        tag: params.tag,
        event_types: names.map(|names| names.into_iter().map(EventTypeName::from_stored).collect()),
        status_code_class: params.status_code_class,
    }))
}

/// Which applications usage is counted of; `None` for all.
pub(super) fn applications(row: &Typed<'_, TaskId>) -> Result<Option<Vec<AppId>>, Failure> {
    let params: Option<UsageParams> = row.json("params")?;
    Ok(params.map(|params| params.apps.into_iter().map(AppId::from_raw).collect()))
}

/// What a broadcast publishes, without its payload.
pub(super) fn broadcast(row: &Typed<'_, TaskId>) -> Result<Broadcast, Failure> {
    let params: Option<BroadcastParams> = row.json("params")?;
    let params = params.ok_or_else(|| row.corrupt("params"))?;
    let channels = params.channels.into_iter();
    Ok(Broadcast {
        event_type: EventTypeName::from_stored(params.event_type),
        event_id: params.event_id.map(Uid::from_stored),
        channels: channels.map(Channel::from_stored).collect(),
        retention_hours: params.retention_hours,
        payload: None,
    })
}
