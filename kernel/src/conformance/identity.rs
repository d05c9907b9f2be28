//! The suites of `identity`.

pub(super) mod api_keys;
pub(super) mod lookups;
pub(super) mod sessions;
pub(super) mod users;
