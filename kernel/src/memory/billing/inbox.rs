//! The webhook inbox.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::billing::inbox::{Claim, ClaimedEvent, DeadLetter, Inbox, MAX_ATTEMPTS, Outcome, abandoned_error};
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
    error: Option<String>,
    /// New: at once; failed: when to try again; in processing: when its lease ends; `None`: never.
    due_at: Option<DateTime<Utc>>,
}

impl MemoryTx {
    /// Requests have no right to the inbox at all.
    fn in_inbox(&mut self) -> Result<(), StoreError> {
        self.alive()?;
        self.may_write("webhook_inbox", self.is_system())
    }

    /// The row of a claim that still holds.
    fn held(&mut self, event: &ClaimedEvent) -> Option<&mut EventRow> {
        let key = (event.provider.clone(), event.event_id.clone(), micros(event.created_at));
        let row = Arc::make_mut(&mut self.state.inbox).get_mut(&key);
        row.filter(|row| row.processing && row.attempts == event.attempt)
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
            error: None,
            due_at: Some(micros(at)),
        };
        Arc::make_mut(&mut self.state.inbox).insert(key, row);
        Ok(true)
    }

    async fn claim(
        &mut self,
        provider: &str,
        n: u32,
        now: DateTime<Utc>,
        lease: DateTime<Utc>,
    ) -> Result<Claim, StoreError> {
        self.in_inbox()?;
        let (now, lease) = (micros(now), micros(lease));
        let mut due: Vec<_> = Arc::make_mut(&mut self.state.inbox)
            .iter_mut()
            .filter(|((of, _, _), row)| of == provider && row.due_at.is_some_and(|due| due <= now))
            .collect();
        due.sort_by_key(|((_, _, created_at), row)| (row.due_at, *created_at));
        let alone = due.iter().position(|(_, row)| row.processing).unwrap_or(usize::MAX).max(1);
        due.truncate((n as usize).min(alone));
        let mut claim = Claim::default();
        for ((provider, event_id, created_at), row) in due {
            let (provider, event_id, kind) = (provider.clone(), event_id.clone(), row.kind.clone());
            if row.processing && row.attempts >= MAX_ATTEMPTS {
                let error = abandoned_error(row.error.as_deref());
                (row.processing, row.due_at, row.error) = (false, None, Some(error.clone()));
                claim.dead_letters.push(DeadLetter { provider, event_id, kind, attempts: row.attempts, error });
            } else {
                row.attempts += 1;
                (row.processing, row.due_at) = (true, Some(lease));
                let (payload, attempt) = (row.payload.clone(), row.attempts);
                let created_at = *created_at;
                claim.events.push(ClaimedEvent { provider, event_id, kind, created_at, payload, attempt });
            }
        }
        claim.events.sort_by_key(|event| event.created_at);
        Ok(claim)
    }

    async fn heartbeat(&mut self, events: &[&ClaimedEvent], lease: DateTime<Utc>) -> Result<Vec<bool>, StoreError> {
        self.in_inbox()?;
        let extend = |row: &mut EventRow| row.due_at = Some(micros(lease));
        Ok(events.iter().map(|event| self.held(event).map(extend).is_some()).collect())
    }

    async fn release(&mut self, events: &[&ClaimedEvent], at: DateTime<Utc>) -> Result<(), StoreError> {
        self.in_inbox()?;
        for event in events {
            if let Some(row) = self.held(event) {
                (row.attempts, row.processing, row.due_at) = (row.attempts - 1, false, Some(micros(at)));
            }
        }
        Ok(())
    }

    async fn finish(
        &mut self,
        event: &ClaimedEvent,
        outcome: &Outcome,
        _at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        self.in_inbox()?;
        let Some(row) = self.held(event) else { return Ok(false) };
        row.processing = false;
        (row.error, row.due_at) = match outcome {
            Outcome::Processed => (None, None),
            Outcome::Failed { error, retry_at } => (Some(error.clone()), retry_at.map(micros)),
        };
        Ok(true)
    }
}
