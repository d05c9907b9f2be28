//! Repository of API keys.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use saas_kernel::StoreError;
use saas_kernel::id::{ApiKeyId, WorkspaceId};
use saas_kernel::identity::api_keys::{ApiKey, ApiKeyReads, ApiKeys};
use saas_kernel::page::{Page, PageRequest};
use saas_kernel::secret::TokenHash;
use uuid::Uuid;

use crate::error::PgResult;
use crate::page::BindPage;
use crate::tx::{PgTx, TxMode};

#[derive(sqlx::FromRow)]
struct KeyRow {
    id: Uuid,
    name: String,
    prefix: String,
    scopes: Vec<String>,
    created_by: Uuid,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
}

impl From<KeyRow> for ApiKey {
    fn from(row: KeyRow) -> Self {
        Self {
            id: row.id.into(),
            name: row.name,
            prefix: row.prefix,
            scopes: row.scopes,
            created_by: row.created_by.into(),
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
        }
    }
}

const INSERT: &str = "
INSERT INTO kernel.api_keys (workspace_id, id, name, prefix, token_hash, scopes, created_by, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

const LIST: &str = "
SELECT id, name, prefix, scopes, created_by, created_at, expires_at, last_used_at FROM kernel.api_keys
WHERE workspace_id = $1 AND revoked_at IS NULL AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))
ORDER BY created_at DESC, id DESC LIMIT $4";

const COUNT: &str = "
SELECT count(*) FROM kernel.api_keys
WHERE workspace_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)";

const LOCK: &str = "SELECT FROM kernel.api_keys WHERE workspace_id = $1 AND id = $2 FOR NO KEY UPDATE";

const REVOKE: &str =
    "UPDATE kernel.api_keys SET revoked_at = $3 WHERE workspace_id = $1 AND id = $2 AND revoked_at IS NULL";

const TOUCH: &str = "
UPDATE kernel.api_keys SET last_used_at = $3
WHERE workspace_id = $1 AND id = $2 AND revoked_at IS NULL AND (last_used_at IS NULL OR last_used_at < $3)";

#[async_trait]
impl<M: TxMode> ApiKeyReads for PgTx<M> {
    async fn list(&mut self, workspace: WorkspaceId, page: &PageRequest) -> Result<Page<ApiKey>, StoreError> {
        let rows: Vec<KeyRow> = sqlx::query_as(self.sql(LIST))
            .bind(workspace.uuid())
            .bind_page(page)
            .fetch_all(self.connection())
            .await
            .store()?;
        Ok(Page::cut(rows.into_iter().map(ApiKey::from).collect(), page, ApiKey::position))
    }

    async fn count(&mut self, workspace: WorkspaceId, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar(self.sql(COUNT))
            .bind(workspace.uuid())
            .bind(now)
            .fetch_one(self.connection())
            .await
            .store()?;
        Ok(u64::try_from(count).unwrap_or_default())
    }
}

#[async_trait]
impl ApiKeys for PgTx {
    async fn insert(&mut self, workspace: WorkspaceId, key: &ApiKey, token: &TokenHash) -> Result<(), StoreError> {
        sqlx::query(self.sql(INSERT))
            .bind(workspace.uuid())
            .bind(key.id.uuid())
            .bind(&key.name)
            .bind(&key.prefix)
            .bind(token.0.as_slice())
            .bind(&key.scopes)
            .bind(key.created_by.uuid())
            .bind(key.created_at)
            .bind(key.expires_at)
            .execute(self.conn())
            .await
            .store()?;
        Ok(())
    }

    async fn revoke(&mut self, workspace: WorkspaceId, id: ApiKeyId, at: DateTime<Utc>) -> Result<bool, StoreError> {
        self.before_change(workspace, id.uuid(), LOCK).await?;
        let revoke = sqlx::query(self.sql(REVOKE)).bind(workspace.uuid()).bind(id.uuid()).bind(at);
        let revoke = revoke.execute(self.conn_for_blocking_statement()).await;
        self.blocking_statement_ended();
        let revoked = revoke.store()?.rows_affected() == 1;
        if revoked {
            self.mark_standing_changed(id.uuid());
        }
        Ok(revoked)
    }

    async fn touch(&mut self, workspace: WorkspaceId, id: ApiKeyId, at: DateTime<Utc>) -> Result<(), StoreError> {
        let touch = sqlx::query(self.sql(TOUCH)).bind(workspace.uuid()).bind(id.uuid()).bind(at);
        let touched = touch.execute(self.conn_for_blocking_statement()).await;
        self.blocking_statement_ended();
        touched.store().map(drop)
    }
}
