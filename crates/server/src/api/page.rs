//! Pages of lists as they go out.

use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::id::{ApiTokenId, AppId, AttemptId, EndpointId, MessageId, TaskId};
use hookseal_store::page::{Page, Stopped};

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListResponse<T> {
    /// The rows.
    data: Vec<T>,
    /// Where the next page begins.
    iterator: Option<String>,
    /// Where the page before this one ends.
    prev_iterator: Option<String>,
    /// Whether there is nothing further in the direction asked for.
    done: bool,
}

/// What a list is continued by.
pub(crate) trait PageKey: Sized {
    /// Reads it from an iterator.
    fn parse(text: &str) -> Option<Self>;

    /// As it stands in an iterator.
    fn text(&self) -> String;

    /// Of the number that the store sorts by; `None` where it sorts by something else.
    fn of_raw(_: i64) -> Option<Self> {
        None
    }
}

/// Which page of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a query in the OpenAPI document")]
pub(crate) struct PageParams {
    /// Most rows of the page.
    #[param(minimum = 1, maximum = 250, default = 50)]
    limit: Option<u16>,
    /// The `iterator` of the page before, or the `prevIterator` of the page after.
    iterator: Option<String>,
}

/// Which page of a list that has two orders.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a query in the OpenAPI document")]
pub(crate) struct OrderedPageParams {
    /// Most rows of the page.
    #[param(minimum = 1, maximum = 250, default = 50)]
    limit: Option<u16>,
    /// The `iterator` of the page before, or the `prevIterator` of the page after.
    iterator: Option<String>,
    /// The list's order; oldest (or first name) first if not given.
    #[param(inline)]
    order: Option<Ordering>,
}

/// The order of a list.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes a query in the OpenAPI document")]
pub(crate) enum Ordering {
    /// Oldest (or first name) first.
    Ascending,
    /// Newest (or last name) first.
    Descending,
}

// === impl ListResponse ===

impl<T> ListResponse<T> {
    /// The page of these rows. `key` is what the list is sorted by; rows that `shape` leaves out
    /// are not for the one who asks.
    pub(crate) fn of<Row, K: PageKey>(
        page: Page<Row>,
        key: impl Fn(&Row) -> K,
        shape: impl FnMut(Row) -> Option<T>,
    ) -> Self {
        let last = page.rows.last().map(&key);
        let first = page.rows.first().map(&key);
        // What was searched in vain is not searched again.
        let (last, first) = match page.stopped {
            None => (last, first),
            Some(Stopped::After(raw)) => (K::of_raw(raw).or(last), first),
            Some(Stopped::Before(raw)) => (last, K::of_raw(raw).or(first)),
        };
        let iterator = last.map(|key| key.text());
        let prev_iterator = first.map(|key| format!("-{}", key.text()));
        Self {
            data: page.rows.into_iter().filter_map(shape).collect(),
            iterator,
            prev_iterator,
            done: page.done,
        }
    }

    /// A list in which nothing can be.
    pub(crate) fn empty() -> Self {
        Self {
            data: Vec::new(),
            iterator: None,
            prev_iterator: None,
            done: true,
        }
    }
}

macro_rules! id_keys {
    ($($id:ty),*) => {$(
        impl PageKey for $id {
            fn parse(text: &str) -> Option<Self> {
                <$id>::parse(text)
            }

            fn text(&self) -> String {
                self.to_string()
            }

            fn of_raw(raw: i64) -> Option<Self> {
                Some(<$id>::from_raw(raw))
            }
        }
    )*};
}

id_keys!(ApiTokenId, AppId, AttemptId, EndpointId, MessageId, TaskId);

impl PageKey for EventTypeName {
    fn parse(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }

    fn text(&self) -> String {
        self.as_str().to_owned()
    }
}
