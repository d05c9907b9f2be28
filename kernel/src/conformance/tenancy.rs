//! The suites of `tenancy`.

pub(super) mod members;
pub(super) mod workspaces;
