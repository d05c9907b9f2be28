//! Workspaces.

pub(crate) mod workspaces;
