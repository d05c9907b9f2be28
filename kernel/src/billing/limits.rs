//! Limits: how many of a resource a plan allows, enforced by one guarded statement in the caller's transaction.

mod flow;

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::access::catalog::Cap;
use crate::base::error::StoreError;
use crate::base::id::WorkspaceId;

pub use flow::{LimitCheck, check_limit, reached, reserve};

/// Key of a limit, as in `product.config.yaml`. Declare limits as constants: `pub const PROJECTS: Limit = Limit("projects");`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit(pub &'static str);

/// Outcome of a reservation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reserved {
    /// Reserved until the transaction ends; once committed, it counts until the row is deleted.
    Yes,
    /// The limit does not allow that many more; holds the current usage.
    Full(Usage),
    /// Neither the workspace's entitlements nor any catalog that was applied has such a limit.
    Unknown,
}

/// Current usage of a limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usage {
    /// Number of resources that count now.
    pub used: u64,
    /// Number that the plan allows.
    pub cap: Cap,
}

/// Reads usage counters.
#[async_trait]
pub trait LimitReads: Send {
    /// The usage of one limit, also if its counter is still missing, which this does not make; `None` if there is no such limit.
    async fn usage(&mut self, workspace: WorkspaceId, key: &str) -> Result<Option<Usage>, StoreError>;
    /// All counters of the workspace.
    async fn all(&mut self, workspace: WorkspaceId) -> Result<BTreeMap<String, Usage>, StoreError>;
}

/// Repository of usage counters, one per workspace and limit. The cap is stored with the count, so that a downgrade takes
/// effect with its commit, also for a request that began before it.
///
/// The database makes the counters of a new workspace. One that is missing, because the limit came with a version that this
/// workspace's entitlements are not from, is made when a place is reserved or a row counted: with the cap of the workspace's
/// entitlements, else that of its plan in the newest catalog that has the limit. It begins with 0: rows that were inserted before
/// their table was counted do not count.
#[async_trait]
pub trait Limits: LimitReads {
    /// Adds `n` to the counter if the cap allows it, in one statement: two callers cannot both take the last place.
    ///
    /// # Errors
    /// `Scope` if the transaction, which is then a system transaction, has reserved the same limit in another workspace: rows
    /// would not tell which workspace's reservation they use. The transaction stays usable.
    async fn reserve(&mut self, workspace: WorkspaceId, key: &str, n: u32) -> Result<Reserved, StoreError>;
    /// Changes the caps, keeps the counts and makes the counters that are missing. System scope only: a request cannot raise its
    /// own limits. Use [`set_plan`](crate::billing::entitlements::set_plan).
    async fn set_caps(&mut self, workspace: WorkspaceId, caps: &BTreeMap<String, Cap>) -> Result<(), StoreError>;
}
