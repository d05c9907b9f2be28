//! The records buffer, and its flush by the commit.

use std::sync::Arc;

use super::audit::AuditRow;
use super::tx::MemoryTx;
use crate::audit::AuditEntry;
use crate::events::OutboxEvent;
use crate::guard::idempotency::{IdempotencyKey, StoredAnswer};
use crate::records::Records;
use crate::store::StoreError;

#[derive(Default)]
pub(crate) struct Buffer {
    audit: Vec<AuditEntry>,
    events: Vec<OutboxEvent>,
    answer: Option<StoredAnswer>,
    freed: Option<IdempotencyKey>,
}

impl Records for Buffer {
    fn audit(&mut self, entry: AuditEntry) {
        self.audit.push(entry);
    }

    fn event(&mut self, event: OutboxEvent) {
        self.events.push(event);
    }

    fn answer(&mut self, answer: StoredAnswer) {
        self.answer = Some(answer);
    }

    fn free(&mut self, key: IdempotencyKey) {
        self.freed = Some(key);
    }
}

impl MemoryTx {
    /// Everything of one transaction has one time: that of its beginning. Order within it is that of the ids.
    pub(crate) fn flush(&mut self) -> Result<(), StoreError> {
        let (buffer, at) = (std::mem::take(&mut self.buffer), self.now);
        for entry in buffer.audit {
            let key = (entry.workspace, at, entry.id.uuid());
            self.may_write("audit_log", self.in_workspace(entry.workspace))?;
            self.unique("audit_log_pkey", !self.state.audit_log.contains_key(&key))?;
            Arc::make_mut(&mut self.state.audit_log).insert(key, Arc::new(AuditRow::new(entry, at)));
        }
        for event in buffer.events {
            let key = (event.workspace, at, event.id.uuid());
            self.may_write("outbox", self.in_workspace(event.workspace))?;
            self.unique("outbox_pkey", !self.state.outbox.contains_key(&key))?;
            Arc::make_mut(&mut self.state.outbox).insert(key, Arc::new(event));
        }
        self.give_back();
        if let Some(answer) = buffer.answer {
            self.keep_answer(answer);
        }
        if let Some(key) = buffer.freed {
            self.free_key(&key);
        }
        Ok(())
    }
}
