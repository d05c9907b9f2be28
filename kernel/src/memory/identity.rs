//! Accounts, sessions and look-ups.

pub(crate) mod lookups;
pub(crate) mod sessions;
pub(crate) mod users;
