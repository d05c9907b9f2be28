//! What must be found before a scope is known. Each look-up goes by a 256-bit hash or an exact key and returns one row, so
//! that nothing can be enumerated through it.

use std::str::FromStr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::access::catalog::Access;
use crate::base::actor::Actor;
use crate::base::checkout::Checkout;
use crate::base::error::{Refusal, StoreError};
use crate::base::id::{ApiKeyId, SessionId, UserId, WorkspaceId};
use crate::base::secret::TokenHash;
use crate::identity::password::PasswordHash;
use crate::identity::users::Email;
use crate::tenancy::workspaces::Slug;

/// A workspace as it stands in an address: `ws_…` or a slug.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WorkspaceRef {
    /// By id.
    Id(WorkspaceId),
    /// By slug, the current one or an earlier one.
    Slug(Slug),
}

impl FromStr for WorkspaceRef {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        // No slug has an underscore, so the two never overlap.
        if text.contains('_') { text.parse().map(Self::Id) } else { text.parse().map(Self::Slug) }
    }
}

/// A session that is in force, and its user's membership in the workspace asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionFound {
    /// The session.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// When it was last noted as used.
    pub seen_at: DateTime<Utc>,
    /// `None` for a stranger and for a workspace that does not exist, which look alike.
    pub membership: Option<MembershipFound>,
}

/// An active membership and what it needs to know of its workspace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MembershipFound {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The member's role.
    pub role: String,
    /// The plan its subscription gives; `None` is the free plan.
    pub plan: Option<String>,
    /// How much of it the subscription's state gives.
    pub access: Access,
}

/// What a login is checked against.
#[derive(Clone, Debug)]
pub struct LoginFound {
    /// The account.
    pub user: UserId,
    /// Its password's hash.
    pub password: PasswordHash,
}

/// An API key that is in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiKeyFound {
    /// The key.
    pub id: ApiKeyId,
    /// The permissions it was made with.
    pub scopes: Vec<String>,
    /// When its use was last noted.
    pub last_used_at: Option<DateTime<Utc>>,
    /// The key's workspace, if it is the one asked for; `None` for any other, which looks like one that does not exist.
    pub workspace: Option<KeyWorkspace>,
}

/// What a key's call needs to know of its workspace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyWorkspace {
    /// The workspace.
    pub id: WorkspaceId,
    /// The plan its subscription gives; `None` is the free plan.
    pub plan: Option<String>,
    /// How much of it the subscription's state gives.
    pub access: Access,
}

/// What an invite's token leads to, for the person who presents it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InviteFound {
    /// Into this workspace: the invite is for the address of their account, and it is open, or they accepted it and belong there.
    Open(WorkspaceId),
    /// The invite is for another address than that of their account.
    ForAnother,
    /// They accepted it already, and no longer belong to the workspace.
    Accepted,
    /// Somebody else accepted it, it was revoked, or it has expired.
    Closed,
}

/// One connection for look-ups.
#[async_trait]
pub trait Lookups: Send {
    /// The session of `token` at `now`.
    async fn session(
        &mut self,
        token: &TokenHash,
        workspace: Option<&WorkspaceRef>,
        now: DateTime<Utc>,
    ) -> Result<Option<SessionFound>, StoreError>;
    /// The account of `email`.
    async fn login(&mut self, email: &Email) -> Result<Option<LoginFound>, StoreError>;
    /// The API key of `token`, if it is in force at `now`.
    async fn api_key(
        &mut self,
        token: &TokenHash,
        workspace: Option<&WorkspaceRef>,
        now: DateTime<Utc>,
    ) -> Result<Option<ApiKeyFound>, StoreError>;
    /// What the invite of `token` is to `invitee` at `now`; `None` for an unknown token and for a workspace that is gone.
    async fn invite(
        &mut self,
        token: &TokenHash,
        invitee: UserId,
        now: DateTime<Utc>,
    ) -> Result<Option<InviteFound>, StoreError>;
    /// Keeps the connection for the transaction of the caller who was found with it.
    fn park(self: Box<Self>, actor: Actor) -> Checkout;
}
