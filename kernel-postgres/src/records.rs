//! The buffer of a transaction's records, and its flush: one statement for all audit entries and events.

use saas_kernel::StoreError;
use saas_kernel::audit::AuditEntry;
use saas_kernel::events::OutboxEvent;
use saas_kernel::idempotency::IdempotencyKey;
use saas_kernel::records::Records;
use saas_kernel::response::StoredResponse;
use serde_json::{Map, Value};
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use crate::error::PgResult;
use crate::standing::Recheck;
use crate::tx::PgTx;

#[derive(Debug, Default)]
pub(crate) struct Buffer {
    audit: Vec<AuditRow>,
    events: Vec<EventRow>,
    response: Option<StoredResponse>,
    freed: Option<IdempotencyKey>,
    reserved: Vec<(Uuid, String)>,
}

impl Buffer {
    /// Whether the limit was reserved in another workspace: the credit in the transaction does not distinguish workspaces.
    pub(crate) fn reserved_elsewhere(&self, workspace: Uuid, key: &str) -> bool {
        self.reserved.iter().any(|(known, of)| of == key && *known != workspace)
    }

    /// Remembers that a limit was reserved, so that the flush can give back reservations that no row used.
    pub(crate) fn reserved(&mut self, workspace: Uuid, key: &str) {
        if !self.reserved.iter().any(|(_, known)| known == key) {
            self.reserved.push((workspace, key.to_owned()));
        }
    }
}

#[derive(Debug)]
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

#[derive(Debug)]
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
            meta: if entry.meta.is_null() { Value::Object(Map::new()) } else { entry.meta },
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

    fn response(&mut self, response: StoredResponse) {
        self.response = Some(response);
    }

    fn free(&mut self, key: IdempotencyKey) {
        self.freed = Some(key);
    }
}

const AUDIT: &str = "INSERT INTO kernel.audit_log
    (workspace_id, id, actor_type, actor_id, actor_label, action, target_type, target_id, meta, ip, user_agent, request_id) ";
const OUTBOX: &str = "INSERT INTO kernel.outbox (workspace_id, id, subject, body) ";
/// Reservations that are left when everything is written, because no row used them (for example an upsert that found a row).
const LEFT: &str = "nullif(current_setting('kernel_credit.' || ";
const GIVE_BACK: &str = "UPDATE kernel.usage SET used = used - $3 WHERE workspace_id = $1 AND key = $2";

impl Buffer {
    fn is_empty(&self) -> bool {
        self.audit.is_empty() && self.events.is_empty()
    }

    /// Takes as many records as fit into one statement: Postgres binds at most 65 535 values.
    fn take_part(&mut self) -> Self {
        let part = |len: usize| ..len.min(1000);
        Self {
            audit: self.audit.drain(part(self.audit.len())).collect(),
            events: self.events.drain(part(self.events.len())).collect(),
            ..Self::default()
        }
    }

    /// Builds one statement for all records, joined as CTEs. It binds plain values instead of arrays or JSON, because nearly
    /// every transaction has one or two records; so there are few statement shapes, and each is prepared.
    fn into_statement(self, reserved: &[(Uuid, String)], recheck: Recheck) -> QueryBuilder<Postgres> {
        let mut sql = QueryBuilder::new("WITH nothing AS (SELECT)");
        if !self.audit.is_empty() {
            sql.push(", audit AS (").push(AUDIT).push_values(self.audit, |mut row, audit| {
                row.push_bind(audit.workspace_id)
                    .push_bind(audit.id)
                    .push_bind(audit.actor_type)
                    .push_bind(audit.actor_id)
                    .push_bind(audit.actor_label)
                    .push_bind(audit.action)
                    .push_bind(audit.target_type)
                    .push_bind(audit.target_id)
                    .push_bind(audit.meta)
                    .push_bind(audit.ip)
                    .push_bind(audit.user_agent)
                    .push_bind(audit.request_id);
            });
            sql.push(")");
        }
        if !self.events.is_empty() {
            sql.push(", events AS (").push(OUTBOX).push_values(self.events, |mut row, event| {
                row.push_bind(event.workspace_id).push_bind(event.id).push_bind(event.subject).push_bind(event.body);
            });
            sql.push(")");
        }
        sql.push(" SELECT ARRAY[");
        let mut left = sql.separated(", ");
        for (_, key) in reserved {
            left.push(LEFT).push_bind_unseparated(key).push_unseparated(", true), '')::bigint");
        }
        sql.push("]::bigint[], ");
        recheck.push(&mut sql);
        sql
    }
}

impl PgTx {
    pub(crate) async fn flush(&mut self) -> Result<(), StoreError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let (response, freed) = (buffer.response.take(), buffer.freed.take());
        let reserved = std::mem::take(&mut buffer.reserved);
        // One statement even if there is nothing to write: after a failed statement Postgres answers COMMIT with a rollback,
        // which sqlx reports as success.
        let left = loop {
            let part = buffer.take_part();
            let usual = part.audit.len() + part.events.len() <= 8; // larger statements are rare and not worth preparing
            let mut statement = part.into_statement(&reserved, self.recheck()?);
            let flushed =
                statement.build_query_as().persistent(usual).fetch_one(self.conn_for_blocking_statement()).await;
            self.blocking_statement_ended();
            let (left, answer): (Vec<Option<i64>>, Option<String>) = flushed.store()?;
            self.accept(answer.as_deref())?;
            if buffer.is_empty() {
                break left;
            }
        };
        for ((workspace, key), left) in reserved.iter().zip(left) {
            if let Some(left @ 1..) = left {
                sqlx::query(GIVE_BACK).bind(workspace).bind(key).bind(left).execute(self.conn()).await.store()?;
            }
        }
        if let Some(response) = &response {
            self.keep_response(response).await?;
        }
        if let Some(key) = &freed {
            self.free_key(key).await?;
        }
        Ok(())
    }
}
