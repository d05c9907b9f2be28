//! API keys: bearer tokens for programs, for one workspace and with fixed permissions. A token is `sk_` and 256 random bits in
//! hexadecimal digits; it is shown once and stored as its hash.

mod flow;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::base::error::StoreError;
use crate::base::id::{ApiKeyId, UserId, WorkspaceId};
use crate::base::page::{Page, PageRequest, Position};
use crate::base::secret::TokenHash;
use crate::base::settings::count;

pub use flow::{create, list, revoke};

/// Settings of API keys; `api_keys` in `product.config.yaml`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ApiKeySettings {
    /// Maximum number of keys of one workspace that are in force, 100 by default.
    #[serde(deserialize_with = "count")]
    pub max: u64,
}

impl Default for ApiKeySettings {
    fn default() -> Self {
        Self { max: 100 }
    }
}

/// Prefix of every key, by which secret scanners recognise keys.
pub const PREFIX: &str = "sk_";
/// An API key, without its secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiKey {
    /// Id of the key; it is the actor of the key's calls.
    pub id: ApiKeyId,
    /// Name of the key, such as what it is used for.
    pub name: String,
    /// First characters of the token, to tell keys apart: `sk_` and eight digits.
    pub prefix: String,
    /// Permissions of the key.
    pub scopes: Vec<String>,
    /// Person who created the key.
    pub created_by: UserId,
    /// Time at which the key was created.
    pub created_at: DateTime<Utc>,
    /// Time at which the key expires; `None` if it does not.
    pub expires_at: Option<DateTime<Utc>>,
    /// Time of the last use, accurate to about five minutes.
    pub last_used_at: Option<DateTime<Utc>>,
}

impl ApiKey {
    /// Position of the key in paged lists.
    pub fn position(&self) -> Position {
        Position { at: self.created_at, id: self.id.uuid() }
    }
}

/// A key to be created.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewApiKey {
    /// Name of the key: 1 to 100 characters.
    pub name: String,
    /// Permissions of the key; at least one.
    pub scopes: Vec<String>,
    /// Time at which the key expires; `None` if it does not.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Reads API keys.
#[async_trait]
pub trait ApiKeyReads: Send {
    /// Lists the keys that are not revoked, newest first, including expired ones.
    async fn list(&mut self, workspace: WorkspaceId, page: &PageRequest) -> Result<Page<ApiKey>, StoreError>;
    /// Number of keys in force: neither revoked nor expired.
    async fn count(&mut self, workspace: WorkspaceId, now: DateTime<Utc>) -> Result<u64, StoreError>;
}

/// Repository of API keys.
#[async_trait]
pub trait ApiKeys: ApiKeyReads {
    /// Inserts a key.
    async fn insert(&mut self, workspace: WorkspaceId, key: &ApiKey, token: &TokenHash) -> Result<(), StoreError>;
    /// Revokes a key permanently; `false` if there is none with this id.
    async fn revoke(&mut self, workspace: WorkspaceId, id: ApiKeyId, at: DateTime<Utc>) -> Result<bool, StoreError>;
    /// Records that the key was used.
    async fn touch(&mut self, workspace: WorkspaceId, id: ApiKeyId, at: DateTime<Utc>) -> Result<(), StoreError>;
}
