//! Accounts, sessions and the look-ups before a scope is known.

pub(crate) mod lookups;
mod sessions;
mod users;
