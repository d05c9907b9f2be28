//! Who did what, when, to what: one entry per privileged action, in the action's own transaction, append-only.

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::access::{Can, ReadAudit};
use crate::actor::{Actor, ActorRef};
use crate::ctx::Ctx;
use crate::error::{Error, Refusal};
use crate::id::{AuditId, WorkspaceId};
use crate::page::{Page, PageRequest, Position};
use crate::store::{StoreError, Tx};

/// The taxonomy. Products add their own as `&'static str` of the same form.
pub mod action {
    /// A workspace was founded.
    pub const WORKSPACE_CREATE: &str = "workspace.create";
    /// A workspace's name, slug or settings changed.
    pub const WORKSPACE_UPDATE: &str = "workspace.update";
    /// Somebody was invited.
    pub const MEMBER_INVITE: &str = "member.invite";
    /// An invite was revoked.
    pub const MEMBER_INVITE_REVOKE: &str = "member.invite_revoke";
    /// An invite was accepted.
    pub const MEMBER_JOIN: &str = "member.join";
    /// A member got another role.
    pub const MEMBER_ROLE_CHANGE: &str = "member.role_change";
    /// A member was removed.
    pub const MEMBER_REMOVE: &str = "member.remove";
    /// A member left.
    pub const MEMBER_LEAVE: &str = "member.leave";
    /// An API key was made.
    pub const API_KEY_CREATE: &str = "api_key.create";
    /// An API key was revoked.
    pub const API_KEY_REVOKE: &str = "api_key.revoke";
    /// A subscription began.
    pub const SUBSCRIPTION_CREATED: &str = "billing.subscription_created";
    /// A subscription changed.
    pub const SUBSCRIPTION_UPDATED: &str = "billing.subscription_updated";
    /// A subscription ended.
    pub const SUBSCRIPTION_CANCELLED: &str = "billing.subscription_cancelled";
    /// A row of the product was made.
    pub const RESOURCE_CREATE: &str = "resource.create";
    /// A row of the product changed.
    pub const RESOURCE_UPDATE: &str = "resource.update";
    /// A row of the product was deleted.
    pub const RESOURCE_DELETE: &str = "resource.delete";
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

/// Records that the caller did `action` to the thing `id` of kind `target`, if and when the transaction commits.
///
/// # Errors
/// When the transaction is of another workspace.
pub fn record<P>(
    can: &Can<P>,
    tx: &mut dyn Tx,
    action: &'static str,
    target: &'static str,
    id: impl Display,
) -> Result<(), Error> {
    record_with(can, tx, action, target, id, Value::Null)
}

/// [`record`] with what else is worth knowing.
///
/// # Errors
/// When the transaction is of another workspace.
pub fn record_with<P>(
    can: &Can<P>,
    tx: &mut dyn Tx,
    action: &'static str,
    target: &'static str,
    id: impl Display,
    meta: Value,
) -> Result<(), Error> {
    let entry = AuditEntry::new(can.ctx(), can.actor(), can.workspace(), action).target(target, id).meta(meta);
    can.enter(tx)?.records().audit(entry);
    Ok(())
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

/// The workspace's log, newest first.
///
/// # Errors
/// `validation_failed` when the period is empty.
pub async fn list(
    can: &Can<ReadAudit>,
    tx: &mut dyn Tx,
    filter: &AuditFilter,
    page: &PageRequest,
) -> Result<Page<AuditRecord>, Error> {
    if let (Some(from), Some(until)) = (filter.from, filter.until)
        && from >= until
    {
        return Err(Refusal::field("until", "must be later than `from`").into());
    }
    Ok(can.enter(tx)?.audit_log().list(can.workspace(), filter, page).await?)
}
