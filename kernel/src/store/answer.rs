//! Commits a call together with its response.

use super::Tx;
use crate::base::error::Error;
use crate::base::idempotency::StorableResponse;

/// Commits and returns `response`. If the call had an idempotency key, the same commit stores the response for its retries.
///
/// # Errors
/// As [`Tx::commit`].
pub async fn commit_with<R: StorableResponse>(mut tx: Box<dyn Tx>, response: R) -> Result<R, Error> {
    if tx.scope().idempotency().is_some() {
        let stored = response.stored().map_err(Error::Broken)?;
        tx.records().response(stored);
    }
    tx.commit().await?;
    Ok(response)
}
