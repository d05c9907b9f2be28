//! The buffer of a transaction's records, and its flush: one statement for all audit entries and events.

use std::borrow::Cow;

use saas_kernel::audit::AuditEntry;
use saas_kernel::events::OutboxEvent;
use saas_kernel::idempotency::IdempotencyKey;
use saas_kernel::origin::Origin;
use saas_kernel::records::Records;
use saas_kernel::response::StoredResponse;
use saas_kernel::{StoreError, Subject};
use serde_json::{Map, Value};
use sqlx::query_builder::Separated;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use crate::error::PgResult;
use crate::names::Names;
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

/// An audit entry, with its personal data.
#[derive(Debug)]
struct AuditRow {
    about: Subject,
    id: Uuid,
    retention: &'static str,
    version: i32,
    origin: Origin,
    action: Cow<'static, str>,
    target_type: Cow<'static, str>,
    target_id: String,
    meta: Value,
    ip: Option<String>,
    user_agent: Option<String>,
    details: Option<Value>,
}

#[derive(Debug)]
struct EventRow {
    about: Subject,
    id: Uuid,
    version: i32,
    origin: Origin,
    subject: Cow<'static, str>,
    body: Value,
}

impl Records for Buffer {
    fn audit(&mut self, entry: AuditEntry) {
        let personal = entry.personal;
        self.audit.push(AuditRow {
            about: entry.about,
            id: entry.id.uuid(),
            retention: entry.retention.as_str(),
            version: entry.version.into(),
            origin: entry.origin,
            action: entry.action,
            target_type: entry.target_type,
            target_id: entry.target_id,
            meta: if entry.meta.is_null() { Value::Object(Map::new()) } else { entry.meta },
            ip: personal.ip.map(|ip| ip.to_string()),
            user_agent: personal.user_agent.map(|text| text.to_string()),
            details: Some(personal.details).filter(|details| !details.is_null()),
        });
    }

    fn event(&mut self, event: OutboxEvent) {
        self.events.push(EventRow {
            about: event.about,
            id: event.id.uuid(),
            version: event.version.into(),
            origin: event.origin,
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

/// The entries' columns: `subject_type` to `trace` are the audit log's, the last three its personal data's. All records are inserted
/// after `standing`, on which they depend: their numbers (`seq`) are drawn when the transaction holds all its row locks.
const ENTRIES: &str =
    ", entries (subject_type, subject_id, workspace_id, id, retention, version, actor_type, actor_id, actor_label,
    acting_as, action, target_type, target_id, meta, request_id, trace, ip, user_agent, details) AS (";
const AUDIT: &str = "), audit AS (INSERT INTO kernel.audit_log
    (subject_type, subject_id, workspace_id, id, retention, version, actor_type, actor_id, actor_label, acting_as, action, target_type,
     target_id, meta, request_id, trace)
    SELECT subject_type, subject_id, workspace_id, id, retention, version, actor_type, actor_id, actor_label, acting_as, action, target_type,
     target_id, meta, request_id, trace FROM standing, entries),
    personal AS (INSERT INTO kernel.audit_personal
    (subject_type, subject_id, workspace_id, id, retention, actor_id, ip, user_agent, details)
    SELECT subject_type, subject_id, workspace_id, id, retention, actor_id, ip, user_agent, details FROM standing, entries
    WHERE ip IS NOT NULL OR user_agent IS NOT NULL OR details IS NOT NULL)";
const OUTBOX: &str = ", events AS (INSERT INTO kernel.outbox
    (subject_type, subject_id, workspace_id, id, version, actor_type, actor_id, actor_label, acting_as, request_id, trace, subject, body)
    SELECT e.* FROM standing, (";
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

    /// Builds one statement for all records, joined as CTEs, which first re-checks what the caller was let in by. It binds plain
    /// values instead of arrays or JSON, because nearly every transaction has one or two records; so there are few statement
    /// shapes, and each is prepared.
    fn into_statement(self, reserved: &[(Uuid, String)], recheck: Recheck, names: &Names) -> QueryBuilder<Postgres> {
        let mut sql = QueryBuilder::new("WITH standing AS MATERIALIZED (SELECT ");
        recheck.push(&mut sql, names);
        sql.push(" AS answer)");
        if !self.audit.is_empty() {
            sql.push(ENTRIES).push_values(self.audit, |mut row, audit| {
                push_about(&mut row, audit.about);
                row.push_bind(audit.id).push_bind(audit.retention).push_bind(audit.version);
                push_actor(&mut row, &audit.origin);
                row.push_bind(audit.action)
                    .push_bind(audit.target_type)
                    .push_bind(audit.target_id)
                    .push_bind(audit.meta)
                    .push_bind(audit.origin.request_id.to_string())
                    .push_bind(audit.origin.trace.map(|trace| trace.to_string()))
                    .push_bind(audit.ip)
                    .push_bind(audit.user_agent)
                    .push_bind(audit.details);
            });
            sql.push(names.sql(AUDIT).as_str());
        }
        if !self.events.is_empty() {
            sql.push(names.sql(OUTBOX).as_str()).push_values(self.events, |mut row, event| {
                push_about(&mut row, event.about);
                row.push_bind(event.id).push_bind(event.version);
                push_actor(&mut row, &event.origin);
                row.push_bind(event.origin.request_id.to_string())
                    .push_bind(event.origin.trace.map(|trace| trace.to_string()))
                    .push_bind(event.subject)
                    .push_bind(event.body);
            });
            sql.push(") e)");
        }
        sql.push(" SELECT ARRAY[");
        let mut left = sql.separated(", ");
        for (_, key) in reserved {
            left.push(LEFT).push_bind_unseparated(key).push_unseparated(", true), '')::bigint");
        }
        sql.push("]::bigint[], answer FROM standing");
        sql
    }
}

/// Binds subject_type, subject_id and workspace_id.
fn push_about(row: &mut Separated<'_, Postgres, &'static str>, about: Subject) {
    row.push_bind(about.kind()).push_bind(about.uuid()).push_bind(about.workspace().map(|workspace| workspace.uuid()));
}

/// Binds actor_type, actor_id, actor_label and acting_as.
fn push_actor(row: &mut Separated<'_, Postgres, &'static str>, origin: &Origin) {
    row.push_bind(origin.actor.kind())
        .push_bind(origin.actor.uuid())
        .push_bind(origin.actor.label())
        .push_bind(origin.acting_as.map(|person| person.uuid()));
}

impl PgTx {
    pub(crate) async fn flush(&mut self) -> Result<(), StoreError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let (response, freed) = (buffer.response.take(), buffer.freed.take());
        let reserved = std::mem::take(&mut buffer.reserved);
        self.wait_for_commits().await?;
        // One statement even if there is nothing to write: after a failed statement Postgres answers COMMIT with a rollback,
        // which sqlx reports as success.
        let left = loop {
            let part = buffer.take_part();
            let usual = part.audit.len() + part.events.len() <= 8; // larger statements are rare and not worth preparing
            let mut statement = part.into_statement(&reserved, self.recheck()?, &self.names);
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
                sqlx::query(self.sql(GIVE_BACK))
                    .bind(workspace)
                    .bind(key)
                    .bind(left)
                    .execute(self.conn())
                    .await
                    .store()?;
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
