//! What the workspace's plan entitles it to.

use std::collections::BTreeMap;

use crate::access::catalog::Access;
use crate::access::{Can, Grant};
use crate::base::error::{Error, Refusal};
use crate::billing::limits::Usage;
use crate::billing::names::codes::PLAN_REQUIRED;
use crate::store::Tx;
use crate::tenancy::names::ReadWorkspace;

/// A feature's key, as in `product.config.yaml`. Declare them as constants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Feature(pub &'static str);

/// One thing a plan gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entitlement {
    /// On or off.
    Bool(bool),
    /// Up to a number, or any number, with its use.
    Limit(Usage),
}

/// Everything the workspace is entitled to now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entitlements {
    /// The plan's key.
    pub plan: String,
    /// How much of it the subscription's state gives.
    pub access: Access,
    /// By feature or limit key.
    pub entitlements: BTreeMap<String, Entitlement>,
}

/// Lets the call through if the plan has `feature`.
///
/// # Errors
/// `plan_required`, naming the cheapest plan that has it.
pub fn require(grant: &Grant, feature: Feature) -> Result<(), Refusal> {
    if grant.plan().features.contains(feature.0) {
        return Ok(());
    }
    match grant.catalog().unlocks_feature(feature.0) {
        Some(plan) => {
            let text = format!("`{}` is not part of the plan {}; {} has it", feature.0, grant.plan().name, plan.name);
            Err(Refusal::new(&PLAN_REQUIRED, text).unlocked_by(&plan.key))
        }
        None => Err(Refusal::new(&PLAN_REQUIRED, format!("`{}` is not part of any plan", feature.0))),
    }
}

/// All entitlements of the proof's workspace: every feature any plan has, and every limit with its use.
pub async fn list(can: &Can<ReadWorkspace>, tx: &mut dyn Tx) -> Result<Entitlements, Error> {
    let limits = can.enter(tx)?.limits().all(can.workspace()).await?;
    let features = can.catalog().plans().iter().flat_map(|plan| plan.features.iter());
    let on = |feature: &String| (feature.clone(), Entitlement::Bool(can.plan().features.contains(feature)));
    let mut entitlements: BTreeMap<_, _> = features.map(on).collect();
    entitlements.extend(limits.into_iter().map(|(key, usage)| (key, Entitlement::Limit(usage))));
    Ok(Entitlements { plan: can.plan().key.clone(), access: can.access(), entitlements })
}
