//! Reserving places of a limit, and asking how many are left.

use super::{Limit, Reserved, Usage};
use crate::access::catalog::Cap;
use crate::access::{Can, Grant};
use crate::base::error::{Error, Refusal};
use crate::billing::names::codes::LIMIT_REACHED;
use crate::store::Tx;

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
            Refusal::new(&LIMIT_REACHED, format!("{state}; {} allows {allows}", larger.name)).unlocked_by(&larger.key)
        }
        None => Refusal::new(&LIMIT_REACHED, format!("{state}; remove something first")),
    }
}

fn unknown(limit: Limit) -> Error {
    Error::broken(format!("no plan names the limit `{}`; add it to every plan in product.config.yaml", limit.0))
}
