//! Idempotency keys whose call failed after its commit.

use crate::access::Grant;
use crate::base::error::StoreError;
use crate::store::{Proof, Store};

/// Frees the key of the grant's call, for a call of which something failed after its commit, such as handing a mail over: a
/// retry then runs, and is not answered as if all was well.
///
/// # Errors
/// Those of a transaction.
pub async fn free(store: &dyn Store, grant: &Grant) -> Result<(), StoreError> {
    let Some(key) = grant.ctx().idempotency.as_deref().cloned() else { return Ok(()) };
    let mut tx = store.begin(grant.scope().in_background()).await?;
    tx.records().free(key);
    tx.commit().await
}
