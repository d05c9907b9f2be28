//! Releases idempotency keys of calls that failed after their commit.

use crate::access::Grant;
use crate::base::error::StoreError;
use crate::store::{Proof, Store};

/// Releases the idempotency key of the grant's call, for a call in which something failed after the commit, such as sending a
/// mail. A retry then runs again instead of getting the stored response.
///
/// # Errors
/// The errors of a transaction.
pub async fn free(store: &dyn Store, grant: &Grant) -> Result<(), StoreError> {
    let Some(key) = grant.call().idempotency().cloned() else { return Ok(()) };
    let mut tx = store.begin(grant.scope().in_background()).await?;
    tx.records().free(key);
    tx.commit().await?;
    grant.call().mark_released();
    Ok(())
}
