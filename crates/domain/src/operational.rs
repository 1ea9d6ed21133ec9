//! What an organisation is told of its own endpoints and deliveries, as messages of ours to it.
//!
//! **Invariant:** pure. What is told and in which words depends on the arguments only.

use serde::Serialize;

use crate::delivery::outcome::Outcome;
use crate::delivery::{Ended, Next};
use crate::endpoint::health::Notice;
use crate::event_type::EventTypeName;
use crate::id::{AppId, AttemptId, EndpointId, MessageId};
use crate::task::{Task, TaskState};
use crate::time::Timestamp;

/// The failed attempt of a delivery that is told: the same as elsewhere, since people set alarms by
/// it.
pub const FAILING_AT_ATTEMPT: u32 = 4;

/// The types of all events there are.
pub const EVENT_TYPES: [&str; 10] = [
    "endpoint.created",
    "endpoint.updated",
    "endpoint.deleted",
    "endpoint.disabled",
    "endpoint.enabled",
    "endpoint.failing",
    "message.attempt.failing",
    "message.attempt.exhausted",
    "message.attempt.recovered",
    "background_task.finished",
];

/// Something that the organisation may want to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Happened {
    /// Something with an endpoint.
    Endpoint {
        /// What.
        change: EndpointChange,
        /// Whose it is.
        app: AppId,
        /// Which one.
        endpoint: EndpointId,
        /// The client's own name of it.
        uid: Option<String>,
    },
    /// Something with a delivery.
    Delivery {
        /// What.
        change: DeliveryChange,
        /// Whose it is.
        app: AppId,
        /// Whom it is to.
        endpoint: EndpointId,
        /// What is delivered.
        message: MessageId,
        /// The client's own name of that.
        event_id: Option<String>,
        /// The attempt that it came to.
        attempt: AttemptId,
        /// The response's status code, where there was one.
        status_code: Option<u16>,
    },
    /// A background task came to its end.
    TaskFinished(Box<Task>),
}

/// What happened to an endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EndpointChange {
    /// It was made.
    Created,
    /// It was changed.
    Updated,
    /// It was deleted.
    Deleted,
    /// It was switched on again.
    Enabled,
    /// It was switched off.
    Disabled(DisabledBy),
    /// It does nothing but fail, and will be switched off for that.
    Failing {
        /// Since when.
        since: Timestamp,
        /// Which notice of it this is.
        notice: Notice,
        /// When it is switched off at the earliest, if it goes on like that.
        disable_at: Timestamp,
    },
}

/// Who or what switched an endpoint off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DisabledBy {
    /// A client.
    Client,
    /// It said that it is gone.
    Gone,
    /// It did nothing but fail.
    Failing {
        /// Since when.
        since: Timestamp,
    },
}

/// Whether deliveries are made to an endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Enabled {
    /// They are.
    Yes,
    /// They are held.
    No,
}

/// What happened to a delivery.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeliveryChange {
    /// It failed for the fourth time, and goes on.
    Failing,
    /// Its schedule ran out.
    Exhausted,
    /// It arrived after it had been failing.
    Recovered,
}

