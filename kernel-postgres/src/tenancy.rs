//! Workspaces and their members.

mod members;
mod workspaces;
