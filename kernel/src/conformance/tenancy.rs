//! The suites of `tenancy`.

pub(super) mod invites;
pub(super) mod members;
pub(super) mod workspaces;
