//! Workspaces and who belongs to them.

pub mod members;
pub mod workspaces;
