//! The system login: sees every workspace, by policies of its own. Never reachable from a request's types.

use async_trait::async_trait;
use saas_kernel::access::catalog::Catalog;
use saas_kernel::{Scope, StoreError, SystemStore, Tx};
use sqlx::PgPool;

use crate::begin::begin;
use crate::connect::{self, ConnectError, PgOptions};
use crate::error::PgResult;
use crate::partitions::{self, PartitionReport};
use crate::share::HeldShares;
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
        Ok(PgTx::new(begin(connection, "BEGIN".to_owned()).await?, Scope::system(part), HeldShares::default()))
    }

    /// Tells the database what the plans allow, so that every workspace's caps are those of its plan. Run it when the
    /// configuration may have changed: at start-up. One statement when nothing did; replicas wait for each other.
    ///
    /// # Errors
    /// What the database says; nothing is changed then.
    pub async fn sync_catalog(&self, catalog: &Catalog) -> Result<bool, StoreError> {
        let fingerprint = catalog.limits_fingerprint();
        let known: Option<String> = sqlx::query_scalar("SELECT value FROM kernel.settings WHERE key = 'limits'")
            .fetch_optional(&self.0)
            .await
            .store()?;
        if known.as_deref() == Some(&fingerprint) {
            return Ok(false);
        }
        let mut tx = self.begin_system("catalog").await?;
        sqlx::query("SELECT pg_advisory_xact_lock(hashtext('kernel.catalog'))").execute(tx.conn()).await.store()?;
        // A large installation has many rows to go through, once for each change of a limit.
        sqlx::query("SET LOCAL statement_timeout = '10min'").execute(tx.conn()).await.store()?;
        let keys: Vec<&str> = catalog.plans().iter().map(|plan| plan.key.as_str()).collect();
        for plan in catalog.plans() {
            for (key, cap) in &plan.limits {
                sqlx::query(SYNC_CAP)
                    .bind(key)
                    .bind(cap.stored())
                    .bind(&plan.key)
                    .bind(&catalog.free().key)
                    .bind(&keys)
                    .execute(tx.conn())
                    .await
                    .store()?;
            }
        }
        let save = "INSERT INTO kernel.settings (key, value) VALUES ('limits', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        sqlx::query(save).bind(&fingerprint).execute(tx.conn()).await.store()?;
        tx.commit().await?;
        Ok(true)
    }

    /// Adds the monthly partitions of the audit log, the outbox and the webhook inbox that are missing, from last month to three
    /// months on, while readers and writers go on: none of them waits more than about 100 ms for it. A table that a long transaction
    /// reads, such as a backup's, is tried a few times and then left; what is still missing is logged as an error and returned.
    /// Rows of a month without a partition go to the table's default partition. Call it at least once a month.
    ///
    /// # Errors
    /// `Unavailable` when there is no connection, and what the database says to the question of which are missing.
    pub async fn ensure_partitions(&self) -> Result<PartitionReport, StoreError> {
        partitions::ensure(&self.0).await
    }
}

/// A workspace without a plan, or on one that is no longer offered ($5), is on the free one ($4). Locked first: a plan that
/// changes at this moment is waited for and seen.
const SYNC_CAP: &str = "
WITH w AS MATERIALIZED (
    SELECT id FROM kernel.workspaces WHERE CASE WHEN plan = ANY($5) THEN plan ELSE $4 END = $3 ORDER BY id FOR SHARE
)
INSERT INTO kernel.usage AS u (workspace_id, key, cap) SELECT w.id, $1, $2 FROM w
ON CONFLICT (workspace_id, key) DO UPDATE SET cap = excluded.cap WHERE u.cap IS DISTINCT FROM excluded.cap";

#[async_trait]
impl SystemStore for PgSystem {
    async fn begin(&self, part: &'static str) -> Result<Box<dyn Tx>, StoreError> {
        Ok(Box::new(self.begin_system(part).await?))
    }
}
