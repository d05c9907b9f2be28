//! Invites: a link by mail that makes its addressee a member. The token is 256 random bits, stored as its hash. It is valid
//! once, for seven days by default, and only for the account with the address that it was sent to.

mod flow;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use crate::base::actor::ActorRef;
use crate::base::error::StoreError;
use crate::base::id::{InviteId, UserId, WorkspaceId};
use crate::base::page::{Page, PageRequest, Position};
use crate::base::secret::TokenHash;
use crate::base::settings::{count, days};
use crate::identity::users::Email;

pub use flow::{Invited, accept, create, list, mail, revoke};

/// Settings of invites; `invites` in `product.config.yaml`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct InviteSettings {
    /// Time after which an invite can no longer be accepted; `days`, 7 by default.
    #[serde(rename = "days", deserialize_with = "days")]
    pub life: TimeDelta,
    /// Maximum number of open invites per workspace, 100 by default, so that the product cannot be used to send mail to many
    /// addresses.
    #[serde(deserialize_with = "count")]
    pub max_open: u64,
}

impl Default for InviteSettings {
    fn default() -> Self {
        Self { life: TimeDelta::days(7), max_open: 100 }
    }
}

/// An open invite: neither accepted nor revoked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invite {
    /// Id of the invite.
    pub id: InviteId,
    /// E-mail address that the invite was sent to.
    pub email: String,
    /// Name of the role that the addressee will have.
    pub role: String,
    /// Actor who created the invite.
    pub invited_by: ActorRef,
    /// Time at which the invite was created.
    pub created_at: DateTime<Utc>,
    /// Time after which the invite can no longer be accepted.
    pub expires_at: DateTime<Utc>,
}

impl Invite {
    /// Position of the invite in paged lists.
    pub fn position(&self) -> Position {
        Position { at: self.created_at, id: self.id.uuid() }
    }
}

/// An invite to be created.
#[derive(Debug)]
pub struct NewInvite<'a> {
    /// Id of the invite.
    pub id: InviteId,
    /// Workspace that the addressee is invited to.
    pub workspace: WorkspaceId,
    /// E-mail address that the invite is sent to.
    pub email: &'a Email,
    /// Name of the role that the addressee will have.
    pub role: &'a str,
    /// Hash of the invite's token.
    pub token: TokenHash,
    /// Person who creates the invite.
    pub by: UserId,
    /// Time at which the invite is created.
    pub at: DateTime<Utc>,
    /// Time after which the invite can no longer be accepted.
    pub expires_at: DateTime<Utc>,
}

/// An invite that was just accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumedInvite {
    /// Id of the invite.
    pub id: InviteId,
    /// Name of the role of the new member.
    pub role: String,
    /// Person who created the invite.
    pub invited_by: UserId,
}

/// Reads invites.
#[async_trait]
pub trait InviteReads: Send {
    /// Lists the open invites, newest first, including expired ones.
    async fn list(&mut self, workspace: WorkspaceId, page: &PageRequest) -> Result<Page<Invite>, StoreError>;
    /// Number of invites that are open and not expired, not counting one to `besides`.
    async fn count_open(
        &mut self,
        workspace: WorkspaceId,
        besides: &Email,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError>;
}

/// Repository of invites.
#[async_trait]
pub trait Invites: InviteReads {
    /// Inserts an invite. It replaces an open invite to the same address, whose link is then invalid.
    async fn put(&mut self, invite: &NewInvite<'_>) -> Result<Invite, StoreError>;
    /// Revokes an open invite; `None` if there is none with this id.
    async fn revoke(
        &mut self,
        workspace: WorkspaceId,
        id: InviteId,
        at: DateTime<Utc>,
    ) -> Result<Option<Invite>, StoreError>;
    /// Uses up the open invite that has this token and the address of `user`, in one statement, and returns its role and
    /// creator; `None` if there is none. An invite that was sent again has a new token, and possibly another role.
    async fn consume(
        &mut self,
        workspace: WorkspaceId,
        token: &TokenHash,
        user: UserId,
        at: DateTime<Utc>,
    ) -> Result<Option<ConsumedInvite>, StoreError>;
}
