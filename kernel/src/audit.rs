//! Who did what, when, to what: one entry per privileged action, in the action's own transaction, append-only.

mod flow;
pub mod names;

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::base::actor::{Actor, ActorRef};
use crate::base::ctx::Ctx;
use crate::base::error::StoreError;
use crate::base::id::{AuditId, WorkspaceId};
use crate::base::page::{Page, PageRequest, Position};

pub use flow::{list, record, record_with};
pub use names::action;

crate::base::repositories::repositories! {
    /// The audit pillar's repositories.
    pub trait AuditRepositories {
        /// The audit log, to be read.
        audit_log: AuditLog;
    }
}

/// An entry on its way to the log.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// Its id.
    pub id: AuditId,
    /// Where it happened.
    pub workspace: WorkspaceId,
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub action: &'static str,
    /// The kind of thing it was done to.
    pub target_type: &'static str,
    /// The thing's id, as shown.
    pub target_id: String,
    /// What else is worth knowing; never a secret.
    pub meta: Value,
    /// From where.
    pub ip: Option<IpAddr>,
    /// By which client.
    pub user_agent: Option<Arc<str>>,
    /// Under which request.
    pub request_id: Arc<str>,
}

/// The time is not in the entry: the system of record stamps it, so that no caller can backdate one.
impl AuditEntry {
    /// `actor` did `action` in `workspace`.
    pub fn new(ctx: &Ctx, actor: Actor, workspace: WorkspaceId, action: &'static str) -> Self {
        Self {
            id: AuditId::generate(ctx.now),
            workspace,
            actor,
            action,
            target_type: "workspace",
            target_id: String::new(),
            meta: Value::Null,
            ip: ctx.ip,
            user_agent: ctx.user_agent.clone(),
            request_id: ctx.request_id.clone(),
        }
    }

    /// To this thing.
    #[must_use]
    pub fn target(mut self, kind: &'static str, id: impl Display) -> Self {
        self.target_type = kind;
        self.target_id = id.to_string();
        self
    }

    /// With this worth knowing.
    #[must_use]
    pub fn meta(mut self, meta: Value) -> Self {
        self.meta = meta;
        self
    }
}

/// An entry as read back.
#[derive(Clone, PartialEq, Debug)]
pub struct AuditRecord {
    /// Its id.
    pub id: AuditId,
    /// Where it happened.
    pub workspace: WorkspaceId,
    /// Who did it.
    pub actor: ActorRef,
    /// What was done.
    pub action: String,
    /// The kind of thing.
    pub target_type: String,
    /// The thing.
    pub target_id: String,
    /// What else is worth knowing.
    pub meta: Value,
    /// From where.
    pub ip: Option<String>,
    /// Under which request.
    pub request_id: String,
    /// When.
    pub at: DateTime<Utc>,
}

impl AuditRecord {
    /// Its place in lists.
    pub fn position(&self) -> Position {
        Position { at: self.at, id: self.id.uuid() }
    }
}

/// Which entries are wanted; `None` is "any".
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// By whom, as stored: `user` …
    pub actor_type: Option<String>,
    /// … and the id.
    pub actor_id: Option<Uuid>,
    /// What was done.
    pub action: Option<String>,
    /// To what kind of thing.
    pub target_type: Option<String>,
    /// To which thing.
    pub target_id: Option<String>,
    /// At this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Before this time.
    pub until: Option<DateTime<Utc>>,
}

/// Repository: the log, to be read. There is nothing to change or delete it with.
#[async_trait]
pub trait AuditLog: Send {
    /// Entries of `workspace`, newest first.
    async fn list(
        &mut self,
        workspace: WorkspaceId,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<AuditRecord>, StoreError>;
}
