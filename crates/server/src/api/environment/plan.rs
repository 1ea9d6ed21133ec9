//! What an import is to change, held against what there is. Changes nothing.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::OrgId;
use hookseal_domain::violation::Violation;
use hookseal_store::catalogue::EnvironmentImport;

use crate::api::ApiContext;
use crate::api::environment::{EVENT_TYPES_MAX, EnvironmentIn};
use crate::api::error::ApiError;
use crate::api::error::violations::Violations;
use crate::api::event_type::{Delay, EventTypeIn, schedule, schema_faults};
use crate::api::input::read_part;

/// What an event type of a document has besides what everyone has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Extension {
    retry_schedule: Option<Vec<Delay>>,
}

/// Everything that is to be written, or everything that is wrong.
pub(super) async fn plan(
    api: &ApiContext,
    org: OrgId,
    given: EnvironmentIn<'_>,
) -> Result<EnvironmentImport, ApiError> {
    let mut violations = Violations::default();
    let event_types = given.event_types.unwrap_or_default();
    check_around(
        &mut violations,
        event_types.len(),
        given.settings,
        given.connectors,
    );
    let (mut import, mut names) = (EnvironmentImport::default(), HashSet::new());
    if !violations.is_empty() {
        return Err(violations.into());
    }
    for (at, given) in event_types.into_iter().enumerate() {
        let place = ["eventTypes", &at.to_string()];
        match plan_one(api, org, given, &mut import).await? {
            Ok(name) if names.insert(name.clone()) => {}
            Ok(_) => {
                let text = "must not be named twice";
                let violation = Violation::new("value_error.list.unique_items", text);
                violations.add(&["body", place[0], place[1], "name"], &violation);
            }
            Err(wrong) => violations.add_inside(&place, wrong),
        }
    }
    violations.finish(Some(import)).map_err(ApiError::from)
}

/// What is not a single event type.
fn check_around(
    violations: &mut Violations,
    count: usize,
    settings: Option<&RawValue>,
    connectors: Option<Vec<&RawValue>>,
) {
    if count > EVENT_TYPES_MAX {
        let text = format!("must have at most {EVENT_TYPES_MAX} items");
        let violation = Violation::new("value_error.list.max_items", text);
        violations.add(&["body", "eventTypes"], &violation);
    }
    let settings = settings.map(|given| serde_json::from_str(given.get()));
    let settings: Option<Result<serde_json::Map<_, _>, _>> = settings;
    match settings {
        None => {}
        Some(Ok(settings)) if settings.is_empty() => {}
        Some(Ok(_)) => violations.add(&["body", "settings"], &not_supported("settings")),
        Some(Err(_)) => {
            let violation = Violation::new("type_error", "must be a JSON object");
            violations.add(&["body", "settings"], &violation);
        }
    }
    if connectors.is_some_and(|connectors| !connectors.is_empty()) {
        violations.add(&["body", "connectors"], &not_supported("connectors"));
    }
}

/// What would be left undone unnoticed is refused.
fn not_supported(what: &str) -> Violation {
    let text = format!("this server has no {what}; leave them out");
    Violation::new("value_error.not_supported", text)
}

async fn plan_one(
    api: &ApiContext,
    org: OrgId,
    given: &RawValue,
    import: &mut EnvironmentImport,
) -> Result<Result<EventTypeName, Violations>, ApiError> {
    let read = || {
        let (name, update) = read_part::<EventTypeIn<'_>>(given.get())?.named()?;
        let extension: Extension = read_part(given.get())?;
        let schedule = schedule(extension.retry_schedule, api.engine.history())?;
        Ok::<_, Violations>((name, update, schedule))
    };
    let (name, update, schedule) = match read() {
        Ok(read) => read,
        Err(wrong) => return Ok(Err(wrong)),
    };
    let before = api.engine.store().event_type(org, &name).await?;
    let before = before.map(|before| before.spec);
    let validation = before.as_ref().map(|before| before.validation);
    let spec = match update.check(validation.unwrap_or_default()) {
        Ok(spec) => spec,
        Err(wrong) => return Ok(Err(wrong)),
    };
    // What is so already was looked at when it was saved.
    if before.as_ref() != Some(&spec)
        && let Some(wrong) = schema_faults(&spec).await?
    {
        return Ok(Err(wrong));
    }
    if let Some(schedule) = schedule {
        import.retry_schedules.push((name.clone(), schedule));
    }
    import.event_types.push((name.clone(), spec));
    Ok(Ok(name))
}
