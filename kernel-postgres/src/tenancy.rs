//! Tenancy repositories: workspaces, members and invites.

mod invites;
mod members;
pub(crate) mod workspaces;
