//! Why a call failed, as an adapter has to answer it: every [`Error`] of the kernel is one of three.

use std::error::Error as StdError;
use std::time::Duration;

use crate::access::names::codes::ACCESS_CHANGED;
use crate::base::error::{BoxError, Error, Explained, Refusal, Replay, StoreError, codes};
use crate::base::response::StoredResponse;
use crate::billing::names::codes::LIMIT_REACHED;
use crate::guard::names::codes::{IDEMPOTENCY_DONE, IDEMPOTENCY_IN_FLIGHT, IDEMPOTENCY_KEY_REUSED, RATE_LIMITED};

/// Why a call failed.
#[derive(Debug)]
pub enum Failure {
    /// The call was refused; the caller can act on the reason.
    Refused(Refusal),
    /// Something is broken. Log the cause and answer with [`report`]: the caller only learns the request id.
    Broken(BoxError),
    /// A retry with an idempotency key: the caller gets the stored response of the first call.
    Replayed(Box<StoredResponse>),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => refusal.into(),
            Error::Store(error) => error.into(),
            Error::Broken(error) => Self::Broken(error),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let soon = Duration::from_secs(1);
        let retry_soon = |code, text: &'static str| Refusal::new(code, text).retry_after(soon);
        Self::Refused(match error {
            StoreError::Conflict(_) => {
                Refusal::new(&codes::CONFLICT, "the change conflicts with what exists already; read it again")
            }
            StoreError::Reference { field, in_use: false, .. } => {
                Refusal::field(field, "refers to something that does not exist in this workspace")
            }
            StoreError::Reference { table, field, in_use: true } => Refusal::new(
                &codes::CONFLICT,
                format!("`{table}` still refer to it (`{field}`); change or delete those first"),
            ),
            StoreError::Limit(key) => Refusal::new(&LIMIT_REACHED, format!("the plan's `{key}` are used up")),
            StoreError::AccessChanged => Refusal::new(
                &ACCESS_CHANGED,
                "your membership, role or key changed while this call ran, so nothing of it was kept; call again",
            ),
            StoreError::Serialization | StoreError::Locked => {
                retry_soon(&codes::BUSY, "the same rows are being changed by another request; try again in a second")
            }
            StoreError::PoolShareExhausted => retry_soon(
                &codes::BUSY,
                "too many of your calls, or of this workspace, run at once; try again in a second",
            ),
            StoreError::Timeout => {
                retry_soon(&codes::TIMEOUT, "the database took too long; try again, or ask for less at once")
            }
            StoreError::Unavailable(source) => {
                tracing::error!(error = %source, "the database is not available");
                retry_soon(&codes::UNAVAILABLE, "the database is not available at this moment; try again in a second")
            }
            StoreError::Replay(Replay::Response(answer)) => return Self::Replayed(answer),
            StoreError::Replay(Replay::InFlight) => retry_soon(
                &IDEMPOTENCY_IN_FLIGHT,
                "the first request with this Idempotency-Key still runs; repeat it in a second",
            ),
            StoreError::Replay(Replay::Done) => Refusal::new(
                &IDEMPOTENCY_DONE,
                "the first request with this Idempotency-Key saved its changes, but its response is not stored: it still runs, or \
                 ended without one; repeat this one later, or read the resource instead",
            ),
            StoreError::Replay(Replay::OtherRequest) => Refusal::new(
                &IDEMPOTENCY_KEY_REUSED,
                "this Idempotency-Key belongs to a request with another method, address or body; use a new one",
            ),
            StoreError::Scope | StoreError::Backend(_) => return Self::Broken(Box::new(error)),
        })
    }
}

/// Logs what is broken and returns the refusal `internal`, which says nothing of it.
pub fn report(error: &(dyn StdError + 'static)) -> Refusal {
    tracing::error!(error = %Explained(error), "a request failed");
    Refusal::new(&codes::INTERNAL, "something broke on our side; the request id helps support to find it")
}

/// The refusal for an HTTP status of 400 or above that came without one; `None` for another status.
pub fn refusal_of_status(status: u16) -> Option<Refusal> {
    let code = match status {
        401 => &codes::UNAUTHENTICATED,
        403 => &codes::FORBIDDEN,
        404 => &codes::NOT_FOUND,
        405 => &codes::METHOD_NOT_ALLOWED,
        408 => &codes::REQUEST_TIMEOUT,
        409 => &codes::CONFLICT,
        413 => &codes::PAYLOAD_TOO_LARGE,
        415 => &codes::UNSUPPORTED_MEDIA_TYPE,
        422 => &codes::VALIDATION_FAILED,
        429 => &RATE_LIMITED,
        503 => &codes::UNAVAILABLE,
        400..500 => &codes::BAD_REQUEST,
        500..600 => &codes::INTERNAL,
        _ => return None,
    };
    Some(Refusal::new(code, code.help))
}
