//! What can go wrong in a store, by what the caller does next.

/// The store could not do its work.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Too much is waiting: try again in a moment. Nothing was changed.
    #[error("the store has too much to do")]
    Overloaded,
    /// The disk is full: an operator has to make room. Nothing was changed.
    #[error("the store's disk is full")]
    DiskFull,
    /// The store can't be reached or refuses to work.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// A row fits no state that this version knows.
    #[error("table {table}, column {column}, row {id}: no valid value")]
    CorruptRow {
        /// Which table.
        table: &'static str,
        /// Which column.
        column: &'static str,
        /// Which row, in the table's own terms.
        id: String,
    },
    /// Something sealed can't be opened: a wrong key, or altered data.
    #[error("{what} can't be opened: wrong key or altered data")]
    Unsealable {
        /// What was to be opened.
        what: &'static str,
    },
}

// === impl StoreError ===

impl StoreError {
    /// Whether it would be the same again: something that is stored is damaged.
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::CorruptRow { .. } | Self::Unsealable { .. })
    }
}

/// A message was not accepted. Nothing was changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AcceptError {
    /// The application changed after its routing was read: read it again.
    #[error("the application changed meanwhile")]
    StaleRouting,
    /// The application does not exist.
    #[error("the application does not exist")]
    UnknownApplication,
    /// The `eventId` names another message of the application.
    #[error("a message with this eventId exists")]
    EventIdTaken,
    /// The idempotency key was used with another body.
    #[error("the idempotency key was used for another request")]
    IdempotencyKeyReused,
    /// The broadcast of which it is a step does not stand any more as it did.
    #[error("the broadcast went on or ended meanwhile")]
    StepVoid,
    /// The store failed.
    #[error("the message was not stored")]
    Store(#[from] StoreError),
}

/// A change was not made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ChangeError {
    /// What was to be changed, or what it belongs to, does not exist.
    #[error("it does not exist")]
    NotFound,
    /// The uid or name is taken.
    #[error("the name is taken")]
    NameTaken,
    /// There are as many as there may be.
    #[error("there are {max} already, which is the limit")]
    TooMany {
        /// How many there may be.
        max: usize,
    },
    /// It does not stand any more as it was read: read it again.
    #[error("it was changed meanwhile")]
    Stale,
    /// Others name it.
    #[error("{by} others name it")]
    InUse {
        /// How many.
        by: u64,
    },
    /// The idempotency key was used with another body.
    #[error("the idempotency key was used for another request")]
    IdempotencyKeyReused,
    /// The store failed.
    #[error("the change was not stored")]
    Store(#[from] StoreError),
}

/// A delivery was not skipped.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SkipError {
    /// There is no such delivery that is unfinished and has an order.
    #[error("the endpoint has no unfinished, ordered delivery of the message")]
    NotInOrder,
    /// The store failed.
    #[error("the skip was not stored")]
    Store(#[from] StoreError),
}

/// A message was not sent again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ResendError {
    /// Message or endpoint does not exist.
    #[error("message or endpoint does not exist")]
    NotFound,
    /// The payload was expunged or has expired.
    #[error("the payload does not exist any more")]
    PayloadGone,
    /// The message has expired.
    #[error("the message has expired")]
    MessageExpired,
    /// The endpoint is disabled.
    #[error("the endpoint is disabled")]
    EndpointDisabled,
    /// The idempotency key was used with another body.
    #[error("the idempotency key was used for another request")]
    IdempotencyKeyReused,
    /// The store failed.
    #[error("the resend was not stored")]
    Store(#[from] StoreError),
}
