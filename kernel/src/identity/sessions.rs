//! Sessions: an opaque token in a cookie, stored as its hash.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use crate::access::{Call, Policy};
use crate::base::ctx::Ctx;
use crate::base::error::{Refusal, StoreError};
use crate::base::id::{SessionId, UserId};
use crate::base::page::{Page, PageQuery, PageRequest};
use crate::base::secret::TokenHash;
use crate::base::settings::days;

/// Proof that a person is signed in. Only authentication creates one.
#[derive(Clone, Debug)]
pub struct Session {
    pub(crate) call: Arc<Call>,
    pub(crate) id: SessionId,
    pub(crate) user: UserId,
    pub(crate) signed_in_at: DateTime<Utc>,
    pub(crate) policy: Arc<Policy>,
}

impl Session {
    /// The call that the session was presented with.
    pub fn call(&self) -> &Arc<Call> {
        &self.call
    }

    /// Context of the call: time, request id, client.
    pub fn ctx(&self) -> &Ctx {
        self.call.ctx()
    }

    /// Id of the session.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Id of the signed-in person.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// Time at which the person signed in.
    pub fn signed_in_at(&self) -> DateTime<Utc> {
        self.signed_in_at
    }

    /// Parses the page parameters of a request for the person's own `list`.
    ///
    /// # Errors
    /// `invalid_cursor`; `validation_failed` if the limit is out of range.
    pub fn page(&self, list: &str, query: &PageQuery) -> Result<PageRequest, Refusal> {
        PageRequest::parse(query, &self.list_context(list), &self.policy.cursors)
    }

    /// The cursor of the page after `page`, for the same `list`; `None` on the last page.
    pub fn next_cursor<T>(&self, list: &str, page: &Page<T>) -> Option<String> {
        page.next_cursor(&self.list_context(list), &self.policy.cursors)
    }

    fn list_context(&self, list: &str) -> String {
        format!("{list} of {}", self.user)
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }
}

/// How long sessions last; `sessions` in `product.config.yaml`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SessionLife {
    /// Time without use after which a session ends; `idle_days`, in days.
    #[serde(rename = "idle_days", deserialize_with = "days")]
    pub idle: TimeDelta,
    /// Time after its start at which a session ends in any case; `absolute_days`, in days.
    #[serde(rename = "absolute_days", deserialize_with = "days")]
    pub absolute: TimeDelta,
}

impl Default for SessionLife {
    /// 14 days without use, 90 days in total.
    fn default() -> Self {
        Self { idle: TimeDelta::days(14), absolute: TimeDelta::days(90) }
    }
}

impl SessionLife {
    /// Time at which a session created at `created_at` and used at `now` ends if it is not used again.
    pub fn expires(&self, created_at: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
        (now + self.idle).min(created_at + self.absolute)
    }
}

/// A session to be created.
#[derive(Debug)]
pub struct NewSession {
    /// Id of the session.
    pub id: SessionId,
    /// Id of the person who signs in.
    pub user: UserId,
    /// Hash of the session's token.
    pub token: TokenHash,
    /// Time at which the session begins.
    pub created_at: DateTime<Utc>,
    /// Time at which the session ends if it is not used.
    pub expires_at: DateTime<Utc>,
    /// Address of the client.
    pub ip: Option<std::net::IpAddr>,
    /// User agent of the client.
    pub user_agent: Option<Arc<str>>,
}

/// Repository of sessions.
#[async_trait]
pub trait Sessions: Send {
    /// Inserts a session.
    async fn insert(&mut self, session: &NewSession) -> Result<(), StoreError>;
    /// Deletes the session with this token, of any person: having the token is sufficient proof. Returns whether there was one.
    async fn delete_by_token(&mut self, token: &TokenHash) -> Result<bool, StoreError>;
    /// Records that the session was used and extends it, at most to its absolute end.
    async fn touch(
        &mut self,
        user: UserId,
        id: SessionId,
        now: DateTime<Utc>,
        life: SessionLife,
    ) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_extends_a_session_up_to_its_absolute_end() {
        let life = SessionLife::default();
        let created = "2026-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap();
        for (used_after, expect) in [(0, 14), (10, 24), (80, 90), (89, 90)] {
            assert_eq!(life.expires(created, created + TimeDelta::days(used_after)), created + TimeDelta::days(expect));
        }
    }
}
