//! Shows what a workspace pays for.

use super::{Subscription, effective_subscription};
use crate::access::Can;
use crate::base::error::Error;
use crate::billing::names::ManageBilling;
use crate::store::ReadTx;

/// The subscription that counts, if there is one, and the plan that the workspace has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Current {
    /// Key of the plan whose entitlements the workspace has: that of the subscription, or of the free plan.
    pub plan: String,
    /// The subscription; `None` if the free plan applies.
    pub subscription: Option<Subscription>,
}

/// The subscription of the proof's workspace, also while it is read-only or suspended.
pub async fn current(can: &Can<ManageBilling>, tx: &mut dyn ReadTx) -> Result<Current, Error> {
    let all = can.enter_read(tx)?.subscriptions().of_workspace(can.workspace()).await?;
    let subscription = effective_subscription(&all).cloned();
    let plan = subscription.as_ref().map_or_else(|| can.catalog().free().key.clone(), |paid| paid.plan.clone());
    Ok(Current { plan, subscription })
}
