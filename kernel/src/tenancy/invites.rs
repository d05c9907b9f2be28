//! Invites: a link by mail that makes its addressee a member. The token is 256 random bits, stored as its hash, good once
//! and for seven days by default, and for the address it was sent to only.

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
pub struct InviteSettings {
    /// Time after which an invite can no longer be accepted; `days`, seven by default.
    #[serde(rename = "days", deserialize_with = "days")]
    pub life: TimeDelta,
    /// How many invites of one workspace can be open, 100 by default: an inviter cannot be made a source of mail.
    #[serde(deserialize_with = "count")]
    pub max_open: u64,
}

impl Default for InviteSettings {
    fn default() -> Self {
        Self { life: TimeDelta::days(7), max_open: 100 }
    }
}

/// An invite that nobody has accepted or revoked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invite {
    /// Its id.
    pub id: InviteId,
    /// To whom.
    pub email: String,
    /// As what they will join.
    pub role: String,
    /// Who invites.
    pub invited_by: ActorRef,
    /// When.
    pub created_at: DateTime<Utc>,
    /// Until when it can be accepted.
    pub expires_at: DateTime<Utc>,
}

impl Invite {
    /// Its place in lists.
    pub fn position(&self) -> Position {
        Position { at: self.created_at, id: self.id.uuid() }
    }
}

/// An invite about to exist.
#[derive(Debug)]
pub struct NewInvite<'a> {
    /// Its id.
    pub id: InviteId,
    /// Into which workspace.
    pub workspace: WorkspaceId,
    /// To whom.
    pub email: &'a Email,
    /// As what.
    pub role: &'a str,
    /// What its token hashes to.
    pub token: TokenHash,
    /// Who invites.
    pub by: UserId,
    /// When.
    pub at: DateTime<Utc>,
    /// Until when.
    pub expires_at: DateTime<Utc>,
}

/// What a used invite gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumedInvite {
    /// The invite.
    pub id: InviteId,
    /// The role to join as.
    pub role: String,
    /// Who invited.
    pub invited_by: UserId,
}

/// Repository of invites.
#[async_trait]
pub trait Invites: Send {
    /// Adds an invite. An open one to the same address is replaced: its link is void from then on.
    async fn put(&mut self, invite: &NewInvite<'_>) -> Result<Invite, StoreError>;
    /// The open ones, newest first; also those that have expired.
    async fn list(&mut self, workspace: WorkspaceId, page: &PageRequest) -> Result<Page<Invite>, StoreError>;
    /// How many are open and not expired, apart from one to `besides`.
    async fn count_open(
        &mut self,
        workspace: WorkspaceId,
        besides: &Email,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError>;
    /// Revokes an open one; `None` when there is none of that id.
    async fn revoke(
        &mut self,
        workspace: WorkspaceId,
        id: InviteId,
        at: DateTime<Utc>,
    ) -> Result<Option<Invite>, StoreError>;
    /// Uses up the open invite that has this token now and the address of `user`, in one statement, and tells what it gives;
    /// `None` when there is none. An invite that was sent anew has another token, and maybe another role.
    async fn consume(
        &mut self,
        workspace: WorkspaceId,
        token: &TokenHash,
        user: UserId,
        at: DateTime<Utc>,
    ) -> Result<Option<ConsumedInvite>, StoreError>;
}
