//! Accounts, sessions and look-ups.

pub(crate) mod api_keys;
pub(crate) mod lookups;
pub(crate) mod sessions;
pub(crate) mod users;
