//! The backend in this process's memory.

use async_trait::async_trait;

use crate::conformance::{Backend, Fresh, LIMIT, workspace_of};
use crate::error::BoxError;
use crate::memory::{MemoryStore, MemorySystem, MemoryTx};
use crate::store::{StoreError, Tx};

/// [`MemoryStore`] as a backend: to be compared with, and to see how short one is.
#[derive(Clone, Copy, Debug)]
pub struct Memory;

#[async_trait(?Send)]
impl Backend for Memory {
    type Store = MemoryStore;
    type System = MemorySystem;

    async fn fresh(&self) -> Result<Fresh<MemoryStore, MemorySystem>, BoxError> {
        let store = MemoryStore::default();
        Ok(Fresh { system: store.system(), store, keep: Box::new(()) })
    }

    async fn insert_row(&self, tx: &mut dyn Tx) -> Result<(), StoreError> {
        let workspace = workspace_of(tx)?;
        MemoryTx::of(tx)?.count_row(workspace, LIMIT.0)
    }

    async fn delete_row(&self, tx: &mut dyn Tx) -> Result<(), StoreError> {
        let workspace = workspace_of(tx)?;
        MemoryTx::of(tx)?.uncount_row(workspace, LIMIT.0)
    }
}
