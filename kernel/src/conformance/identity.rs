//! The suites of `identity`.

pub(super) mod lookups;
pub(super) mod sessions;
pub(super) mod users;
