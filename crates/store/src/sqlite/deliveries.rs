//! Deliveries as people look for them: unfinished and finished ones merged.

use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, Row, Rows, params};

use hookseal_domain::delivery::{Ended, Pending};
use hookseal_domain::id::{AppId, EndpointId, MessageId};
use hookseal_domain::slice::Slice;
use hookseal_domain::time::Timestamp;

use crate::codes::{Code, PendingState};
use crate::error::StoreError;
use crate::inspect::MessageStatusFilter;
use crate::inspect::{DeliveredMessage, DeliveryStatus, Destined, MessageFilter};
use crate::page::{Page, PageRequest};
use crate::sqlite::SqliteStore;
use crate::sqlite::batch::all;
use crate::sqlite::endpoints;
use crate::sqlite::failure::{Failure, corrupt};
use crate::sqlite::messages::{self, FilterValues};
use crate::sqlite::rows::{id_range, rows_to_read};
use crate::sqlite::walk::Steps;

macro_rules! unfinished {
    ($which:literal, $order:literal) => {
        concat!(
            "SELECT msg, state, due, NULL, 0 FROM pending WHERE slice = ?1 AND ep = ?2 ",
            "AND msg > ?3 AND msg < ?4 AND ",
            $which,
            " ORDER BY msg ",
            $order
        )
    };
}

/// A finished delivery that was resent counts as unfinished: the last column says which.
macro_rules! finished {
    ($which:literal, $order:literal) => {
        concat!(
            "SELECT o.msg, NULL, NULL, o.ended, EXISTS (SELECT 1 FROM pending p ",
            "WHERE p.msg = o.msg AND p.ep = o.ep AND p.slice = o.slice) ",
            "FROM outcome o WHERE o.slice = ?1 AND o.ep = ?2 ",
            "AND o.msg > ?3 AND o.msg < ?4 AND ?5 = ?5 ",
            $which,
            " ORDER BY o.msg ",
            $order
        )
    };
}

const OWNED_UP: &str = unfinished!("owner = ?5", "ASC");
const OWNED_DOWN: &str = unfinished!("owner = ?5", "DESC");
const UNOWNED_UP: &str = unfinished!("owner IS NULL AND state = ?5", "ASC");
const UNOWNED_DOWN: &str = unfinished!("owner IS NULL AND state = ?5", "DESC");
const FAILED_UP: &str = finished!("AND o.ended <> 1", "ASC");
const FAILED_DOWN: &str = finished!("AND o.ended <> 1", "DESC");
const FINISHED_UP: &str = finished!("", "ASC");
const FINISHED_DOWN: &str = finished!("", "DESC");

macro_rules! destined {
    ($order:literal) => {
        concat!(
            "SELECT e.id AS id, e.uid AS uid, e.url AS url, e.description AS description, ",
            "e.disabled AS disabled, e.switched_off_at AS switched_off_at, ",
            "e.switched_off_failing_since AS switched_off_failing_since, ",
            "(SELECT h.failing_since FROM endpoint_health h WHERE h.slice = e.slice ",
            "AND h.app = e.app AND h.ep = e.id) AS failing_since, ",
            "e.event_types AS event_types, e.channels AS channels, e.filter AS filter, ",
            "e.throttle_rate AS throttle_rate, e.park_on AS park_on, ",
            "e.discipline AS discipline, e.metadata AS metadata, ",
            "e.key_version AS key_version, e.headers AS headers, e.generation AS generation, ",
            "e.updated_at AS updated_at, e.verification AS verification, ",
            "e.withheld AS withheld, p.state AS state, p.due AS due, o.ended AS ended ",
            "FROM endpoint e ",
            "LEFT JOIN pending p ON p.msg = ?6 AND p.ep = e.id AND p.slice = ?1 ",
            "LEFT JOIN outcome o ON o.slice = ?1 AND o.ep = e.id AND o.msg = ?6 ",
            "WHERE e.deleted_at IS NULL AND e.slice = ?1 AND e.app = ?2 ",
            "AND e.id > ?3 AND e.id < ?4 AND (p.msg IS NOT NULL OR o.msg IS NOT NULL) ",
            "ORDER BY e.id ",
            $order,
            " LIMIT ?5"
        )
    };
}

