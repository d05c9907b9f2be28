//! Limits: how many of something a plan allows, held by one guarded statement in the caller's transaction.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::access::{Can, Grant};
use crate::billing::catalog::Cap;
use crate::error::{Error, Refusal, codes};
use crate::id::WorkspaceId;
use crate::store::{StoreError, Tx};

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
    async fn open(&mut self, workspace: WorkspaceId, caps: &BTreeMap<String, Cap>) -> Result<(), StoreError>;
    /// Changes the caps; counts stay. System scope only: a request cannot raise its own limits.
    async fn set_caps(&mut self, workspace: WorkspaceId, caps: &BTreeMap<String, Cap>) -> Result<(), StoreError>;
}

/// Takes `n` places of `limit`, or refuses and names the plan that has more. Call it before other locks; the row whose
/// place it is must be inserted in the same transaction into a table protected with `counts => key`, which gives the
/// place back when the row is deleted.
///
/// # Errors
/// `limit_reached` with the plan that unlocks it; broken if `n` is 0 or no plan names `limit`.
pub async fn reserve<P>(can: &Can<P>, tx: &mut dyn Tx, limit: Limit, n: u32) -> Result<(), Error> {
    if n == 0 {
        return Err(Error::broken(format!("a reservation of 0 `{}`; reserve at least 1", limit.0)));
    }
    match can.enter(tx)?.limits().reserve(can.workspace(), limit.0, n).await? {
        Reserved::Yes => Ok(()),
        Reserved::Full(usage) => Err(reached(can, limit.0, Some(usage), u64::from(n)).into()),
        Reserved::Unknown => Err(unknown(limit)),
    }
}

/// A limit and its use, as `check_limit` tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitCheck {
    /// Whether one more fits.
    pub allowed: bool,
    /// What the plan allows.
    pub limit: Cap,
    /// What counts now.
    pub usage: u64,
}

/// Whether one more of `limit` fits right now. For showing; only [`reserve`] holds.
///
/// # Errors
/// Broken if no plan names `limit`.
pub async fn check_limit<P>(can: &Can<P>, tx: &mut dyn Tx, limit: Limit) -> Result<LimitCheck, Error> {
    let usage = can.enter(tx)?.limits().usage(can.workspace(), limit.0).await?.ok_or_else(|| unknown(limit))?;
    Ok(LimitCheck { allowed: usage.cap.allows(usage.used + 1), limit: usage.cap, usage: usage.used })
}

/// The refusal for a full limit: what is used, of what, and which plan has more. The plan may have changed since the call
/// began; it is named only where the cap is its own.
pub fn reached(grant: &Grant, key: &str, usage: Option<Usage>, n: u64) -> Refusal {
    let plan = grant.plan();
    let own = usage.is_none_or(|usage| plan.limits.get(key) == Some(&usage.cap));
    let of = if own { format!(" of the plan {}", plan.name) } else { String::new() };
    let state = match usage {
        Some(Usage { used, cap: Cap::Finite(cap) }) => format!("{used} of {cap} `{key}`{of} are used"),
        Some(Usage { cap: Cap::Unlimited, .. }) | None => format!("the `{key}`{of} are used up"),
    };
    let wanted = usage.map_or(n, |usage| usage.used + n);
    let larger = grant.catalog().unlocks(key, wanted).filter(|larger| !own || larger.key != plan.key);
    match larger {
        Some(larger) => {
            let allows = match larger.limits.get(key) {
                Some(Cap::Finite(n)) => n.to_string(),
                Some(Cap::Unlimited) | None => "any number".to_owned(),
            };
            Refusal::new(&codes::LIMIT_REACHED, format!("{state}; {} allows {allows}", larger.name))
                .unlocked_by(&larger.key)
        }
        None => Refusal::new(&codes::LIMIT_REACHED, format!("{state}; remove something first")),
    }
}

fn unknown(limit: Limit) -> Error {
    Error::broken(format!("no plan names the limit `{}`; add it to every plan in product.config.yaml", limit.0))
}
