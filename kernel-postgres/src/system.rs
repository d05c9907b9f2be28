//! The system login: sees every workspace, by policies of its own. Never reachable from a request's types.

use async_trait::async_trait;
use saas_kernel::{Scope, StoreError, SystemStore, Tx};
use sqlx::PgPool;

use crate::begin::begin;
use crate::connect::{self, ConnectError, PgOptions};
use crate::error::PgResult;
use crate::tx::PgTx;

/// The system of record as workers, the webhook receiver and staff see it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PgSystem(PgPool);

impl PgSystem {
    /// Connects as `kernel_system` with the defaults of [`PgOptions::system`].
    ///
    /// # Errors
    /// As [`PgStore::connect`](crate::PgStore::connect).
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Ok(Self(connect::pool(url, PgOptions::system(), "kernel_system").await?))
    }

    /// Begins a transaction over all workspaces for `part`, ready for the product's own SQL.
    ///
    /// # Errors
    /// `Unavailable` when there is no connection.
    pub async fn begin_system(&self, part: &'static str) -> Result<PgTx, StoreError> {
        let connection = self.0.acquire().await.store()?;
        Ok(PgTx::new(begin(connection, "BEGIN".to_owned()).await?, Scope::system(part), None))
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.0
    }

    /// Makes the monthly partitions of the append-only tables ahead of time and tells how many were missing.
    ///
    /// # Errors
    /// What the database says.
    pub async fn ensure_partitions(&self) -> Result<i32, StoreError> {
        sqlx::query_scalar("SELECT kernel.ensure_partitions()").fetch_one(&self.0).await.store()
    }
}

#[async_trait]
impl SystemStore for PgSystem {
    async fn begin(&self, part: &'static str) -> Result<Box<dyn Tx>, StoreError> {
        Ok(Box::new(self.begin_system(part).await?))
    }
}