const DESTINED_UP: &str = destined!("ASC");
const DESTINED_DOWN: &str = destined!("DESC");
const OWNERS: &str = "SELECT id FROM node";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 10] = [
    OWNED_UP,
    OWNED_DOWN,
    UNOWNED_UP,
    UNOWNED_DOWN,
    FAILED_UP,
    FAILED_DOWN,
    FINISHED_UP,
    FINISHED_DOWN,
    DESTINED_UP,
    DESTINED_DOWN,
];

/// One statement's rows and the first that was not taken yet.
struct Source<'s> {
    rows: Rows<'s>,
    head: Option<Found>,
}

/// A delivery, as a statement finds it.
#[derive(Clone, Copy)]
struct Found {
    message: i64,
    status: DeliveryStatus,
    /// Whether it is unfinished again, and found as such by another statement.
    resent: bool,
}

/// Messages that were or are to be delivered to an endpoint, in the order of the page.
pub(super) async fn of_endpoint(
    store: &SqliteStore,
    app: AppId,
    endpoint: EndpointId,
    filter: MessageFilter,
    status: Option<MessageStatusFilter>,
    page: PageRequest<MessageId>,
) -> Result<Page<DeliveredMessage>, StoreError> {
    let keyring = Arc::clone(&store.keyring);
    let list = move |connection: &Connection| {
        let Some(keys) = keyring.load(connection, app)? else {
            return Ok(page.page_of(Vec::new()));
        };
        // One moment for all the statements: a delivery that ends meanwhile is in one of them.
        let tx = connection.unchecked_transaction()?;
        let values = FilterValues::of(&filter);
        let (low, high) = values.range(&page, MessageId::raw);
        let up = page.reads_ascending();
        let mut statements = statements(&tx, status, up)?;
        let mut sources = Vec::with_capacity(statements.len());
        for (statement, which) in &mut statements {
            let slice = Slice::of(app).as_i64();
            let rows = statement.query(params![slice, endpoint.raw(), low, high, *which])?;
            sources.push(Source::new(rows)?);
        }
        let mut steps = Steps::new();
        let mut found = Vec::new();
        while found.len() <= page.limit {
            let Some(next) = take_next(&mut sources, up)? else {
                steps.ended();
                break;
            };
            if next.is_wanted(status) {
                let (id, status) = (MessageId::from_raw(next.message), next.status);
                let message = messages::by_id(&tx, &keys, app, id, &values, filter.content)?;
                found.extend(message.map(|message| DeliveredMessage { message, status }));
            }
            if !steps.step(next.message) {
                break;
            }
        }
        Ok(page.page_of_part(found, steps.stopped_at()))
    };
    store.readers.ask(list).await
}

/// The statements that find deliveries of this status, each with its fifth parameter.
fn statements(
    connection: &Connection,
    status: Option<MessageStatusFilter>,
    up: bool,
) -> Result<Vec<(CachedStatement<'_>, i64)>, Failure> {
    let (owned, unowned, failed, finished) = if up {
        (OWNED_UP, UNOWNED_UP, FAILED_UP, FINISHED_UP)
    } else {
        (OWNED_DOWN, UNOWNED_DOWN, FAILED_DOWN, FINISHED_DOWN)
    };
    let owners: Vec<i64> = all(connection, OWNERS, [], |row| Ok(row.get(0)?))?;
    let sending = owners.into_iter().map(|node| (owned, node));
    let states = [
        PendingState::Waiting,
        PendingState::Backlog,
        PendingState::Held,
    ];
    let waiting = states.map(|state| (unowned, state.code()));
    let blocked = (unowned, PendingState::Blocked.code());
    let wanted: Vec<(&str, i64)> = match status {
        // Most are delivered: the others are walked past.
        Some(MessageStatusFilter::Success) => vec![(finished, 0)],
        Some(MessageStatusFilter::Fail) => vec![(failed, 0), blocked],
        Some(MessageStatusFilter::Cancelled) => vec![(failed, 0)],
        Some(MessageStatusFilter::Pending) => waiting.to_vec(),
        Some(MessageStatusFilter::Sending) => sending.collect(),
        None => sending
            .chain(waiting)
            .chain([blocked, (finished, 0)])
            .collect(),
    };
    let prepare = |(sql, which)| {
        // The states share a text, so these can't come from the cache twice at a time.
        Ok((connection.prepare_cached(sql)?, which))
    };
    wanted.into_iter().map(prepare).collect()
}

