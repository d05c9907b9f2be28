//! What the system of record answers when it does not do what it was asked.

use super::explain::BoxError;
use crate::base::response::StoredResponse;

/// What the system of record has to say when it does not do it. An enum of meanings; the adapter's own error is inside.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A uniqueness rule refused the write; the constraint's name says which.
    #[error("conflict on {0}")]
    Conflict(String),
    /// A reference refused the write: a row of `table` refers by `field` to one that does not exist in its workspace, or,
    /// `in_use`, what was to be deleted or changed is still referred to by such rows.
    #[error("the reference `{field}` of `{table}` refused the write")]
    Reference {
        /// The table whose rows refer.
        table: String,
        /// The column, or the name that the product gave the constraint.
        field: String,
        /// Whether the row referred to was the one being written.
        in_use: bool,
    },
    /// A limit refused a row that came without a reservation; the key says which.
    #[error("limit `{0}` is reached")]
    Limit(String),
    /// Two transactions collided: run the whole transaction again.
    #[error("the transaction collided with another one")]
    Serialization,
    /// A row is locked by another transaction for too long.
    #[error("a row is locked by another transaction")]
    Locked,
    /// A statement took longer than its limit.
    #[error("the statement took too long")]
    Timeout,
    /// The calls of one workspace, caller or address use all of their share of the connections, and went on for too long.
    #[error("too many calls of one workspace, caller or address run at once")]
    PoolShareExhausted,
    /// No connection, or none free in time: nothing is known to be wrong with the request.
    #[error("the system of record is not available")]
    Unavailable(#[source] BoxError),
    /// A proof of one scope was used in a transaction of another. A bug in the caller; nothing was done.
    #[error("a proof was used in a transaction of another scope")]
    Scope,
    /// Whoever acts was removed, has another role, or their key was revoked since the call began: nothing was kept.
    #[error("the caller's membership, role or key changed while the call ran")]
    AccessChanged,
    /// The request's idempotency key has been used: here is what to answer instead.
    #[error("the idempotency key has been used")]
    Replay(Replay),
    /// Anything else that broke.
    #[error("the system of record failed")]
    Backend(#[source] BoxError),
}

/// What a used idempotency key means for this request.
#[derive(Clone, Debug)]
pub enum Replay {
    /// The same request was answered before: answer the same.
    Response(Box<StoredResponse>),
    /// The same request still runs.
    InFlight,
    /// The same request succeeded, but its handler kept no answer.
    Done,
    /// The key belongs to a different request.
    OtherRequest,
}

impl StoreError {
    /// A row, a driver or a database that is not as it must be.
    pub fn backend(source: impl Into<BoxError>) -> Self {
        Self::Backend(source.into())
    }

    /// Whether running the whole transaction again may help.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Serialization)
    }
}
