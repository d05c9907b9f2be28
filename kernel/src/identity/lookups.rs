//! Look-ups that are needed before a scope is known. Each takes a 256-bit hash or an exact key and returns one row, so that
//! nothing can be enumerated with it.

use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::access::{Call, Entitlements, WorkspaceStatus};
use crate::base::actor::Actor;
use crate::base::error::{Refusal, StoreError};
use crate::base::id::{ApiKeyId, SessionId, UserId, WorkspaceId};
use crate::base::secret::TokenHash;
use crate::identity::password::PasswordHash;
use crate::identity::users::Email;
use crate::tenancy::workspaces::Slug;

/// A workspace as given in a URL: `ws_…` or a slug.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WorkspaceRef {
    /// The workspace with this id.
    Id(WorkspaceId),
    /// The workspace with this current or earlier slug.
    Slug(Slug),
}

impl WorkspaceRef {
    /// The workspace that `text` of a URL names; `None` for text that cannot name one, which is answered like a workspace that
    /// does not exist.
    pub fn in_url(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl FromStr for WorkspaceRef {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        // A slug has no underscore, so the two forms never overlap.
        if text.contains('_') { text.parse().map(Self::Id) } else { text.parse().map(Self::Slug) }
    }
}

/// A valid session, and its user's membership in the requested workspace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionFound {
    /// Id of the session.
    pub id: SessionId,
    /// Id of the signed-in person.
    pub user: UserId,
    /// Time at which the person signed in.
    pub created_at: DateTime<Utc>,
    /// Time at which the session's last use was recorded.
    pub seen_at: DateTime<Utc>,
    /// The workspace and the membership; `None` both for strangers and for a workspace that does not exist.
    pub entry: Option<(WorkspaceFound, MemberFound)>,
}

/// A workspace that was looked up for somebody who belongs to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkspaceFound {
    /// Id of the workspace.
    pub id: WorkspaceId,
    /// Whether it can be used.
    pub status: WorkspaceStatus,
    /// Version of its status and entitlements.
    pub version: i64,
    /// What it may use.
    pub entitlements: Arc<Entitlements>,
}

/// A membership.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberFound {
    /// Name of the member's role.
    pub role: String,
    /// Whether the membership is active; otherwise it is suspended.
    pub active: bool,
    /// Version of role and status.
    pub version: i64,
}

/// An account and its password hash, to check a sign-in.
#[derive(Clone, Debug)]
pub struct LoginFound {
    /// Id of the account.
    pub user: UserId,
    /// Hash of the account's password.
    pub password: PasswordHash,
}

/// A valid API key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiKeyFound {
    /// Id of the key.
    pub id: ApiKeyId,
    /// Permissions that the key was created with.
    pub scopes: Vec<String>,
    /// Time at which the key's last use was recorded.
    pub last_used_at: Option<DateTime<Utc>>,
    /// The key's workspace, if it is the requested one; `None` for any other workspace and for one that does not exist.
    pub workspace: Option<WorkspaceFound>,
}

/// Result of looking up an invite's token for the person who presents it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InviteFound {
    /// The invite is for their account's address and is open, or they accepted it and are still a member; holds the workspace.
    Open(WorkspaceId),
    /// The invite was sent to another address than that of their account.
    ForAnother,
    /// They accepted it before, and are no longer a member.
    Accepted,
    /// It was accepted by somebody else, was revoked, or has expired.
    Closed,
}

/// A connection for look-ups.
#[async_trait]
pub trait Lookups: Send {
    /// The session of `token`, if it is valid at `now`.
    async fn session(
        &mut self,
        token: &TokenHash,
        workspace: Option<&WorkspaceRef>,
        now: DateTime<Utc>,
    ) -> Result<Option<SessionFound>, StoreError>;
    /// The account with the address `email`.
    async fn login(&mut self, email: &Email) -> Result<Option<LoginFound>, StoreError>;
    /// The API key of `token`, if it is valid at `now`.
    async fn api_key(
        &mut self,
        token: &TokenHash,
        workspace: Option<&WorkspaceRef>,
        now: DateTime<Utc>,
    ) -> Result<Option<ApiKeyFound>, StoreError>;
    /// The invite of `token` for the person `invitee` at `now`; `None` for an unknown token or a deleted workspace.
    async fn invite(
        &mut self,
        token: &TokenHash,
        invitee: UserId,
        now: DateTime<Utc>,
    ) -> Result<Option<InviteFound>, StoreError>;
    /// Keeps the connection in `call`, for the transaction of the caller that was looked up with it.
    fn park(self: Box<Self>, actor: Actor, call: &Call);
}