/// The next row of all the sources, in their order.
fn take_next(sources: &mut [Source<'_>], up: bool) -> Result<Option<Found>, Failure> {
    let waiting = sources.iter_mut().filter(|source| source.head.is_some());
    // Of one that was resent the unfinished row comes first, so that a page may end with it.
    let next = if up {
        waiting.min_by_key(|source| source.head.map(|head| (head.message, head.resent)))
    } else {
        waiting.max_by_key(|source| source.head.map(|head| (head.message, !head.resent)))
    };
    let Some(source) = next else { return Ok(None) };
    let taken = source.head;
    source.advance()?;
    Ok(taken)
}

/// Endpoints that a message was or is to be delivered to, by id.
pub(super) async fn of_message(
    store: &SqliteStore,
    app: AppId,
    message: MessageId,
    page: PageRequest<EndpointId>,
) -> Result<Page<Destined>, StoreError> {
    let list = move |connection: &Connection| {
        let (low, high) = id_range(&page, EndpointId::raw);
        let sql = if page.reads_ascending() {
            DESTINED_UP
        } else {
            DESTINED_DOWN
        };
        let slice = Slice::of(app).as_i64();
        let which = [
            slice,
            app.raw(),
            low,
            high,
            rows_to_read(&page),
            message.raw(),
        ];
        let rows = all(connection, sql, which, |row| {
            let state = (row.get("state")?, row.get("due")?, row.get("ended")?);
            Ok(Destined {
                endpoint: endpoints::read(row)?.endpoint,
                status: status(message.raw(), state)?,
            })
        })?;
        Ok(page.page_of(rows))
    };
    store.readers.ask(list).await
}

// === impl Found ===

impl Found {
    /// Whether its status is the one asked for, as far as the statements have not seen to that.
    fn is_wanted(self, status: Option<MessageStatusFilter>) -> bool {
        let ended = match self.status {
            DeliveryStatus::Ended(ended) => Some(ended),
            DeliveryStatus::Pending(_) => None,
        };
        let wanted = match status {
            Some(MessageStatusFilter::Success) => ended == Some(Ended::Delivered),
            Some(MessageStatusFilter::Fail) => ended != Some(Ended::Skipped),
            Some(MessageStatusFilter::Cancelled) => ended == Some(Ended::Skipped),
            Some(MessageStatusFilter::Pending | MessageStatusFilter::Sending) | None => true,
        };
        wanted && !self.resent
    }
}

// === impl Source ===

impl<'s> Source<'s> {
    fn new(rows: Rows<'s>) -> Result<Self, Failure> {
        let mut source = Self { rows, head: None };
        source.advance()?;
        Ok(source)
    }

    fn advance(&mut self) -> Result<(), Failure> {
        let read = |row: &Row<'_>| {
            let message = row.get(0)?;
            let status = status(message, (row.get(1)?, row.get(2)?, row.get(3)?))?;
            let resent = row.get(4)?;
            Ok::<_, Failure>(Found {
                message,
                status,
                resent,
            })
        };
        self.head = self.rows.next()?.map(read).transpose()?;
        Ok(())
    }
}

/// How a delivery stands, from its state and due time while it is unfinished, else from its end.
fn status(
    message: i64,
    (state, due, ended): (Option<i64>, Option<i64>, Option<i64>),
) -> Result<DeliveryStatus, Failure> {
    let message = MessageId::from_raw(message);
    let Some(state) = state else {
        let ended = ended.and_then(Ended::from_code);
        let ended = ended.ok_or_else(|| corrupt("outcome", "ended", message))?;
        return Ok(DeliveryStatus::Ended(ended));
    };
    Ok(DeliveryStatus::Pending(pending(message.raw(), state, due)?))
}

/// Where an unfinished delivery stands, from its state and due time.
pub(super) fn pending(message: i64, state: i64, due: Option<i64>) -> Result<Pending, Failure> {
    let pending = match (PendingState::from_code(state), due) {
        (Some(PendingState::Owned), None) => Pending::Owned,
        (Some(PendingState::Waiting), Some(due)) => Pending::Waiting {
            due: Timestamp::from_millis(due),
        },
        (Some(PendingState::Backlog), None) => Pending::Backlog,
        (Some(PendingState::Held), None) => Pending::Held,
        (Some(PendingState::Blocked), None) => Pending::Blocked,
        _ => {
            let message = MessageId::from_raw(message);
            return Err(corrupt("pending", "state", message).into());
        }
    };
    Ok(pending)
}
