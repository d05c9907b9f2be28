//! The records buffer, and its flush: one statement for all audit entries and events of a transaction.

use saas_kernel::StoreError;
use saas_kernel::audit::AuditEntry;
use saas_kernel::events::OutboxEvent;
use saas_kernel::guard::idempotency::StoredAnswer;
use saas_kernel::records::Records;
use serde::Serialize;
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::PgResult;
use crate::tx::PgTx;

#[derive(Debug, Default)]
pub(crate) struct Buffer {
    audit: Vec<AuditRow>,
    events: Vec<EventRow>,
    answer: Option<StoredAnswer>,
    reserved: Vec<(Uuid, String)>,
}

impl Buffer {
    /// Notes that places of a limit were taken, so that the flush can give back those that no row came for.
    pub(crate) fn reserved(&mut self, workspace: Uuid, key: &str) {
        if !self.reserved.iter().any(|(_, known)| known == key) {
            self.reserved.push((workspace, key.to_owned()));
        }
    }
}

#[derive(Debug, Serialize)]
struct AuditRow {
    workspace_id: Uuid,
    id: Uuid,
    actor_type: &'static str,
    actor_id: Uuid,
    actor_label: String,
    action: &'static str,
    target_type: &'static str,
    target_id: String,
    meta: Value,
    ip: Option<String>,
    user_agent: Option<String>,
    request_id: String,
}

#[derive(Debug, Serialize)]
struct EventRow {
    workspace_id: Uuid,
    id: Uuid,
    subject: &'static str,
    body: Value,
}

impl Records for Buffer {
    fn audit(&mut self, entry: AuditEntry) {
        self.audit.push(AuditRow {
            workspace_id: entry.workspace.uuid(),
            id: entry.id.uuid(),
            actor_type: entry.actor.kind(),
            actor_id: entry.actor.uuid(),
            actor_label: entry.actor.label(),
            action: entry.action,
            target_type: entry.target_type,
            target_id: entry.target_id,
            meta: entry.meta,
            ip: entry.ip.map(|ip| ip.to_string()),
            user_agent: entry.user_agent.map(|text| text.to_string()),
            request_id: entry.request_id.to_string(),
        });
    }

    fn event(&mut self, event: OutboxEvent) {
        self.events.push(EventRow {
            workspace_id: event.workspace.uuid(),
            id: event.id.uuid(),
            subject: event.subject,
            body: event.body,
        });
    }

    fn answer(&mut self, answer: StoredAnswer) {
        self.answer = Some(answer);
    }
}

/// Places that were reserved and for which no row came (an upsert that found one, say) are given back.
/// `coalesce`: a JSON null in a record becomes an SQL NULL.
const FLUSH: &str = "
WITH audit AS (
    INSERT INTO kernel.audit_log (workspace_id, id, actor_type, actor_id, actor_label, action, target_type, target_id, meta, ip,
                                  user_agent, request_id)
    SELECT workspace_id, id, actor_type, actor_id, actor_label, action, target_type, target_id, coalesce(meta, '{}'), ip,
           user_agent, request_id
    FROM jsonb_to_recordset($1) AS r(workspace_id uuid, id uuid, actor_type text, actor_id uuid, actor_label text,
        action text, target_type text, target_id text, meta jsonb, ip text, user_agent text, request_id text)
), unused AS (
    UPDATE kernel.usage u SET used = u.used - credit.left
    FROM (SELECT r.workspace_id, r.key, nullif(current_setting('kernel_credit.' || r.key, true), '')::bigint AS left
          FROM unnest($3::uuid[], $4::text[]) AS r(workspace_id, key)) AS credit
    WHERE credit.left > 0 AND u.workspace_id = credit.workspace_id AND u.key = credit.key
)
INSERT INTO kernel.outbox (workspace_id, id, subject, body)
SELECT workspace_id, id, subject, coalesce(body, 'null') FROM jsonb_to_recordset($2) AS r(workspace_id uuid, id uuid, subject text, body jsonb)";

impl PgTx {
    pub(crate) async fn flush(&mut self) -> Result<(), StoreError> {
        let buffer = std::mem::take(&mut self.buffer);
        if !(buffer.audit.is_empty() && buffer.events.is_empty() && buffer.reserved.is_empty()) {
            let (workspaces, keys): (Vec<Uuid>, Vec<String>) = buffer.reserved.iter().cloned().unzip();
            let flush =
                sqlx::query(FLUSH).bind(Json(&buffer.audit)).bind(Json(&buffer.events)).bind(workspaces).bind(keys);
            flush.execute(self.conn()).await.store()?;
        }
        match &buffer.answer {
            Some(answer) => self.keep_answer(answer).await,
            None => Ok(()),
        }
    }
}
