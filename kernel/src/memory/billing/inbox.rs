//! The webhook inbox.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::billing::inbox::{ClaimedEvent, Inbox, Outcome};
use crate::billing::provider::ProviderEvent;
use crate::memory::store::micros;
use crate::memory::tx::MemoryTx;
use crate::store::StoreError;

/// Provider, the provider's id, and when the provider made it: a redelivery carries the same time.
pub(crate) type EventKey = (String, String, DateTime<Utc>);

#[derive(Clone)]
pub(crate) struct EventRow {
    kind: String,
    payload: Value,
    attempts: i32,
    processing: bool,
    /// New: at once; failed: when to try again; in processing: when its lease ends; `None`: never.
    due_at: Option<DateTime<Utc>>,
}

impl MemoryTx {
    /// Requests have no right to the inbox at all.
    fn in_inbox(&mut self) -> Result<(), StoreError> {
        self.alive()?;
        self.may_write("webhook_inbox", self.is_system())
    }
}

#[async_trait]
impl Inbox for MemoryTx {
    async fn receive(&mut self, provider: &str, event: &ProviderEvent, at: DateTime<Utc>) -> Result<bool, StoreError> {
        self.in_inbox()?;
        let key = (provider.to_owned(), event.id.clone(), micros(event.created_at));
        if self.state.inbox.contains_key(&key) {
            return Ok(false);
        }
        let row = EventRow {
            kind: event.kind.clone(),
            payload: event.payload.clone(),
            attempts: 0,
            processing: false,
            due_at: Some(micros(at)),
        };
        Arc::make_mut(&mut self.state.inbox).insert(key, row);
        Ok(true)
    }

    async fn claim(
        &mut self,
        n: u32,
        now: DateTime<Utc>,
        lease: DateTime<Utc>,
    ) -> Result<Vec<ClaimedEvent>, StoreError> {
        self.in_inbox()?;
        let (now, lease) = (micros(now), micros(lease));
        let mut due: Vec<_> = Arc::make_mut(&mut self.state.inbox)
            .iter_mut()
            .filter(|(_, row)| row.due_at.is_some_and(|due| due <= now))
            .collect();
        due.sort_by_key(|((_, _, created_at), row)| (row.due_at, *created_at));
        due.truncate(n as usize);
        let claim = |((provider, event_id, created_at), row): (&EventKey, &mut EventRow)| {
            row.attempts += 1;
            row.processing = true;
            row.due_at = Some(lease);
            ClaimedEvent {
                provider: provider.clone(),
                event_id: event_id.clone(),
                kind: row.kind.clone(),
                created_at: *created_at,
                payload: row.payload.clone(),
                attempt: row.attempts,
            }
        };
        let mut claimed: Vec<_> = due.into_iter().map(claim).collect();
        claimed.sort_by_key(|event| event.created_at);
        Ok(claimed)
    }

    async fn finish(
        &mut self,
        event: &ClaimedEvent,
        outcome: &Outcome,
        _at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        self.in_inbox()?;
        let key = (event.provider.clone(), event.event_id.clone(), micros(event.created_at));
        let row = Arc::make_mut(&mut self.state.inbox).get_mut(&key);
        let Some(row) = row.filter(|row| row.processing && row.attempts == event.attempt) else { return Ok(false) };
        row.processing = false;
        row.due_at = match outcome {
            Outcome::Processed => None,
            Outcome::Failed { retry_at, .. } => retry_at.map(micros),
        };
        Ok(true)
    }
}
