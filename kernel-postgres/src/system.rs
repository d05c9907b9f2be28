//! The system login: sees every workspace, by policies of its own. Never reachable from a request's types.

use async_trait::async_trait;
use saas_kernel::{Scope, StoreError, SystemStore, Tx};
use sqlx::{PgPool, SqlStr};

use crate::begin::begin;
use crate::connect::{self, ConnectError, PgOptions};
use crate::error::PgResult;
use crate::migrate::Role;
use crate::names::Names;
use crate::partitions::{self, DropReport, PartitionReport, Retention};
use crate::share::HeldShares;
use crate::tx::PgTx;

/// The system of record as workers, the webhook receiver and staff see it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PgSystem {
    pool: PgPool,
    names: Names,
}

impl PgSystem {
    /// Connects as `kernel_system` with the defaults of [`PgOptions::system`].
    ///
    /// # Errors
    /// As [`PgStore::connect`](crate::PgStore::connect).
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::connect_with(url, PgOptions::system()).await
    }

    /// Like [`PgSystem::connect`], with other pool options.
    ///
    /// # Errors
    /// As [`PgStore::connect`](crate::PgStore::connect).
    pub async fn connect_with(url: &str, options: PgOptions) -> Result<Self, ConnectError> {
        let names = Names::new(options.suffix);
        Ok(Self { pool: connect::pool(url, options, &names, Role::System).await?, names })
    }

    /// Begins a transaction over all workspaces for `part`, ready for the product's own SQL.
    ///
    /// # Errors
    /// `Unavailable` when there is no connection.
    pub async fn begin_system(&self, part: &'static str) -> Result<PgTx, StoreError> {
        let connection = self.pool.acquire().await.store()?;
        let begun = begin(connection, "BEGIN".to_owned()).await?;
        Ok(PgTx::new(begun, Scope::system(part), HeldShares::default(), self.names.clone()))
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// The statement with the names of this product's schema and roles.
    pub(crate) fn sql(&self, text: &'static str) -> SqlStr {
        self.names.sql(text)
    }

    /// Adds the monthly partitions of the audit log, the outbox and the webhook inbox that are missing, from last month to three
    /// months on, while readers and writers go on: none of them waits more than about 100 ms for it. A table that a long transaction
    /// reads, such as a backup's, is tried a few times and then left; what is still missing is logged as an error and returned.
    /// Rows of a month without a partition go to the table's default partition. Call it at least once a month.
    ///
    /// # Errors
    /// `Unavailable` when there is no connection, and what the database says to the question of which are missing.
    pub async fn ensure_partitions(&self) -> Result<PartitionReport, StoreError> {
        partitions::ensure(self).await
    }

    /// Drops the monthly partitions of the audit log, the outbox and the webhook inbox that `retention` no longer asks for: months
    /// that ended longer ago, each in a transaction of its own, in which others wait about 100 ms at most. A table in use is tried a
    /// few times and then left; a month of the inbox with events that are still to be processed stays. What stays is logged and
    /// returned. Rows in a default partition are not dropped. Call it once a day, or as often as the retention asks for.
    ///
    /// # Errors
    /// If a retention is shorter than its minimum: nothing was dropped then. `Unavailable` when there is no connection.
    pub async fn drop_expired_partitions(&self, retention: &Retention) -> Result<DropReport, StoreError> {
        partitions::drop_expired(self, retention).await
    }
}

#[async_trait]
impl SystemStore for PgSystem {
    async fn begin(&self, part: &'static str) -> Result<Box<dyn Tx>, StoreError> {
        Ok(Box::new(self.begin_system(part).await?))
    }
}
