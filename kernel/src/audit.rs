//! Audit log: one append-only entry per privileged action (actor, action, target, time), written by the action's own
//! transaction.

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
        /// Reads the audit log.
        audit_log: AuditLog;
    }
}

/// An audit entry to be written by the transaction's commit.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// Id of the entry.
    pub id: AuditId,
    /// Workspace in which the action happened.
    pub workspace: WorkspaceId,
    /// The person, API key or system part that acted.
    pub actor: Actor,
    /// Name of the action, such as `member.invite`.
    pub action: &'static str,
    /// Type of the target, such as `invite`.
    pub target_type: &'static str,
    /// Id of the target, as shown in the API.
    pub target_id: String,
    /// Further details as JSON; must not contain secrets.
    pub meta: Value,
    /// Address of the client, if there is one.
    pub ip: Option<IpAddr>,
    /// User agent of the client, if it sent one.
    pub user_agent: Option<Arc<str>>,
    /// Id of the request.
    pub request_id: Arc<str>,
}

/// An entry has no time: the database sets it, so that no caller can backdate an entry.
impl AuditEntry {
    /// Creates an entry: `actor` did `action` in `workspace`.
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

    /// Sets the target's type and id.
    #[must_use]
    pub fn target(mut self, kind: &'static str, id: impl Display) -> Self {
        self.target_type = kind;
        self.target_id = id.to_string();
        self
    }

    /// Sets further details.
    #[must_use]
    pub fn meta(mut self, meta: Value) -> Self {
        self.meta = meta;
        self
    }
}

/// An audit entry as read from the log.
#[derive(Clone, PartialEq, Debug)]
pub struct AuditRecord {
    /// Id of the entry.
    pub id: AuditId,
    /// Workspace in which the action happened.
    pub workspace: WorkspaceId,
    /// The person, API key or system part that acted.
    pub actor: ActorRef,
    /// Name of the action, such as `member.invite`.
    pub action: String,
    /// Type of the target, such as `invite`.
    pub target_type: String,
    /// Id of the target, as shown in the API.
    pub target_id: String,
    /// Further details as JSON.
    pub meta: Value,
    /// Address of the client, if there was one.
    pub ip: Option<String>,
    /// Id of the request.
    pub request_id: String,
    /// Time of the action, as set by the database.
    pub at: DateTime<Utc>,
}

impl AuditRecord {
    /// Position of the entry in paged lists.
    pub fn position(&self) -> Position {
        Position { at: self.at, id: self.id.uuid() }
    }
}

/// Filter for audit entries; a field that is `None` matches every entry.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Type of the actor, as stored: `user`, `api_key`, `system` or `staff`.
    pub actor_type: Option<String>,
    /// Id of the actor.
    pub actor_id: Option<Uuid>,
    /// Name of the action.
    pub action: Option<String>,
    /// Type of the target.
    pub target_type: Option<String>,
    /// Id of the target, as shown in the API.
    pub target_id: Option<String>,
    /// Earliest time, inclusive.
    pub from: Option<DateTime<Utc>>,
    /// Latest time, exclusive.
    pub until: Option<DateTime<Utc>>,
}

/// Repository of the audit log. It only reads: entries cannot be changed or deleted.
#[async_trait]
pub trait AuditLog: Send {
    /// Lists the entries of `workspace` that match `filter`, newest first.
    async fn list(
        &mut self,
        workspace: WorkspaceId,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<AuditRecord>, StoreError>;
}
