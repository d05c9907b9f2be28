//! Who somebody is: accounts, passwords, sessions; and programs with a key.

pub mod api_keys;
pub mod authenticate;
mod last_used;
pub mod login;
pub mod lookups;
pub mod names;
pub mod password;
pub mod sessions;
pub mod sign_up;
pub mod users;

crate::base::repositories::repositories! {
    /// The identity pillar's repositories.
    pub trait IdentityRepositories {
        /// Accounts.
        users: users::Users;
        /// Signed-in browsers.
        sessions: sessions::Sessions;
        /// API keys of a workspace.
        api_keys: api_keys::ApiKeys;
    }
}
