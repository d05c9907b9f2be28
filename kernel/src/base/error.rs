//! Errors. Functions return `None` for absent, a [`Refusal`] with a stable code for refused, and an [`Error`] for broken.

mod envelope;
mod explain;
mod refusal;
mod store;

use std::fmt;

pub use envelope::{ErrorBody, ErrorEnvelope};
pub use explain::{BoxError, Explained};
pub use refusal::{Code, FieldError, Fields, Kind, Refusal, codes};
pub use store::{Replay, StoreError};

/// Why a kernel function failed.
#[derive(thiserror::Error)]
pub enum Error {
    /// The call was refused for a reason that the caller can act on.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database failed, or refused the transaction.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another internal failure.
    #[error("{0}")]
    Broken(#[source] BoxError),
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(refusal) => write!(f, "{}: {refusal}", refusal.code()),
            Error::Store(_) | Error::Broken(_) => fmt::Display::fmt(&Explained(self), f),
        }
    }
}

impl Error {
    /// Creates an internal failure with `source` as its cause.
    pub fn broken(source: impl Into<BoxError>) -> Self {
        Self::Broken(source.into())
    }

    /// The stable code, if this is a refusal.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Error::Refused(refusal) => Some(refusal.code()),
            Error::Store(_) | Error::Broken(_) => None,
        }
    }
}
