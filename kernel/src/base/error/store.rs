//! Errors of the system of record.

use super::explain::BoxError;
use crate::base::response::StoredResponse;

/// Why the system of record did not do what it was asked to. The variants are meanings; the adapter's own error is the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A uniqueness constraint was violated; holds the constraint's name.
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
    /// A limit refused a row that was inserted without a reservation; holds the limit's key.
    #[error("limit `{0}` is reached")]
    Limit(String),
    /// The transaction conflicts with a concurrent one. Run the whole transaction again.
    #[error("the transaction collided with another one")]
    Serialization,
    /// A row was locked by another transaction for too long.
    #[error("a row is locked by another transaction")]
    Locked,
    /// A statement exceeded its time limit.
    #[error("the statement took too long")]
    Timeout,
    /// The calls of one workspace, caller or address use up their share of the connections, and none became free in time.
    #[error("too many calls of one workspace, caller or address run at once")]
    PoolShareExhausted,
    /// No connection could be made, or none became free in time. The request itself may be valid.
    #[error("the system of record is not available")]
    Unavailable(#[source] BoxError),
    /// A proof of one scope was used in a transaction of another. A bug in the calling code; nothing was changed.
    #[error("a proof was used in a transaction of another scope")]
    Scope,
    /// The caller was removed, their role changed or their key was revoked while the call ran. Nothing was saved.
    #[error("the caller's membership, role or key changed while the call ran")]
    AccessChanged,
    /// The request's idempotency key was used before; holds how to answer.
    #[error("the idempotency key has been used")]
    Replay(Replay),
    /// Any other failure.
    #[error("the system of record failed")]
    Backend(#[source] BoxError),
}

/// How to answer a request whose idempotency key was used before.
#[derive(Clone, Debug)]
pub enum Replay {
    /// The same request was answered before: return the stored response.
    Response(Box<StoredResponse>),
    /// The same request is still running.
    InFlight,
    /// The same request succeeded, but its response was not stored.
    Done,
    /// The key was used for a different request.
    OtherRequest,
}

impl StoreError {
    /// Wraps an unexpected failure: an invalid row, a driver error, a wrong database.
    pub fn backend(source: impl Into<BoxError>) -> Self {
        Self::Backend(source.into())
    }

    /// Whether running the whole transaction again may succeed.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Serialization)
    }
}
