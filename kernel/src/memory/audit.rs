//! The audit log, read.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::store::micros;
use super::tx::MemoryTx;
use crate::actor::{Actor, ActorRef};
use crate::audit::{AuditEntry, AuditFilter, AuditLog, AuditRecord};
use crate::id::WorkspaceId;
use crate::page::{Page, PageRequest};
use crate::store::StoreError;

pub(crate) struct AuditRow {
    actor: Actor,
    record: AuditRecord,
}

impl AuditRow {
    pub(crate) fn new(entry: AuditEntry, at: DateTime<Utc>) -> Self {
        let record = AuditRecord {
            id: entry.id,
            workspace: entry.workspace,
            actor: ActorRef::from(entry.actor),
            action: entry.action.to_owned(),
            target_type: entry.target_type.to_owned(),
            target_id: entry.target_id,
            meta: if entry.meta.is_null() { Value::Object(Map::new()) } else { entry.meta },
            ip: entry.ip.map(|ip| ip.to_string()),
            request_id: entry.request_id.to_string(),
            at,
        };
        Self { actor: entry.actor, record }
    }

    fn matches(&self, filter: &AuditFilter) -> bool {
        fn is(wanted: Option<&String>, found: &str) -> bool {
            wanted.is_none_or(|wanted| wanted == found)
        }
        is(filter.actor_type.as_ref(), self.actor.kind())
            && filter.actor_id.is_none_or(|id| id == self.actor.uuid())
            && is(filter.action.as_ref(), &self.record.action)
            && is(filter.target_type.as_ref(), &self.record.target_type)
            && is(filter.target_id.as_ref(), &self.record.target_id)
            && filter.from.is_none_or(|from| self.record.at >= micros(from))
            && filter.until.is_none_or(|until| self.record.at < micros(until))
    }
}

#[async_trait]
impl AuditLog for MemoryTx {
    async fn list(
        &mut self,
        workspace: WorkspaceId,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<AuditRecord>, StoreError> {
        self.alive()?;
        let first = (workspace, DateTime::<Utc>::MIN_UTC, Uuid::nil());
        let end = page.after.map_or((DateTime::<Utc>::MAX_UTC, Uuid::max()), |after| (micros(after.at), after.id));
        let records = self
            .state
            .audit_log
            .range(first..(workspace, end.0, end.1))
            .rev()
            .filter(|_| self.in_workspace(workspace))
            .filter(|(_, row)| row.matches(filter))
            .take(page.limit() as usize + 1)
            .map(|(_, row)| row.record.clone());
        Ok(Page::cut(records.collect(), page, AuditRecord::position))
    }
}
