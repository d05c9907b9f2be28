//! Workspaces and their members.

pub(crate) mod invites;
pub(crate) mod members;
pub(crate) mod workspaces;
