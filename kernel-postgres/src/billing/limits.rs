//! Repository of usage counters. One guarded `UPDATE` decides about each reservation.

use std::collections::BTreeMap;

use async_trait::async_trait;
use saas_kernel::StoreError;
use saas_kernel::access::catalog::Cap;
use saas_kernel::billing::limits::{LimitReads, Limits, Reserved, Usage};
use saas_kernel::id::WorkspaceId;
use saas_kernel::store::Reach;

use crate::error::{PgResult, bad_row};
use crate::tx::{PgTx, TxMode};

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

/// How often a reservation is tried: again after its counter was made, by this transaction or another.
const ATTEMPTS: usize = 3;

#[async_trait]
impl<M: TxMode> LimitReads for PgTx<M> {
    async fn usage(&mut self, workspace: WorkspaceId, key: &str) -> Result<Option<Usage>, StoreError> {
        let counter = self.counter(workspace, key).await?;
        if counter.is_some() || !self.has_counters_of(workspace) {
            return Ok(counter);
        }
        let cap: Option<String> = sqlx::query_scalar(self.sql("SELECT kernel.limit_of($1, $2)"))
            .bind(workspace.uuid())
            .bind(key)
            .fetch_one(self.connection())
            .await
            .store()?;
        cap.map(|cap| Ok(Usage { used: 0, cap: stored_cap(&cap)? })).transpose()
    }

    async fn all(&mut self, workspace: WorkspaceId) -> Result<BTreeMap<String, Usage>, StoreError> {
        let rows: Vec<(String, i64, Option<i64>)> =
            sqlx::query_as(self.sql("SELECT key, used, cap FROM kernel.usage WHERE workspace_id = $1"))
                .bind(workspace.uuid())
                .fetch_all(self.connection())
                .await
                .store()?;
        Ok(rows.into_iter().map(|(key, used, cap)| (key, usage(used, cap))).collect())
    }
}

#[async_trait]
impl Limits for PgTx {
    async fn reserve(&mut self, workspace: WorkspaceId, key: &str, n: u32) -> Result<Reserved, StoreError> {
        // Only a system transaction can access the counters of a second workspace.
        if self.scope_ref().workspace().is_none() && self.buffer.reserved_elsewhere(workspace.uuid(), key) {
            return Err(StoreError::Scope);
        }
        let mut last = None;
        for _ in 0..ATTEMPTS {
            if self.try_reserve(workspace, key, n).await? {
                self.buffer.reserved(workspace.uuid(), key);
                return Ok(Reserved::Yes);
            }
            last = self.counter(workspace, key).await?;
            match last {
                Some(usage) if !usage.cap.allows(usage.used + u64::from(n)) => return Ok(Reserved::Full(usage)),
                // Made, or a place given back, since the attempt.
                Some(_) => {}
                None if self.make_counter(workspace, key).await? => {}
                None => return Ok(Reserved::Unknown),
            }
        }
        Ok(last.map_or(Reserved::Unknown, Reserved::Full))
    }

    async fn set_caps(&mut self, workspace: WorkspaceId, caps: &BTreeMap<String, Cap>) -> Result<(), StoreError> {
        let (keys, caps) = columns(caps);
        sqlx::query(self.sql(
            "INSERT INTO kernel.usage (workspace_id, key, cap) SELECT $1, * FROM unnest($2::text[], $3::bigint[])
             ON CONFLICT (workspace_id, key) DO UPDATE SET cap = excluded.cap",
        ))
        .bind(workspace.uuid())
        .bind(keys)
        .bind(caps)
        .execute(self.conn())
        .await
        .store()?;
        Ok(())
    }
}

impl PgTx {
    async fn try_reserve(&mut self, workspace: WorkspaceId, key: &str, n: u32) -> Result<bool, StoreError> {
        let reserve = sqlx::query(self.sql(RESERVE)).bind(workspace.uuid()).bind(key).bind(i64::from(n));
        let reserved = reserve.execute(self.conn_for_blocking_statement()).await;
        self.blocking_statement_ended();
        Ok(reserved.store()?.rows_affected() == 1)
    }

    async fn make_counter(&mut self, workspace: WorkspaceId, key: &str) -> Result<bool, StoreError> {
        if !self.has_counters_of(workspace) {
            return Ok(false);
        }
        let make = sqlx::query_scalar(self.sql("SELECT kernel.make_counter($1, $2)")).bind(workspace.uuid()).bind(key);
        let made = make.fetch_one(self.conn_for_blocking_statement()).await;
        self.blocking_statement_ended();
        made.store()
    }
}

impl<M: TxMode> PgTx<M> {
    async fn counter(&mut self, workspace: WorkspaceId, key: &str) -> Result<Option<Usage>, StoreError> {
        let row: Option<(i64, Option<i64>)> =
            sqlx::query_as(self.sql("SELECT used, cap FROM kernel.usage WHERE workspace_id = $1 AND key = $2"))
                .bind(workspace.uuid())
                .bind(key)
                .fetch_optional(self.connection())
                .await
                .store()?;
        Ok(row.map(|(used, cap)| usage(used, cap)))
    }

    /// A person sees their workspaces in a scope of their own, but not the counters.
    fn has_counters_of(&self, workspace: WorkspaceId) -> bool {
        match self.scope_ref().reach() {
            Reach::Rows { workspace: of, .. } => of == Some(workspace),
            Reach::System(_) => true,
        }
    }
}

fn stored_cap(cap: &str) -> Result<Cap, StoreError> {
    match cap {
        "unlimited" => Ok(Cap::Unlimited),
        number => number.parse().map(Cap::Finite).map_err(|_| bad_row("workspaces", "entitlements", cap)),
    }
}
