//! Idempotency keys, claimed in the mutation's own transaction.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::guard::idempotency::{IdempotencyKey, KEEP, StoredAnswer};
use crate::memory::tx::MemoryTx;
use crate::store::{Reach, Replay, StoreError};

/// The workspace or the person, the actor's kind and id, and the key.
pub(crate) type KeyOfCaller = (Uuid, &'static str, Uuid, String);

#[derive(Clone)]
pub(crate) struct AnswerRow {
    fingerprint: [u8; 32],
    answer: Option<StoredAnswer>,
    expires_at: DateTime<Utc>,
}

impl MemoryTx {
    /// A workspace that is being founded has a new id with every request: the person is what stays the same.
    fn key_of_caller(&self, key: &IdempotencyKey) -> Option<KeyOfCaller> {
        let scope = self.scope_ref();
        let of = match scope.reach() {
            Reach::Tenant(workspace) => workspace.uuid(),
            Reach::User(user) | Reach::Founding(user, _) | Reach::Joining(user, _) => user.uuid(),
            Reach::System(_) => return None,
        };
        Some((of, scope.actor().kind(), scope.actor().uuid(), key.key().to_owned()))
    }

    /// That of this call, and what the request was.
    fn own_key(&self) -> Option<(KeyOfCaller, [u8; 32])> {
        let key = self.scope_ref().idempotency()?;
        Some((self.key_of_caller(key)?, *key.fingerprint()))
    }

    /// A key that expired is free again. A duplicate in flight has waited for its turn: the first has ended by now.
    pub(crate) fn claim_idempotency_key(&mut self) -> Result<(), StoreError> {
        let Some((key, fingerprint)) = self.own_key() else { return Ok(()) };
        if let Some(row) = self.state.answers.get(&key).filter(|row| row.expires_at > self.now) {
            return Err(StoreError::Replay(match &row.answer {
                _ if row.fingerprint != fingerprint => Replay::OtherRequest,
                Some(answer) => Replay::Answer(Box::new(answer.clone())),
                None => Replay::Done,
            }));
        }
        let row = AnswerRow { fingerprint, answer: None, expires_at: self.now + KEEP };
        Arc::make_mut(&mut self.state.answers).insert(key, row);
        Ok(())
    }

    pub(crate) fn keep_answer(&mut self, answer: StoredAnswer) {
        let Some((key, _)) = self.own_key() else { return };
        if let Some(row) = Arc::make_mut(&mut self.state.answers).get_mut(&key) {
            row.answer = Some(answer);
        }
    }

    pub(crate) fn free_key(&mut self, key: &IdempotencyKey) {
        if let Some(key) = self.key_of_caller(key) {
            Arc::make_mut(&mut self.state.answers).remove(&key);
        }
    }
}
