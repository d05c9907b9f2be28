//! Tenancy: workspaces, their members, and invites.

pub mod invites;
pub mod members;
pub mod names;
pub mod workspaces;

crate::base::repositories::repositories! {
    /// The tenancy pillar's repositories.
    pub trait TenancyRepositories {
        /// Workspaces.
        workspaces: workspaces::Workspaces;
        /// Invites to a workspace.
        invites: invites::Invites;
        /// Memberships.
        members: members::Members;
    }
}
