//! Workspaces, their members and who is invited.

mod invites;
mod members;
mod workspaces;
