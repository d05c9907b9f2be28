//! Limits: how many of something a plan allows, held by one guarded statement in the caller's transaction.

mod flow;

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::access::catalog::Cap;
use crate::base::error::StoreError;
use crate::base::id::WorkspaceId;

pub use flow::{LimitCheck, check_limit, reached, reserve};

/// A limit's key, as in `product.config.yaml`. Declare them as constants: `pub const PROJECTS: Limit = Limit("projects");`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit(pub &'static str);

/// What a reservation met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reserved {
    /// It is held until the transaction ends; committed, it counts until the row is deleted.
    Yes,
    /// It does not fit.
    Full(Usage),
    /// The workspace has no counter of that key: the catalog does not name it.
    Unknown,
}

/// How much of a limit is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usage {
    /// What counts now.
    pub used: u64,
    /// What the plan allows.
    pub cap: Cap,
}

/// Repository of counters, one per workspace and limit. The cap is stored beside the count, so that a downgrade holds from
/// its commit on, also for a request that began before it.
#[async_trait]
pub trait Limits: Send {
    /// Adds `n` if it fits, in one statement: two callers cannot both take the last place.
    ///
    /// # Errors
    /// `Scope` when the transaction, which is the system's then, has reserved the same limit in another workspace: rows
    /// could not tell whose places they use up. The transaction goes on.
    async fn reserve(&mut self, workspace: WorkspaceId, key: &str, n: u32) -> Result<Reserved, StoreError>;
    /// One counter.
    async fn usage(&mut self, workspace: WorkspaceId, key: &str) -> Result<Option<Usage>, StoreError>;
    /// All counters.
    async fn all(&mut self, workspace: WorkspaceId) -> Result<BTreeMap<String, Usage>, StoreError>;
    /// Makes the counters of a new workspace.
    async fn create_counters(&mut self, workspace: WorkspaceId, caps: &BTreeMap<String, Cap>)
    -> Result<(), StoreError>;
    /// Changes the caps; counts stay. System scope only: a request cannot raise its own limits.
    async fn set_caps(&mut self, workspace: WorkspaceId, caps: &BTreeMap<String, Cap>) -> Result<(), StoreError>;
}
