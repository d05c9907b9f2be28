//! Identity repositories: accounts, sessions, API keys, and the look-ups that precede a scope.

mod api_keys;
pub(crate) mod lookups;
mod sessions;
mod users;
