//! Accounts, sessions and the look-ups before a scope is known.

mod api_keys;
pub(crate) mod lookups;
mod sessions;
mod users;
