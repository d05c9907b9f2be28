//! The same data as the product's own machinery sees it: every workspace.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::store::Shared;
use super::tx::MemoryTx;
use crate::store::{Scope, StoreError, SystemStore, Tx};

/// The system of record as workers and the webhook receiver see it; made by
/// [`MemoryStore::system`](super::MemoryStore::system). Cheap to clone.
#[derive(Clone)]
pub struct MemorySystem(pub(crate) Arc<Shared>);

impl MemorySystem {
    /// Begins a transaction over all workspaces for `part`.
    ///
    /// # Errors
    /// `Unavailable` when other transactions do not end.
    pub async fn begin_system(&self, part: &'static str) -> Result<MemoryTx, StoreError> {
        MemoryTx::begin(&self.0, Scope::system(part)).await
    }
}

#[async_trait]
impl SystemStore for MemorySystem {
    async fn begin(&self, part: &'static str) -> Result<Box<dyn Tx>, StoreError> {
        Ok(Box::new(self.begin_system(part).await?))
    }
}

impl fmt::Debug for MemorySystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySystem").finish_non_exhaustive()
    }
}
