//! Signed-in browsers: an opaque token in a cookie, its hash in the system of record.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use crate::access::Policy;
use crate::base::checkout::Checkout;
use crate::base::ctx::Ctx;
use crate::base::error::{Refusal, StoreError};
use crate::base::id::{SessionId, UserId};
use crate::base::page::{Page, PageQuery, PageRequest};
use crate::base::secret::TokenHash;
use crate::base::settings::days;

/// Proof that somebody is signed in. Made by authentication only.
#[derive(Clone, Debug)]
pub struct Session {
    pub(crate) ctx: Ctx,
    pub(crate) id: SessionId,
    pub(crate) user: UserId,
    pub(crate) policy: Arc<Policy>,
    pub(crate) checkout: Checkout,
}

impl Session {
    /// The call's circumstances.
    pub fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    /// The session.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Whose it is.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// Which page of the person's own `list` is wanted.
    ///
    /// # Errors
    /// `invalid_cursor`, or `validation_failed` for the limit.
    pub fn page(&self, list: &str, query: &PageQuery) -> Result<PageRequest, Refusal> {
        PageRequest::parse(query, &self.list_context(list), &self.policy.signing_key)
    }

    /// The cursor of the page after `page`, for the same `list`.
    pub fn next_cursor<T>(&self, list: &str, page: &Page<T>) -> Option<String> {
        page.next_cursor(&self.list_context(list), &self.policy.signing_key)
    }

    fn list_context(&self, list: &str) -> String {
        format!("{list} of {}", self.user)
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    pub(crate) fn checkout(&self) -> &Checkout {
        &self.checkout
    }
}

/// How long sessions last; `sessions` in `product.config.yaml`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionLife {
    /// Time after which an unused session ends; `idle_days`.
    #[serde(rename = "idle_days", deserialize_with = "days")]
    pub idle: TimeDelta,
    /// Time after which every session ends; `absolute_days`.
    #[serde(rename = "absolute_days", deserialize_with = "days")]
    pub absolute: TimeDelta,
}

impl Default for SessionLife {
    /// 14 days without use, 90 days in all.
    fn default() -> Self {
        Self { idle: TimeDelta::days(14), absolute: TimeDelta::days(90) }
    }
}

impl SessionLife {
    /// When a session of `created_at`, used at `now`, ends if nobody uses it again.
    pub fn expires(&self, created_at: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
        (now + self.idle).min(created_at + self.absolute)
    }
}

/// A session about to exist.
#[derive(Debug)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// What its token hashes to.
    pub token: TokenHash,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it ends if nobody uses it.
    pub expires_at: DateTime<Utc>,
    /// From where.
    pub ip: Option<std::net::IpAddr>,
    /// By which client.
    pub user_agent: Option<Arc<str>>,
}

/// Repository of sessions.
#[async_trait]
pub trait Sessions: Send {
    /// Begins one.
    async fn insert(&mut self, session: &NewSession) -> Result<(), StoreError>;
    /// Ends the one with this token, whoever's it is: to know the token is to hold the session. Tells whether it was there.
    async fn delete_by_token(&mut self, token: &TokenHash) -> Result<bool, StoreError>;
    /// Notes that it was used and lets it last longer; never beyond its absolute end.
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
