//! Tenancy: workspaces, their members, and invites.

pub mod invites;
pub mod members;
pub mod names;
pub mod workspaces;

crate::base::repositories::repositories! {
    /// The tenancy pillar's repositories.
    pub trait TenancyRepositories;
    /// The reading parts of the tenancy pillar's repositories.
    pub trait TenancyReads;
    /// Workspaces.
    workspaces: workspaces::Workspaces, reads workspaces::WorkspaceReads;
    /// Invites to a workspace.
    invites: invites::Invites, reads invites::InviteReads;
    /// Memberships.
    members: members::Members, reads members::MemberReads;
}
