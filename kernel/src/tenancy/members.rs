//! Members of a workspace and their roles. Changes are serialised: each one locks the workspace and re-checks the caller's
//! current permissions, which may have changed since the call began.

mod flow;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::base::error::StoreError;
use crate::base::id::{UserId, WorkspaceId};
use crate::base::page::{Page, PageRequest, Position};
use crate::identity::users::Email;

pub(crate) use flow::{can_assign, lock_and_recheck};
pub use flow::{change_role, leave, list, of_user, remove};

/// A member of a workspace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Id of the person.
    pub user: UserId,
    /// E-mail address, as the person wrote it.
    pub email: String,
    /// Name of the person.
    pub name: String,
    /// Name of the member's role.
    pub role: String,
    /// Time at which the person joined.
    pub joined_at: DateTime<Utc>,
}

impl Member {
    /// Position of the member in paged lists.
    pub fn position(&self) -> Position {
        Position { at: self.joined_at, id: self.user.uuid() }
    }
}

/// A membership to be created.
#[derive(Debug)]
pub struct NewMembership<'a> {
    /// Workspace that the person joins.
    pub workspace: WorkspaceId,
    /// Id of the person.
    pub user: UserId,
    /// Name of the member's role.
    pub role: &'a str,
    /// Time at which the person joins.
    pub at: DateTime<Utc>,
}

/// A person's membership of a workspace, as seen by the person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Membership {
    /// Id of the workspace.
    pub workspace: WorkspaceId,
    /// Current slug of the workspace.
    pub slug: String,
    /// Name of the person's role in the workspace.
    pub role: String,
    /// Time at which the workspace was created; memberships are listed in this order.
    pub founded_at: DateTime<Utc>,
}

impl Membership {
    /// Position of the membership in paged lists.
    pub fn position(&self) -> Position {
        Position { at: self.founded_at, id: self.workspace.uuid() }
    }
}

/// Reads memberships.
#[async_trait]
pub trait MemberReads: Send {
    /// Finds an active member.
    async fn find(&mut self, workspace: WorkspaceId, user: UserId) -> Result<Option<Member>, StoreError>;
    /// Whether a member, active or suspended, has this e-mail address.
    async fn has_email(&mut self, workspace: WorkspaceId, email: &Email) -> Result<bool, StoreError>;
    /// Lists the active members, in the order in which they joined.
    async fn list(&mut self, workspace: WorkspaceId, page: &PageRequest) -> Result<Page<Member>, StoreError>;
    /// Lists the memberships of `user`, oldest workspace first.
    async fn of_user(&mut self, user: UserId, page: &PageRequest) -> Result<Page<Membership>, StoreError>;
    /// Whether a member other than `user` has the role `role`.
    async fn has_other_with_role(
        &mut self,
        workspace: WorkspaceId,
        role: &str,
        user: UserId,
    ) -> Result<bool, StoreError>;
}

/// Repository of memberships.
#[async_trait]
pub trait Members: MemberReads {
    /// Inserts a member; they take a seat.
    async fn insert(&mut self, membership: &NewMembership<'_>) -> Result<(), StoreError>;
    /// Changes a member's role; `false` if there is no such member.
    async fn set_role(
        &mut self,
        workspace: WorkspaceId,
        user: UserId,
        role: &str,
        at: DateTime<Utc>,
    ) -> Result<bool, StoreError>;
    /// Removes a member and frees the seat; `false` if there is no such member.
    async fn remove(&mut self, workspace: WorkspaceId, user: UserId) -> Result<bool, StoreError>;
}
