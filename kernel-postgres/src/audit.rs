//! Repository of the audit log.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use saas_kernel::StoreError;
use saas_kernel::actor::ActorRef;
use saas_kernel::audit::{AuditFilter, AuditLog, AuditRecord};
use saas_kernel::id::WorkspaceId;
use saas_kernel::page::{Page, PageRequest};
use serde_json::Value;
use uuid::Uuid;

use crate::error::PgResult;
use crate::tx::PgTx;

#[derive(sqlx::FromRow)]
struct AuditRow {
    workspace_id: Uuid,
    at: DateTime<Utc>,
    id: Uuid,
    actor_type: String,
    actor_id: Uuid,
    actor_label: String,
    action: String,
    target_type: String,
    target_id: String,
    meta: Value,
    ip: Option<String>,
    request_id: String,
}

impl From<AuditRow> for AuditRecord {
    fn from(row: AuditRow) -> Self {
        Self {
            id: row.id.into(),
            workspace: row.workspace_id.into(),
            actor: ActorRef::from_row(row.actor_type, row.actor_id, Some(row.actor_label)),
            action: row.action,
            target_type: row.target_type,
            target_id: row.target_id,
            meta: row.meta,
            ip: row.ip,
            request_id: row.request_id,
            at: row.at,
        }
    }
}

const LIST: &str = "
SELECT workspace_id, at, id, actor_type, actor_id, actor_label, action, target_type, target_id, meta, ip, request_id
FROM kernel.audit_log
WHERE workspace_id = $1
  AND ($2::timestamptz IS NULL OR (at, id) < ($2, $3))
  AND ($4::timestamptz IS NULL OR at >= $4) AND ($5::timestamptz IS NULL OR at < $5)
  AND ($6::text IS NULL OR actor_type = $6) AND ($7::uuid IS NULL OR actor_id = $7)
  AND ($8::text IS NULL OR action = $8)
  AND ($9::text IS NULL OR target_type = $9) AND ($10::text IS NULL OR target_id = $10)
ORDER BY at DESC, id DESC LIMIT $11";

#[async_trait]
impl AuditLog for PgTx {
    async fn list(
        &mut self,
        workspace: WorkspaceId,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<AuditRecord>, StoreError> {
        let rows: Vec<AuditRow> = sqlx::query_as(LIST)
            .bind(workspace.uuid())
            .bind(page.after.map(|after| after.at))
            .bind(page.after.map(|after| after.id))
            .bind(filter.from)
            .bind(filter.until)
            .bind(&filter.actor_type)
            .bind(filter.actor_id)
            .bind(&filter.action)
            .bind(&filter.target_type)
            .bind(&filter.target_id)
            .bind(page.fetch())
            // Planned for the filters that are given: a plan that is kept serves any of them by none of their indexes.
            .persistent(false)
            .fetch_all(self.conn())
            .await
            .store()?;
        Ok(Page::cut(rows.into_iter().map(AuditRecord::from).collect(), page, AuditRecord::position))
    }
}
