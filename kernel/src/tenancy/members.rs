//! Who belongs to a workspace, as what. Changes are made one after the other: each locks the workspace and looks again at
//! what the caller may still do, as the call may have been overtaken.

mod flow;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::base::error::StoreError;
use crate::base::id::{UserId, WorkspaceId};
use crate::base::page::{Page, PageRequest, Position};
use crate::identity::users::Email;

pub(crate) use flow::{can_assign, lock_and_recheck};
pub use flow::{change_role, leave, list, of_user, remove};

/// Somebody who belongs to a workspace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// Their address, as they wrote it.
    pub email: String,
    /// What they want to be called.
    pub name: String,
    /// As what.
    pub role: String,
    /// Since when.
    pub joined_at: DateTime<Utc>,
}

impl Member {
    /// Its place in lists.
    pub fn position(&self) -> Position {
        Position { at: self.joined_at, id: self.user.uuid() }
    }
}

/// A membership about to exist.
#[derive(Debug)]
pub struct NewMembership<'a> {
    /// In which workspace.
    pub workspace: WorkspaceId,
    /// Who.
    pub user: UserId,
    /// As what.
    pub role: &'a str,
    /// Since when.
    pub at: DateTime<Utc>,
}

/// A workspace that somebody belongs to, and as what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Membership {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Its current slug.
    pub slug: String,
    /// The person's role there.
    pub role: String,
    /// When the workspace was founded: its place in lists.
    pub founded_at: DateTime<Utc>,
}

impl Membership {
    /// Its place in lists.
    pub fn position(&self) -> Position {
        Position { at: self.founded_at, id: self.workspace.uuid() }
    }
}

/// Repository of memberships.
#[async_trait]
pub trait Members: Send {
    /// Adds a member; a seat is counted.
    async fn insert(&mut self, membership: &NewMembership<'_>) -> Result<(), StoreError>;
    /// One active member.
    async fn find(&mut self, workspace: WorkspaceId, user: UserId) -> Result<Option<Member>, StoreError>;
    /// Whether a member, active or suspended, has this address.
    async fn has_email(&mut self, workspace: WorkspaceId, email: &Email) -> Result<bool, StoreError>;
    /// The active members, in the order in which they joined.
    async fn list(&mut self, workspace: WorkspaceId, page: &PageRequest) -> Result<Page<Member>, StoreError>;
    /// Where `user` belongs, oldest workspace first.
    async fn of_user(&mut self, user: UserId, page: &PageRequest) -> Result<Page<Membership>, StoreError>;
    /// Whether somebody but `user` has `role`.
    async fn has_other_with_role(
        &mut self,
        workspace: WorkspaceId,
        role: &str,
        user: UserId,
    ) -> Result<bool, StoreError>;
    /// Gives a member another role; `false` when there is no such member.
    async fn set_role(
        &mut self,
        workspace: WorkspaceId,
        user: UserId,
        role: &str,
        at: DateTime<Utc>,
    ) -> Result<bool, StoreError>;
    /// Takes a member out and gives the seat back; `false` when there is no such member.
    async fn remove(&mut self, workspace: WorkspaceId, user: UserId) -> Result<bool, StoreError>;
}
