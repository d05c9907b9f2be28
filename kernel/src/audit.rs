//! Audit log: one append-only entry per privileged action (actor, action, target, time), written by the action's own
//! transaction into the log of a workspace, a person or the platform.

mod flow;
pub mod names;
mod retention;

use std::borrow::Cow;
use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::access::Grant;
use crate::base::actor::{Actor, ActorRef};
use crate::base::ctx::Ctx;
use crate::base::error::StoreError;
use crate::base::id::{AuditId, UserId};
use crate::base::origin::Origin;
use crate::base::page::{Page, PageRequest, Position};
use crate::base::subject::Subject;

pub use flow::{list, record, record_with};
pub use names::action;
pub use retention::RetentionClass;

crate::base::repositories::repositories! {
    /// The audit pillar's repositories.
    pub trait AuditRepositories {
        /// Reads the audit log.
        audit_log: AuditLog;
    }
}

/// Version of the form in which the kernel writes its entries' details.
const VERSION: u16 = 1;

/// An audit entry to be written by the transaction's commit.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuditEntry {
    /// Id of the entry.
    pub id: AuditId,
    /// What the entry is about: it is in this subject's log.
    pub about: Subject,
    /// Who acted, for whom, in which request.
    pub origin: Origin,
    /// Name of the action, such as `member.invite`.
    pub action: Cow<'static, str>,
    /// Type of the target, such as `invite`.
    pub target_type: Cow<'static, str>,
    /// Id of the target, as shown in the API.
    pub target_id: String,
    /// Further details as JSON; must not contain secrets, and is kept as long as the entry.
    pub meta: Value,
    /// Version of the form of `meta`.
    pub version: u16,
    /// What can be erased without the entry.
    pub personal: PersonalData,
    /// How long the entry is kept.
    pub retention: RetentionClass,
}

/// Personal data of an audit entry. It is stored apart from the entry, so that it can be erased while the log stays as it is.
#[derive(Clone, Default, Debug)]
#[non_exhaustive]
pub struct PersonalData {
    /// Address of the client, if there is one.
    pub ip: Option<IpAddr>,
    /// User agent of the client, if it sent one.
    pub user_agent: Option<Arc<str>>,
    /// Further details as a JSON object, or null; shown with the entry's own details.
    pub details: Value,
}

/// An entry has no time: the database sets it, so that no caller can backdate an entry.
impl AuditEntry {
    /// Creates an entry: `actor` did `action` to the subject `about`. Where there is a grant, [`AuditEntry::by`] is simpler.
    pub fn new(ctx: &Ctx, actor: Actor, about: impl Into<Subject>, action: impl Into<Cow<'static, str>>) -> Self {
        let (about, action) = (about.into(), action.into());
        Self {
            id: AuditId::generate(ctx.now),
            about,
            origin: Origin::new(ctx, actor),
            retention: RetentionClass::of(&action),
            action,
            target_type: Cow::Borrowed(about.kind()),
            target_id: String::new(),
            meta: Value::Null,
            version: VERSION,
            personal: PersonalData { ip: ctx.ip, user_agent: ctx.user_agent.clone(), details: Value::Null },
        }
    }

    /// Creates an entry: the caller of `grant` did `action` in the grant's workspace.
    pub fn by(grant: &Grant, action: impl Into<Cow<'static, str>>) -> Self {
        Self::new(grant.ctx(), grant.actor(), grant.workspace(), action).acting_as(grant.acting_as())
    }

    /// Sets the person on whose behalf a staff member or the system acted.
    #[must_use]
    pub fn acting_as(mut self, person: Option<UserId>) -> Self {
        self.origin.acting_as = person;
        self
    }

    /// Sets the target's type and id.
    #[must_use]
    pub fn target(mut self, kind: impl Into<Cow<'static, str>>, id: impl Display) -> Self {
        self.target_type = kind.into();
        self.target_id = id.to_string();
        self
    }

    /// Sets further details.
    #[must_use]
    pub fn meta(mut self, meta: Value) -> Self {
        self.meta = meta;
        self
    }

    /// Sets the version of the form of the details, for those who read them later.
    #[must_use]
    pub fn version(mut self, version: u16) -> Self {
        self.version = version;
        self
    }

    /// Sets further details that are personal data, such as an e-mail address: a JSON object.
    #[must_use]
    pub fn personal(mut self, details: Value) -> Self {
        self.personal.details = details;
        self
    }

    /// Sets how long the entry is kept, where the action's name does not tell; see [`RetentionClass::of`].
    #[must_use]
    pub fn retention(mut self, class: RetentionClass) -> Self {
        self.retention = class;
        self
    }
}

/// An audit entry as read from the log.
#[derive(Clone, PartialEq, Debug)]
pub struct AuditRecord {
    /// Id of the entry.
    pub id: AuditId,
    /// What the entry is about.
    pub about: Subject,
    /// The person, API key or system part that acted.
    pub actor: ActorRef,
    /// The person on whose behalf a staff member acted.
    pub acting_as: Option<UserId>,
    /// Name of the action, such as `member.invite`.
    pub action: String,
    /// Type of the target, such as `invite`.
    pub target_type: String,
    /// Id of the target, as shown in the API.
    pub target_id: String,
    /// Further details as JSON, with those that are personal data if they were not erased.
    pub meta: Value,
    /// Address of the client, if there was one and it was not erased.
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

/// Repository of the audit log. It only reads entries, and erases their personal data: entries cannot be changed or deleted.
#[async_trait]
pub trait AuditLog: Send {
    /// Lists the entries about `about` that match `filter`, newest first.
    async fn list(
        &mut self,
        about: Subject,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<AuditRecord>, StoreError>;
    /// Erases the personal data of all entries of which `person` is the actor, in every log, and returns how many had some. The
    /// entries stay. Only the system may: in a request's transaction it fails.
    async fn erase_personal_data(&mut self, person: UserId) -> Result<u64, StoreError>;
}
