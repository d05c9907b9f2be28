//! Sessions.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::id::{SessionId, UserId};
use crate::identity::sessions::{NewSession, SessionLife, Sessions};
use crate::memory::store::micros;
use crate::memory::tx::MemoryTx;
use crate::secret::TokenHash;
use crate::store::StoreError;

#[derive(Clone)]
pub(crate) struct SessionRow {
    pub(crate) id: SessionId,
    pub(crate) user: UserId,
    pub(crate) token: TokenHash,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) seen_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
}

#[async_trait]
impl Sessions for MemoryTx {
    async fn insert(&mut self, new: &NewSession) -> Result<(), StoreError> {
        self.alive()?;
        self.may_write("sessions", self.is_me(new.user))?;
        self.unique("sessions_pkey", !self.state.sessions.contains_key(&new.id))?;
        self.refers("sessions", self.state.users.contains_key(&new.user))?;
        let row = SessionRow {
            id: new.id,
            user: new.user,
            token: new.token,
            created_at: micros(new.created_at),
            seen_at: micros(new.created_at),
            expires_at: micros(new.expires_at),
        };
        Arc::make_mut(&mut self.state.sessions).insert(new.id, row);
        Ok(())
    }

    async fn delete_by_token(&mut self, token: &TokenHash) -> Result<bool, StoreError> {
        self.alive()?;
        let before = self.state.sessions.len();
        Arc::make_mut(&mut self.state.sessions).retain(|_, row| row.token != *token);
        Ok(self.state.sessions.len() < before)
    }

    async fn touch(
        &mut self,
        user: UserId,
        id: SessionId,
        now: DateTime<Utc>,
        life: SessionLife,
    ) -> Result<(), StoreError> {
        self.alive()?;
        let (now, visible) = (micros(now), self.is_me(user));
        if let Some(row) = Arc::make_mut(&mut self.state.sessions).get_mut(&id)
            && visible
            && row.user == user
            && row.seen_at < now
            && row.expires_at > now
        {
            row.seen_at = now;
            row.expires_at = row.expires_at.max(micros(life.expires(row.created_at, now)));
        }
        Ok(())
    }
}
