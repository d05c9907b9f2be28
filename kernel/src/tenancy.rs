//! Workspaces, who belongs to them and who is invited.

pub mod invites;
pub mod members;
pub mod workspaces;
