//! Who belongs to a workspace, as what.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::id::{UserId, WorkspaceId};
use crate::store::StoreError;

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

/// Repository of memberships.
#[async_trait]
pub trait Members: Send {
    /// Adds a member.
    async fn insert(&mut self, membership: &NewMembership<'_>) -> Result<(), StoreError>;
}
