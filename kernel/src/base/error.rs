//! Absent is `None`, refused is a [`Refusal`] with a stable code, broken is an [`Error`].

mod explain;
mod refusal;
mod store;

use std::fmt;

pub use explain::{BoxError, Explained};
pub use refusal::{Code, FieldError, Fields, Kind, Refusal, codes};
pub use store::{Replay, StoreError};

/// Why a kernel function did not do it.
#[derive(thiserror::Error)]
pub enum Error {
    /// The caller can act on it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The system of record failed or refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Anything else that is broken.
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
    /// Something broke for `source`.
    pub fn broken(source: impl Into<BoxError>) -> Self {
        Self::Broken(source.into())
    }

    /// The refusal's stable code, if it is one.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Error::Refused(refusal) => Some(refusal.code()),
            Error::Store(_) | Error::Broken(_) => None,
        }
    }
}