#[derive(Serialize)]
struct Payload<'h, Data> {
    #[serde(rename = "type")]
    event_type: &'h str,
    data: Data,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EndpointData<'h> {
    app_id: String,
    app_uid: Option<&'h str>,
    endpoint_id: String,
    endpoint_uid: Option<&'h str>,
    #[serde(flatten)]
    disabled: Option<DisabledData>,
    #[serde(flatten)]
    failing: Option<FailingData>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DisabledData {
    fail_since: Option<String>,
    trigger: &'static str,
    reason: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FailingData {
    fail_since: String,
    percent: u32,
    disable_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryData<'h> {
    app_id: String,
    app_uid: Option<&'h str>,
    endpoint_id: String,
    msg_id: String,
    msg_event_id: Option<&'h str>,
    last_attempt: AttemptData,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttemptData {
    id: String,
    response_status_code: u16,
    timestamp: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TaskData {
    task_id: String,
    task: &'static str,
    status: &'static str,
    data: TaskReport,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TaskReport {
    app_id: Option<String>,
    endpoint_id: Option<String>,
    looked_at: u64,
    done: u64,
    left_out: u64,
    reason: Option<&'static str>,
}

/// Whether a subscription to this type, or group of types, can ever get anything.
pub fn is_told(event_type: &EventTypeName) -> bool {
    let mut names = EVENT_TYPES
        .iter()
        .filter_map(|name| EventTypeName::parse(name).ok());
    names.any(|told| event_type.covers(&told))
}

// === impl Happened ===

impl Happened {
    /// The type of the event.
    pub const fn event_type(&self) -> &'static str {
        match self {
            Self::Endpoint { change, .. } => match change {
                EndpointChange::Created => "endpoint.created",
                EndpointChange::Updated => "endpoint.updated",
                EndpointChange::Deleted => "endpoint.deleted",
                EndpointChange::Enabled => "endpoint.enabled",
                EndpointChange::Disabled(_) => "endpoint.disabled",
                EndpointChange::Failing { .. } => "endpoint.failing",
            },
            Self::Delivery { change, .. } => match change {
                DeliveryChange::Failing => "message.attempt.failing",
                DeliveryChange::Exhausted => "message.attempt.exhausted",
                DeliveryChange::Recovered => "message.attempt.recovered",
            },
            Self::TaskFinished(_) => "background_task.finished",
        }
    }

    /// What is delivered, as JSON, with the client's own name of the application.
    pub fn payload(&self, app_uid: Option<&str>) -> String {
        let event_type = self.event_type();
        match self {
            Self::Endpoint {
                change,
                app,
                endpoint,
                uid,
            } => written(
                event_type,
                &EndpointData {
                    app_id: app.to_string(),
                    app_uid,
                    endpoint_id: endpoint.to_string(),
                    endpoint_uid: uid.as_deref(),
                    disabled: change.disabled_data(),
                    failing: change.failing_data(),
                },
            ),
            Self::Delivery {
                app,
                endpoint,
                message,
                event_id,
                attempt,
                status_code,
                ..
            } => written(
                event_type,
                &DeliveryData {
                    app_id: app.to_string(),
                    app_uid,
                    endpoint_id: endpoint.to_string(),
                    msg_id: message.to_string(),
                    msg_event_id: event_id.as_deref(),
                    last_attempt: AttemptData {
                        id: attempt.to_string(),
                        response_status_code: status_code.unwrap_or(0),
                        timestamp: attempt.created_at().to_string(),
                    },
                },
            ),
            Self::TaskFinished(task) => written(event_type, &TaskData::of(task)),
        }
    }
}

fn written<Data: Serialize>(event_type: &str, data: &Data) -> String {
    let payload = Payload { event_type, data };
    // Text, numbers and maps with text as keys can't fail.
    serde_json::to_string(&payload).unwrap_or_default()
}

// === impl TaskData ===

impl TaskData {
    fn of(task: &Task) -> Self {
        let (status, reason) = match task.state {
            TaskState::Running => ("running", None),
            TaskState::Finished => ("finished", None),
            TaskState::Failed(why) => ("failed", Some(why.as_str())),
        };
        let progress = task.progress;
        Self {
            task_id: task.id.to_string(),
            task: task.work.kind().as_str(),
            status,
            data: TaskReport {
                app_id: task.work.app().map(|app| app.to_string()),
                endpoint_id: task.work.endpoint().map(|endpoint| endpoint.to_string()),
                looked_at: progress.looked_at,
                done: progress.done,
                left_out: progress.left_out,
                reason,
            },
        }
    }
}

// === impl EndpointChange ===

impl EndpointChange {
    /// What a change of an endpoint by a client came to, besides that it was changed.
    pub const fn between(was_disabled: Enabled, is_disabled: Enabled) -> Option<Self> {
        match (was_disabled, is_disabled) {
            (Enabled::Yes, Enabled::No) => Some(Self::Disabled(DisabledBy::Client)),
            (Enabled::No, Enabled::Yes) => Some(Self::Enabled),
            (Enabled::Yes, Enabled::Yes) | (Enabled::No, Enabled::No) => None,
        }
    }

    fn disabled_data(self) -> Option<DisabledData> {
        let Self::Disabled(by) = self else {
            return None;
        };
        Some(match by {
            DisabledBy::Client => DisabledData {
                fail_since: None,
                trigger: "manual",
                reason: by.as_str(),
            },
            DisabledBy::Gone => DisabledData {
                fail_since: None,
                trigger: "automatic",
                reason: by.as_str(),
            },
            DisabledBy::Failing { since } => DisabledData {
                fail_since: Some(since.to_string()),
                trigger: "automatic",
                reason: by.as_str(),
            },
        })
    }

    fn failing_data(self) -> Option<FailingData> {
        match self {
            Self::Failing {
                since,
                notice,
                disable_at,
            } => Some(FailingData {
                fail_since: since.to_string(),
                percent: notice.percent(),
                disable_at: disable_at.to_string(),
            }),
            _ => None,
        }
    }
}

// === impl DisabledBy ===

impl DisabledBy {
    /// Stable name, for metrics and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Gone => "gone",
            Self::Failing { .. } => "failing",
        }
    }
}

// === impl DeliveryChange ===

impl DeliveryChange {
    /// What is told of a delivery after this attempt, if anything. One that is exhausted by its fourth
    /// attempt is told as that only.
    pub const fn after(number: u32, outcome: Outcome, next: Next) -> Option<Self> {
        match (outcome, next) {
            (Outcome::Accepted, _) if number > FAILING_AT_ATTEMPT => Some(Self::Recovered),
            (_, Next::Block | Next::End(Ended::Exhausted)) => Some(Self::Exhausted),
            (_, Next::Retry { .. }) if number == FAILING_AT_ATTEMPT => Some(Self::Failing),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::id::{OrgId, TaskId};
    use crate::task::{Progress, Span, TaskFailure, TaskWork};

    use super::*;

    const APP: AppId = AppId::from_raw(1);
    const ENDPOINT: EndpointId = EndpointId::from_raw(2);

    fn check(happened: &Happened, expect: Value) {
        assert!(EVENT_TYPES.contains(&happened.event_type()));
        let payload = happened.payload(Some("customer"));
        let payload: Value = serde_json::from_str(&payload).unwrap();
        assert_eq!(payload, expect);
    }

    fn endpoint(change: EndpointChange) -> Happened {
        Happened::Endpoint {
            change,
            app: APP,
            endpoint: ENDPOINT,
            uid: None,
        }
    }

    #[test]
    fn what_is_told_of_endpoints() {
        let (app, id) = (APP.to_string(), ENDPOINT.to_string());
        for (change, event_type) in [
            (EndpointChange::Created, "endpoint.created"),
            (EndpointChange::Updated, "endpoint.updated"),
            (EndpointChange::Deleted, "endpoint.deleted"),
            (EndpointChange::Enabled, "endpoint.enabled"),
        ] {
            check(
                &endpoint(change),
                json!({"type": event_type, "data": {"appId": app, "appUid": "customer",
                    "endpointId": id, "endpointUid": null}}),
            );
        }
        let since = Timestamp::default();
        let then = "1970-01-01T00:00:00.000Z";
        let failing = EndpointChange::Failing {
            since,
            notice: Notice::Last,
            disable_at: since.plus(std::time::Duration::from_secs(1)),
        };
        check(
            &endpoint(failing),
            json!({"type": "endpoint.failing", "data": {"appId": app, "appUid": "customer",
                "endpointId": id, "endpointUid": null, "failSince": then, "percent": 90,
                "disableAt": "1970-01-01T00:00:01.000Z"}}),
        );
        for (by, since, trigger, reason) in [
            (DisabledBy::Client, None, "manual", "client"),
            (DisabledBy::Gone, None, "automatic", "gone"),
            (
                DisabledBy::Failing { since },
                Some(then),
                "automatic",
                "failing",
            ),
        ] {
            check(
                &endpoint(EndpointChange::Disabled(by)),
                json!({"type": "endpoint.disabled", "data": {"appId": app, "appUid": "customer",
                    "endpointId": id, "endpointUid": null, "failSince": since,
                    "trigger": trigger, "reason": reason}}),
            );
        }
    }

    #[test]
    fn what_is_told_of_deliveries() {
        for (change, event_type) in [
            (DeliveryChange::Failing, "message.attempt.failing"),
            (DeliveryChange::Exhausted, "message.attempt.exhausted"),
            (DeliveryChange::Recovered, "message.attempt.recovered"),
        ] {
            let happened = Happened::Delivery {
                change,
                app: APP,
                endpoint: ENDPOINT,
                message: MessageId::from_raw(3),
                event_id: Some("theirs".to_owned()),
                attempt: AttemptId::from_raw(4),
                status_code: None,
            };
            check(
                &happened,
                json!({"type": event_type, "data": {"appId": APP.to_string(),
                    "appUid": "customer", "endpointId": ENDPOINT.to_string(),
                    "msgId": MessageId::from_raw(3).to_string(), "msgEventId": "theirs",
                    "lastAttempt": {"id": AttemptId::from_raw(4).to_string(),
                        "responseStatusCode": 0, "timestamp": "2014-05-13T16:53:20.000Z"}}}),
            );
        }
    }

    #[test]
    fn a_subscription_gets_something() {
        let check = |name: &str, expect: bool| {
            assert_eq!(
                is_told(&EventTypeName::parse(name).unwrap()),
                expect,
                "{name}"
            );
        };
        for name in EVENT_TYPES {
            check(name, true);
        }
        for group in ["endpoint", "endpoint.", "message", "message.attempt."] {
            check(group, true);
        }
        for name in [
            "nope",
            "endpoint.create",
            "endpoint.created.now",
            "message.attempt",
        ] {
            check(name, false);
        }
    }

    #[test]
    fn what_is_told_of_tasks() {
        let span = Span {
            since: Timestamp::default(),
            until: Timestamp::default(),
        };
        let mut task = Task {
            id: TaskId::from_raw(5),
            org: OrgId::from_stored([1; 20]),
            work: TaskWork::Expunge { app: APP, span },
            state: TaskState::Finished,
            progress: Progress {
                cursor: 1,
                looked_at: 9,
                done: 7,
                left_out: 2,
            },
            updated_at: Timestamp::default(),
        };
        let mut expect = json!({"type": "background_task.finished", "data": {
            "taskId": task.id.to_string(), "task": "application.purge_content",
            "status": "finished", "data": {"appId": APP.to_string(), "endpointId": null,
                "lookedAt": 9, "done": 7, "leftOut": 2, "reason": null}}});
        check(
            &Happened::TaskFinished(Box::new(task.clone())),
            expect.clone(),
        );
        task.state = TaskState::Failed(TaskFailure::Cancelled);
        expect["data"]["status"] = "failed".into();
        expect["data"]["data"]["reason"] = "cancelled".into();
        check(&Happened::TaskFinished(Box::new(task)), expect);
    }

    #[test]
    fn an_attempt_is_told_when_it_makes_a_difference() {
        let retry = Next::Retry {
            due: Timestamp::default(),
            step: 1,
        };
        let after = |number, next| DeliveryChange::after(number, Outcome::Retry, next);
        for number in [1, 2, 3, 5, 6] {
            assert_eq!(after(number, retry), None, "{number}");
        }
        assert_eq!(after(4, retry), Some(DeliveryChange::Failing));
        for number in [1, 4, 9] {
            for next in [Next::Block, Next::End(Ended::Exhausted)] {
                assert_eq!(after(number, next), Some(DeliveryChange::Exhausted));
            }
            assert_eq!(after(number, Next::End(Ended::Parked)), None);
        }
        let delivered = Next::End(Ended::Delivered);
        let arrived = |number| DeliveryChange::after(number, Outcome::Accepted, delivered);
        assert_eq!([arrived(1), arrived(4)], [None, None]);
        assert_eq!(arrived(5), Some(DeliveryChange::Recovered));
    }

    #[test]
    fn a_change_of_the_switch_is_told_apart() {
        let between = EndpointChange::between;
        assert_eq!(between(Enabled::Yes, Enabled::Yes), None);
        assert_eq!(between(Enabled::No, Enabled::No), None);
        assert_eq!(
            between(Enabled::No, Enabled::Yes),
            Some(EndpointChange::Enabled)
        );
        let off = EndpointChange::Disabled(DisabledBy::Client);
        assert_eq!(between(Enabled::Yes, Enabled::No), Some(off));
    }
}
