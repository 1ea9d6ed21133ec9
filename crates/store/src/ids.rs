//! The ids of this node: one source for all who make some. Never reads a clock.

use parking_lot::Mutex;

use hookseal_domain::id::{IdGenerator, RawId};
use hookseal_domain::time::Timestamp;

/// The cell of an embedded store; part of the ids made here.
const EMBEDDED_CELL: u8 = 0;

/// Makes ids of this node.
#[derive(Debug)]
pub struct Ids(Mutex<IdGenerator>);

// === impl Ids ===

impl Ids {
    /// A source of this node's.
    pub(crate) fn new(node: u8) -> Self {
        Self(Mutex::new(IdGenerator::new(EMBEDDED_CELL, node, None)))
    }

    /// Goes on above `floor`, too.
    pub(crate) fn raise(&self, floor: Option<i64>) {
        self.0.lock().raise(floor);
    }

    /// The next id.
    pub fn next<Id: From<RawId>>(&self, now: Timestamp) -> Id {
        self.0.lock().next_id(now).into()
    }
}
