//! Tenancy repositories: workspaces, members and invites.

mod invites;
mod members;
mod workspaces;
