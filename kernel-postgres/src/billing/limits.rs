//! Repository of usage counters. One guarded `UPDATE` decides about each reservation.

use std::collections::BTreeMap;

use async_trait::async_trait;
use saas_kernel::StoreError;
use saas_kernel::access::catalog::Cap;
use saas_kernel::billing::limits::{Limits, Reserved, Usage};
use saas_kernel::id::WorkspaceId;

use crate::error::PgResult;
use crate::tx::PgTx;

/// Besides counting, it leaves a credit in the transaction, which the counting trigger uses up (migrations/0001_access.sql).
const RESERVE: &str = "
UPDATE kernel.usage SET used = used + $3
WHERE workspace_id = $1 AND key = $2 AND (cap IS NULL OR used + $3 <= cap)
RETURNING set_config('kernel_credit.' || key,
    (coalesce(nullif(current_setting('kernel_credit.' || key, true), '')::bigint, 0) + $3)::text, true)";

fn usage(used: i64, cap: Option<i64>) -> Usage {
    let count = |n: i64| u64::try_from(n).unwrap_or_default();
    Usage { used: count(used), cap: cap.map_or(Cap::Unlimited, |cap| Cap::Finite(count(cap))) }
}

fn columns(caps: &BTreeMap<String, Cap>) -> (Vec<&str>, Vec<Option<i64>>) {
    caps.iter().map(|(key, cap)| (key.as_str(), cap.stored())).unzip()
}

#[async_trait]
impl Limits for PgTx {
    async fn reserve(&mut self, workspace: WorkspaceId, key: &str, n: u32) -> Result<Reserved, StoreError> {
        // Only a system transaction can access the counters of a second workspace.
        if self.scope_ref().workspace().is_none() && self.buffer.reserved_elsewhere(workspace.uuid(), key) {
            return Err(StoreError::Scope);
        }
        let reserve = sqlx::query(RESERVE).bind(workspace.uuid()).bind(key).bind(i64::from(n));
        let reserved = reserve.execute(self.conn_for_blocking_statement()).await;
        self.blocking_statement_ended();
        if reserved.store()?.rows_affected() == 1 {
            self.buffer.reserved(workspace.uuid(), key);
            return Ok(Reserved::Yes);
        }
        Ok(self.usage(workspace, key).await?.map_or(Reserved::Unknown, Reserved::Full))
    }

    async fn usage(&mut self, workspace: WorkspaceId, key: &str) -> Result<Option<Usage>, StoreError> {
        let row: Option<(i64, Option<i64>)> =
            sqlx::query_as("SELECT used, cap FROM kernel.usage WHERE workspace_id = $1 AND key = $2")
                .bind(workspace.uuid())
                .bind(key)
                .fetch_optional(self.conn())
                .await
                .store()?;
        Ok(row.map(|(used, cap)| usage(used, cap)))
    }

    async fn all(&mut self, workspace: WorkspaceId) -> Result<BTreeMap<String, Usage>, StoreError> {
        let rows: Vec<(String, i64, Option<i64>)> =
            sqlx::query_as("SELECT key, used, cap FROM kernel.usage WHERE workspace_id = $1")
                .bind(workspace.uuid())
                .fetch_all(self.conn())
                .await
                .store()?;
        Ok(rows.into_iter().map(|(key, used, cap)| (key, usage(used, cap))).collect())
    }

    async fn create_counters(
        &mut self,
        workspace: WorkspaceId,
        caps: &BTreeMap<String, Cap>,
    ) -> Result<(), StoreError> {
        let (keys, caps) = columns(caps);
        sqlx::query(
            "INSERT INTO kernel.usage (workspace_id, key, cap) SELECT $1, * FROM unnest($2::text[], $3::bigint[])",
        )
        .bind(workspace.uuid())
        .bind(keys)
        .bind(caps)
        .execute(self.conn())
        .await
        .store()?;
        Ok(())
    }

    async fn set_caps(&mut self, workspace: WorkspaceId, caps: &BTreeMap<String, Cap>) -> Result<(), StoreError> {
        let (keys, caps) = columns(caps);
        sqlx::query(
            "INSERT INTO kernel.usage (workspace_id, key, cap) SELECT $1, * FROM unnest($2::text[], $3::bigint[])
             ON CONFLICT (workspace_id, key) DO UPDATE SET cap = excluded.cap",
        )
        .bind(workspace.uuid())
        .bind(keys)
        .bind(caps)
        .execute(self.conn())
        .await
        .store()?;
        Ok(())
    }
}
