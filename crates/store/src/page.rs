//! Pages of lists: stable while rows come and go, since they continue from a key.

/// Which page is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PageRequest<Key> {
    /// Most rows, 1 to 250.
    pub limit: usize,
    /// Where it begins.
    pub from: PageStart<Key>,
    /// The list's order.
    pub order: Order,
}

/// Where a page begins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PageStart<Key> {
    /// At the list's beginning.
    Beginning,
    /// With the first row after this one, in the list's order.
    After(Key),
    /// With the last rows before this one, in the list's order.
    Before(Key),
}

/// The order of a list, by key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// Lowest (oldest) first.
    Ascending,
    /// Highest (newest) first.
    Descending,
}

/// Rows in the list's order, however the page was asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page<Row> {
    /// At most `limit` rows.
    pub rows: Vec<Row>,
    /// Whether there is nothing further in the direction asked for.
    pub done: bool,
    /// Where the search for rows stopped before the page was full; `None` if it did not.
    pub stopped: Option<Stopped>,
}

/// Where a list is to be continued that has not found enough rows for a page, by the key that it is
/// sorted by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stopped {
    /// With what comes after this one, in the list's order.
    After(i64),
    /// With what comes before this one.
    Before(i64),
}

// === impl PageRequest ===

impl<Key> PageRequest<Key> {
    /// Whether the rows have to be read in ascending order of their keys to fill this page.
    pub fn reads_ascending(&self) -> bool {
        (self.order == Order::Ascending) != matches!(self.from, PageStart::Before(_))
    }

    /// Makes the page of up to `limit + 1` rows that were read in that order.
    pub fn page_of<Row>(&self, mut read: Vec<Row>) -> Page<Row> {
        let done = read.len() <= self.limit;
        read.truncate(self.limit);
        if matches!(self.from, PageStart::Before(_)) {
            read.reverse();
        }
        Page {
            rows: read,
            done,
            stopped: None,
        }
    }

    /// The same, where the search for rows stopped at a key before there were enough.
    pub fn page_of_part<Row>(&self, read: Vec<Row>, stopped_at: Option<i64>) -> Page<Row> {
        let page = self.page_of(read);
        let Some(at) = stopped_at.filter(|_| page.done) else {
            return page;
        };
        let stopped = match self.from {
            PageStart::Before(_) => Stopped::Before(at),
            PageStart::Beginning | PageStart::After(_) => Stopped::After(at),
        };
        Page {
            done: false,
            stopped: Some(stopped),
            ..page
        }
    }
}
