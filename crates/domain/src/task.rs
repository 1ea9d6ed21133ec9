//! A task: work over many deliveries or messages that goes on after its request was answered.
//! Decides what a task wants; does none of it.
//!
//! **Invariant:** pure; what is unfinished is never wanted, so that no task makes a second delivery of
//! a message beside one that is still under way.

pub mod replay;

use bytes::Bytes;

use crate::channel::Channel;
use crate::event_type::EventTypeName;
use crate::id::{AppId, EndpointId, OrgId, TaskId};
use crate::task::replay::{ReplayFilter, Wanted};
use crate::time::Timestamp;
use crate::uid::Uid;

/// A task. Made when its id says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Whose it is.
    pub org: OrgId,
    /// What it does.
    pub work: TaskWork,
    /// Whether it goes on.
    pub state: TaskState,
    /// How far it has come.
    pub progress: Progress,
    /// When it came that far.
    pub updated_at: Timestamp,
}

/// What a task does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TaskWork {
    /// Sends messages to an endpoint again.
    Replay {
        /// Whose endpoint.
        app: AppId,
        /// Which endpoint.
        endpoint: EndpointId,
        /// Messages of which time.
        span: Span,
        /// Which of those.
        which: Replayed,
    },
    /// Ends unfinished deliveries to an endpoint.
    Cancel {
        /// Whose endpoint.
        app: AppId,
        /// Which endpoint.
        endpoint: EndpointId,
        /// Of messages of which time.
        span: Span,
    },
    /// Forgets the payloads of an application's messages.
    Expunge {
        /// Whose.
        app: AppId,
        /// Of which time.
        span: Span,
    },
    /// Publishes a message to every application of the organisation.
    Broadcast {
        /// The message.
        message: Broadcast,
        /// To applications that were made in this time.
        span: Span,
    },
    /// Counts the attempts of applications.
    Usage {
        /// Which, each once and in order; `None` for all of the organisation.
        apps: Option<Vec<AppId>>,
        /// Attempts of the hours that lie in part in this time.
        span: Span,
    },
    /// Looks up which event types the endpoints of every application name.
    Subscriptions {
        /// Of applications that were made in this time.
        span: Span,
    },
    /// Lets the event types be read as one document, as they are when it is read.
    Export {
        /// Those that were made in this time.
        span: Span,
    },
}

/// What a task found out about an application.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// The application.
    pub app: AppId,
    /// The client's own name of it, as it was then.
    pub uid: Option<Uid>,
    /// What it is.
    pub found: Found,
}

/// What was found out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Found {
    /// Of a [`TaskWork::Usage`].
    Usage {
        /// How many attempts were made.
        attempts: u64,
    },
    /// Of a [`TaskWork::Subscriptions`].
    Subscriptions {
        /// What its endpoints name, each once and in order.
        named: Vec<EventTypeName>,
        /// Whether they name more than that.
        truncated: bool,
        /// Whether an endpoint names nothing, so that it gets everything.
        catch_all: bool,
    },
}

/// Which messages a replay is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Replayed {
    /// Those whose delivery failed.
    Failed,
    /// Those that match the endpoint's subscription and never had a delivery to it.
    Missing,
    /// Those that somebody chose.
    Chosen(ReplayFilter),
}

/// A span of time, both ends within.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Span {
    /// From then.
    pub since: Timestamp,
    /// Up to then.
    pub until: Timestamp,
}

// === impl Span ===

impl Span {
    /// Whether this instant is in it.
    pub fn holds(self, at: Timestamp) -> bool {
        self.since <= at && at <= self.until
    }
}

/// A message for every application.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Broadcast {
    /// What happened.
    pub event_type: EventTypeName,
    /// The client's own name of it.
    pub event_id: Option<Uid>,
    /// Which channels it goes to.
    pub channels: Vec<Channel>,
    /// How long its payloads are kept, in hours.
    pub retention_hours: u32,
    /// The exact bytes to deliver; `None` where they were not asked for, or once the task has ended.
    pub payload: Option<Bytes>,
}

/// Which kind of work a task does.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TaskKind {
    /// [`Replayed::Failed`].
    Recover,
    /// [`Replayed::Missing`].
    ReplayMissing,
    /// [`Replayed::Chosen`].
    BulkReplay,
    /// [`TaskWork::Cancel`].
    Cancel,
    /// [`TaskWork::Expunge`].
    Expunge,
    /// [`TaskWork::Broadcast`].
    Broadcast,
    /// [`TaskWork::Usage`].
    Usage,
    /// [`TaskWork::Subscriptions`].
    Subscriptions,
    /// [`TaskWork::Export`].
    Export,
}

/// Whether a task goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TaskState {
    /// It does.
    Running,
    /// All is done.
    Finished,
    /// It ended before all was done.
    Failed(TaskFailure),
}

