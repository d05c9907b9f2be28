//! Entitlements: the features and limits that a workspace's plan gives it.

use std::collections::BTreeMap;

use crate::access::catalog::Access;
use crate::access::{Can, Grant};
use crate::base::error::{Error, Refusal};
use crate::billing::limits::Usage;
use crate::billing::names::codes::PLAN_REQUIRED;
use crate::store::Tx;
use crate::tenancy::names::ReadWorkspace;

/// Key of a feature, as in `product.config.yaml`. Declare features as constants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Feature(pub &'static str);

/// One feature or limit of a plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entitlement {
    /// Whether a feature is included.
    Bool(bool),
    /// A limit and its current usage.
    Limit(Usage),
}

/// All current entitlements of a workspace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entitlements {
    /// Key of the workspace's plan.
    pub plan: String,
    /// How much of the plan the workspace may use, given the state of its subscription.
    pub access: Access,
    /// The entitlements, by feature or limit key.
    pub entitlements: BTreeMap<String, Entitlement>,
}

/// Checks that the workspace's plan includes `feature`.
///
/// # Errors
/// `plan_required`, naming the cheapest plan that includes it.
pub fn require(grant: &Grant, feature: Feature) -> Result<(), Refusal> {
    if grant.has_feature(feature.0) {
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

/// All entitlements of the proof's workspace: every feature that any plan has, and every limit with its usage.
pub async fn list(can: &Can<ReadWorkspace>, tx: &mut dyn Tx) -> Result<Entitlements, Error> {
    let limits = can.enter(tx)?.limits().all(can.workspace()).await?;
    let features = can.catalog().plans().iter().flat_map(|plan| plan.features.iter());
    let on = |feature: &String| (feature.clone(), Entitlement::Bool(can.plan().features.contains(feature)));
    let mut entitlements: BTreeMap<_, _> = features.map(on).collect();
    entitlements.extend(limits.into_iter().map(|(key, usage)| (key, Entitlement::Limit(usage))));
    Ok(Entitlements { plan: can.plan().key.clone(), access: can.access(), entitlements })
}
