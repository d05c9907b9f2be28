//! Repository of the audit log, which shows each entry with its personal data.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use saas_kernel::actor::ActorRef;
use saas_kernel::audit::{AuditFilter, AuditLog, AuditLogReads, AuditRecord};
use saas_kernel::id::UserId;
use saas_kernel::page::{Page, PageRequest};
use saas_kernel::{StoreError, Subject};
use serde_json::Value;
use uuid::Uuid;

use crate::error::{PgResult, bad_row};
use crate::tx::{PgTx, TxMode};

#[derive(sqlx::FromRow)]
struct AuditRow {
    subject_type: String,
    subject_id: Uuid,
    at: DateTime<Utc>,
    id: Uuid,
    actor_type: String,
    actor_id: Uuid,
    actor_label: String,
    acting_as: Option<Uuid>,
    action: String,
    target_type: String,
    target_id: String,
    meta: Value,
    request_id: String,
    ip: Option<String>,
    details: Option<Value>,
}

impl TryFrom<AuditRow> for AuditRecord {
    type Error = StoreError;

    fn try_from(row: AuditRow) -> Result<Self, StoreError> {
        let about = Subject::from_row(&row.subject_type, row.subject_id);
        Ok(Self {
            id: row.id.into(),
            about: about.ok_or_else(|| bad_row("audit_log", "subject_type", &row.subject_type))?,
            actor: ActorRef::from_row(row.actor_type, row.actor_id, Some(row.actor_label)),
            acting_as: row.acting_as.map(UserId::from),
            action: row.action,
            target_type: row.target_type,
            target_id: row.target_id,
            meta: with_details(row.meta, row.details),
            ip: row.ip,
            request_id: row.request_id,
            at: row.at,
        })
    }
}

/// The entry's details with those that are personal data.
fn with_details(mut meta: Value, details: Option<Value>) -> Value {
    if let (Some(meta), Some(Value::Object(details))) = (meta.as_object_mut(), details) {
        meta.extend(details);
    }
    meta
}

/// LIMIT 1 keeps the look-up of an entry's personal data one by its key.
const LIST: &str = "
SELECT e.*, p.ip, p.details
FROM (
    SELECT subject_type, subject_id, at, id, retention, actor_type, actor_id, actor_label, acting_as, action, target_type, target_id, meta,
           request_id
    FROM kernel.audit_log
    WHERE subject_type = $12 AND subject_id = $1
      AND ($2::timestamptz IS NULL OR (at, id) < ($2, $3))
      AND ($4::timestamptz IS NULL OR at >= $4) AND ($5::timestamptz IS NULL OR at < $5)
      AND ($6::text IS NULL OR actor_type = $6) AND ($7::uuid IS NULL OR actor_id = $7)
      AND ($8::text IS NULL OR action = $8)
      AND ($9::text IS NULL OR target_type = $9) AND ($10::text IS NULL OR target_id = $10)
    ORDER BY at DESC, id DESC LIMIT $11
) e
LEFT JOIN LATERAL (
    SELECT ip, details FROM kernel.audit_personal
    WHERE subject_id = e.subject_id AND at = e.at AND id = e.id AND retention = e.retention LIMIT 1
) p ON true
ORDER BY e.at DESC, e.id DESC";
const ERASE: &str = "DELETE FROM kernel.audit_personal WHERE actor_id = $1";

#[async_trait]
impl<M: TxMode> AuditLogReads for PgTx<M> {
    async fn list(
        &mut self,
        about: Subject,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<AuditRecord>, StoreError> {
        let rows: Vec<AuditRow> = sqlx::query_as(self.sql(LIST))
            .bind(about.uuid())
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
            .bind(about.kind())
            // Planned for the filters that are given: a plan that is kept serves any of them by none of their indexes.
            .persistent(false)
            .fetch_all(self.connection())
            .await
            .store()?;
        let records = rows.into_iter().map(AuditRecord::try_from).collect::<Result<_, _>>()?;
        Ok(Page::cut(records, page, AuditRecord::position))
    }
}

#[async_trait]
impl AuditLog for PgTx {
    async fn erase_personal_data(&mut self, person: UserId) -> Result<u64, StoreError> {
        let erased = sqlx::query(self.sql(ERASE)).bind(person.uuid()).execute(self.conn()).await.store()?;
        Ok(erased.rows_affected())
    }
}
