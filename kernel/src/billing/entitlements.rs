//! Entitlements: checks the features of a workspace, shows what it may use, and sets the plan that decides it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::access::catalog::Access;
use crate::access::entitlements::{Entitlements, resolve};
use crate::access::{Can, Grant};
use crate::base::error::{Error, Refusal};
use crate::base::id::WorkspaceId;
use crate::billing::limits::Usage;
use crate::billing::names::codes::PLAN_REQUIRED;
use crate::store::{ReadTx, Tx};
use crate::tenancy::names::ReadWorkspace;

/// Key of a feature, as in `product.config.yaml`. Declare features as constants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Feature(pub &'static str);

/// What a workspace may use, and how much of it is used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntitlementUsage {
    /// Key of the workspace's plan.
    pub plan: String,
    /// How much of the plan the workspace may use, given the state of its subscription.
    pub access: Access,
    /// Whether each feature is included: every feature that any plan of this version of the product has, and those that the
    /// workspace has.
    pub features: BTreeMap<String, bool>,
    /// The limits with their usage.
    pub limits: BTreeMap<String, Usage>,
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
            let own = grant.entitlements().plan_name();
            let text = format!("`{}` is not part of the plan {own}; {} has it", feature.0, plan.name);
            Err(Refusal::new(&PLAN_REQUIRED, text).unlocked_by(&plan.key))
        }
        None => Err(Refusal::new(&PLAN_REQUIRED, format!("`{}` is not part of any plan", feature.0))),
    }
}

/// What the proof's workspace may use, and how much of it is used.
pub async fn list(can: &Can<ReadWorkspace>, tx: &mut dyn ReadTx) -> Result<EntitlementUsage, Error> {
    let mut counters = can.enter_read(tx)?.limits().all(can.workspace()).await?;
    let own = can.entitlements();
    let known = can.catalog().plans().iter().flat_map(|plan| &plan.features).chain(&own.terms.features);
    let limits = own.terms.limits.iter().map(|(key, cap)| {
        let usage = counters.remove(key).unwrap_or(Usage { used: 0, cap: *cap });
        (key.clone(), usage)
    });
    Ok(EntitlementUsage {
        plan: own.plan().to_owned(),
        access: own.access,
        features: known.map(|key| (key.clone(), own.includes(key))).collect(),
        limits: limits.collect(),
    })
}

/// Sets the plan that a workspace pays for (`None`: none), and in the same transaction, which must be one of the system, the access,
/// the entitlements and the caps of its limits. Their terms are those of the catalog that is in force, which another version of
/// the product may have applied. Lock the workspace before reading what the plan follows from.
///
/// # Errors
/// Broken if no catalog was ever applied to the database.
pub async fn set_plan(
    tx: &mut dyn Tx,
    workspace: WorkspaceId,
    plan: Option<&str>,
    access: Access,
    at: DateTime<Utc>,
) -> Result<Entitlements, Error> {
    let plans = tx.catalogs().in_force().await?.ok_or_else(|| {
        Error::broken("no plans were applied to this database; call PgSystem::sync_catalog at start-up")
    })?;
    let entitlements = resolve(&plans, plan, access);
    // The caps first: whoever holds a counter may wait, in its commit, for whoever changes the workspace.
    tx.limits().set_caps(workspace, &entitlements.terms.limits).await?;
    tx.workspaces().set_plan(workspace, plan, &entitlements, at).await?;
    Ok(entitlements)
}
