//! Identity: accounts, passwords, sign-up, sessions and API keys.

pub mod api_keys;
pub mod authenticate;
pub mod cookie;
pub mod credential;
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
    pub trait IdentityRepositories;
    /// The reading parts of the identity pillar's repositories.
    pub trait IdentityReads;
    /// Accounts of persons.
    users: users::Users, reads users::UserReads;
    /// Sessions of signed-in persons.
    sessions: sessions::Sessions;
    /// API keys of a workspace.
    api_keys: api_keys::ApiKeys, reads api_keys::ApiKeyReads;
}