/// Why a task ended before all was done. What it did stands.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TaskFailure {
    /// Somebody wanted it so.
    Cancelled,
    /// The application was deleted.
    ApplicationDeleted,
    /// The endpoint was deleted.
    EndpointDeleted,
    /// The endpoint is disabled.
    EndpointDisabled,
}

/// How far a task has come: exact, whatever happened to the process meanwhile.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// The last message or application that it came by, as the store counts them.
    pub cursor: i64,
    /// How many it came by.
    pub looked_at: u64,
    /// What it was asked for: deliveries made or ended, payloads forgotten, messages published,
    /// applications looked at.
    pub done: u64,
    /// What it was asked for and was not possible: a payload that is gone, a message that has expired.
    pub left_out: u64,
}

// === impl TaskWork ===

impl TaskWork {
    /// Its kind.
    pub fn kind(&self) -> TaskKind {
        match self {
            Self::Replay { which, .. } => match which {
                Replayed::Failed => TaskKind::Recover,
                Replayed::Missing => TaskKind::ReplayMissing,
                Replayed::Chosen(_) => TaskKind::BulkReplay,
            },
            Self::Cancel { .. } => TaskKind::Cancel,
            Self::Expunge { .. } => TaskKind::Expunge,
            Self::Broadcast { .. } => TaskKind::Broadcast,
            Self::Usage { .. } => TaskKind::Usage,
            Self::Subscriptions { .. } => TaskKind::Subscriptions,
            Self::Export { .. } => TaskKind::Export,
        }
    }

    /// The application that it is about; `None` for the organisation.
    pub fn app(&self) -> Option<AppId> {
        match self {
            Self::Replay { app, .. } | Self::Cancel { app, .. } | Self::Expunge { app, .. } => {
                Some(*app)
            }
            Self::Broadcast { .. }
            | Self::Usage { .. }
            | Self::Subscriptions { .. }
            | Self::Export { .. } => None,
        }
    }

    /// The endpoint that it is about.
    pub fn endpoint(&self) -> Option<EndpointId> {
        match self {
            Self::Replay { endpoint, .. } | Self::Cancel { endpoint, .. } => Some(*endpoint),
            Self::Expunge { .. }
            | Self::Broadcast { .. }
            | Self::Usage { .. }
            | Self::Subscriptions { .. }
            | Self::Export { .. } => None,
        }
    }

    /// The time that it is about.
    pub fn span(&self) -> Span {
        match self {
            Self::Replay { span, .. }
            | Self::Cancel { span, .. }
            | Self::Expunge { span, .. }
            | Self::Broadcast { span, .. }
            | Self::Usage { span, .. }
            | Self::Subscriptions { span }
            | Self::Export { span } => *span,
        }
    }
}

// === impl Finding ===

impl Finding {
    /// About how many bytes it takes to tell.
    pub fn bytes(&self) -> usize {
        let named = match &self.found {
            Found::Usage { .. } => &[][..],
            Found::Subscriptions { named, .. } => named,
        };
        let uid = self.uid.as_ref().map_or(0, |uid| uid.as_str().len());
        // Quotes and commas, and the names of the fields.
        let names = named.iter().map(|name| name.as_str().len() + 3);
        names.sum::<usize>() + uid + 128
    }
}

// === impl Replayed ===

impl Replayed {
    /// How a delivery has to stand to be made again.
    pub fn wanted(&self) -> Wanted {
        match self {
            Self::Failed => Wanted::Failed,
            Self::Missing => Wanted::Missing,
            Self::Chosen(filter) => filter.wanted,
        }
    }
}

// === impl TaskKind ===

impl TaskKind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Recover,
        Self::ReplayMissing,
        Self::BulkReplay,
        Self::Cancel,
        Self::Expunge,
        Self::Broadcast,
        Self::Usage,
        Self::Subscriptions,
        Self::Export,
    ];

    /// Stable name, for metrics and the API: the contract's, where it has one.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recover => "endpoint.recover",
            Self::ReplayMissing => "endpoint.replay",
            Self::BulkReplay => "endpoint.bulk-replay",
            Self::Cancel => "endpoint.cancel-msgs",
            Self::Expunge => "application.purge_content",
            Self::Broadcast => "message.broadcast",
            Self::Usage => "application.stats",
            Self::Subscriptions => "event-type.aggregate",
            Self::Export => "event-type.export-openapi",
        }
    }

    /// Whether the contract knows it. Others are listed only where they are asked for by name, since
    /// official clients can't read a list that has them.
    pub const fn is_in_contract(self) -> bool {
        !matches!(self, Self::Cancel | Self::Export)
    }
}

// === impl TaskFailure ===

impl TaskFailure {
    /// Stable name, for the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::ApplicationDeleted => "application_deleted",
            Self::EndpointDeleted => "endpoint_deleted",
            Self::EndpointDisabled => "endpoint_disabled",
        }
    }
}
