//! Workspaces, their members and invites.

pub(crate) mod invites;
pub(crate) mod members;
pub(crate) mod workspaces;
