//! Reserves places of a limit, and checks how many are left.

use super::{Limit, Reserved, Usage};
use crate::access::Grant;
use crate::access::catalog::Cap;
use crate::base::error::{Error, Refusal};
use crate::billing::names::codes::LIMIT_REACHED;
use crate::store::{ReadTx, Tx};

/// Reserves `n` places of `limit`, or refuses and names the cheapest plan that allows them. Call it before taking other locks,
/// and insert the row in the same transaction, into a table protected with `counts => key`; that table gives the place back
/// when the row is deleted.
///
/// # Errors
/// `limit_reached` with the plan that allows it; broken if `n` is 0 or no plan has `limit`.
pub async fn reserve(grant: &Grant, tx: &mut dyn Tx, limit: Limit, n: u32) -> Result<(), Error> {
    if n == 0 {
        return Err(Error::broken(format!("a reservation of 0 `{}`; reserve at least 1", limit.0)));
    }
    match grant.enter(tx)?.limits().reserve(grant.workspace(), limit.0, n).await? {
        Reserved::Yes => Ok(()),
        Reserved::Full(usage) => Err(reached(grant, limit.0, Some(usage), u64::from(n)).into()),
        Reserved::Unknown => Err(unknown(grant, limit)),
    }
}

/// Result of [`check_limit`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LimitCheck {
    /// Whether one more is allowed.
    pub allowed: bool,
    /// Number that the plan allows.
    pub limit: Cap,
    /// Number that counts now.
    pub usage: u64,
}

/// Whether `limit` allows one more right now. For display only: only [`reserve`] enforces the limit.
///
/// # Errors
/// Broken if no plan has `limit`.
pub async fn check_limit(grant: &Grant, tx: &mut dyn ReadTx, limit: Limit) -> Result<LimitCheck, Error> {
    let usage = grant.enter_read(tx)?.limits().usage(grant.workspace(), limit.0).await?;
    let usage = usage.ok_or_else(|| unknown(grant, limit))?;
    Ok(LimitCheck { allowed: usage.cap.allows(usage.used + 1), limit: usage.cap, usage: usage.used })
}

/// The refusal for a reached limit. It names the usage, the plan and the cheapest plan that allows more. The plan may have
/// changed since the call began, so it is named only if the stored cap is its own.
pub fn reached(grant: &Grant, key: &str, usage: Option<Usage>, n: u64) -> Refusal {
    let entitlements = grant.entitlements();
    let own = usage.is_none_or(|usage| entitlements.cap(key) == Some(usage.cap));
    let of = if own { format!(" of the plan {}", entitlements.plan_name()) } else { String::new() };
    let state = match usage {
        Some(Usage { used, cap: Cap::Finite(cap) }) => format!("{used} of {cap} `{key}`{of} are used"),
        Some(Usage { cap: Cap::Unlimited, .. }) | None => format!("the `{key}`{of} are used up"),
    };
    let wanted = usage.map_or(n, |usage| usage.used + n);
    let larger = grant.catalog().unlocks(key, wanted).filter(|larger| !own || larger.key != entitlements.plan());
    match larger {
        Some(larger) => {
            let allows = match larger.limits.get(key) {
                Some(Cap::Finite(n)) => n.to_string(),
                Some(Cap::Unlimited) | None => "any number".to_owned(),
            };
            Refusal::new(&LIMIT_REACHED, format!("{state}; {} allows {allows}", larger.name)).unlocked_by(&larger.key)
        }
        None => Refusal::new(&LIMIT_REACHED, format!("{state}; remove something first")),
    }
}

fn unknown(grant: &Grant, limit: Limit) -> Error {
    let Limit(key) = limit;
    Error::broken(if grant.catalog().free().limits.contains_key(key) {
        format!(
            "the database was not told about the limit `{key}`; apply the plans at start-up with PgSystem::sync_catalog"
        )
    } else {
        format!("no plan has the limit `{key}`; add it to every plan in product.config.yaml")
    })
}
