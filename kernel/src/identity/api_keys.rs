//! API keys: a program's way in, for one workspace, with the permissions it was made for and no more. `sk_` and 256 random
//! bits in hexadecimal digits, shown once, stored as their hash.

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
pub struct ApiKeySettings {
    /// How many keys of one workspace can be in force; 100 by default.
    #[serde(deserialize_with = "count")]
    pub max: u64,
}

impl Default for ApiKeySettings {
    fn default() -> Self {
        Self { max: 100 }
    }
}

/// What every key begins with: secret scanners know it by that.
pub const PREFIX: &str = "sk_";
/// A key, without its secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiKey {
    /// Its id; it is the actor of what the key does.
    pub id: ApiKeyId,
    /// What it is for.
    pub name: String,
    /// How its secret begins, to tell keys apart: `sk_` and eight digits.
    pub prefix: String,
    /// The permissions it holds.
    pub scopes: Vec<String>,
    /// Who made it.
    pub created_by: UserId,
    /// When.
    pub created_at: DateTime<Utc>,
    /// Until when it is good; `None` is until it is revoked.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was used last, give or take five minutes.
    pub last_used_at: Option<DateTime<Utc>>,
}

impl ApiKey {
    /// Its place in lists.
    pub fn position(&self) -> Position {
        Position { at: self.created_at, id: self.id.uuid() }
    }
}

/// What a key is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewApiKey {
    /// What it is for: 1 to 100 characters.
    pub name: String,
    /// The permissions it is to hold; at least one.
    pub scopes: Vec<String>,
    /// Until when.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Repository of API keys.
#[async_trait]
pub trait ApiKeys: Send {
    /// Adds a key.
    async fn insert(&mut self, workspace: WorkspaceId, key: &ApiKey, token: &TokenHash) -> Result<(), StoreError>;
    /// Those that are not revoked, newest first; also those that have expired.
    async fn list(&mut self, workspace: WorkspaceId, page: &PageRequest) -> Result<Page<ApiKey>, StoreError>;
    /// How many are in force.
    async fn count(&mut self, workspace: WorkspaceId, now: DateTime<Utc>) -> Result<u64, StoreError>;
    /// Revokes one for good; `false` when there is none of that id.
    async fn revoke(&mut self, workspace: WorkspaceId, id: ApiKeyId, at: DateTime<Utc>) -> Result<bool, StoreError>;
    /// Notes that it was used.
    async fn touch(&mut self, workspace: WorkspaceId, id: ApiKeyId, at: DateTime<Utc>) -> Result<(), StoreError>;
}
