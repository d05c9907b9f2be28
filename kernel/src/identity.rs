//! Who somebody is: accounts, passwords, sessions; and programs with a key.

pub mod api_keys;
pub mod authenticate;
pub mod login;
pub mod lookups;
pub(crate) mod noting;
pub mod password;
pub mod sessions;
pub mod sign_up;
pub mod users;
