//! `GET workspaces/{ws}/subscription`: what the workspace pays for.

use axum::extract::State;
use chrono::{DateTime, Utc};
use saas_kernel::Proof;
use saas_kernel::billing::subscription::{self, Current};
use saas_kernel::permissions::ManageBilling;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::extract::{Allow, NoQuery};
use crate::response::View;
use crate::routes;
use crate::routing::Routes;
use crate::state::Api;

pub(super) fn routes() -> Routes {
    Routes::default().workspace(routes!(get))
}

/// The subscription of a workspace, or the free plan.
#[derive(Serialize, ToSchema)]
#[schema(as = Subscription)]
struct SubscriptionView {
    /// The key of the plan.
    #[schema(example = "starter")]
    plan: String,
    /// How much of the plan the state of the subscription allows: `full`, `grace` or `read_only`.
    access: &'static str,
    /// The provider's status, such as `active` or `past_due`; `null` for the free plan, as are the times.
    #[schema(required)]
    status: Option<String>,
    /// Start of the paid period.
    #[schema(required)]
    period_start: Option<DateTime<Utc>>,
    /// End of the paid period.
    #[schema(required)]
    period_end: Option<DateTime<Utc>>,
    /// When the subscription will end, if it was cancelled.
    #[schema(required)]
    cancel_at: Option<DateTime<Utc>>,
}

impl From<Current> for SubscriptionView {
    fn from(current: Current) -> Self {
        let paid = current.subscription.as_ref();
        Self {
            plan: current.plan,
            access: paid.map_or("full", |paid| paid.status.access().as_str()),
            status: paid.map(|paid| paid.status.as_str().to_owned()),
            period_start: paid.map(|paid| paid.period.0),
            period_end: paid.map(|paid| paid.period.1),
            cancel_at: paid.and_then(|paid| paid.cancel_at),
        }
    }
}

/// Shows the workspace's subscription, or the free plan.
#[utoipa::path(get, path = "/subscription", tag = "billing", responses((status = 200, body = SubscriptionView)))]
async fn get(
    State(api): State<Api>,
    can: Allow<ManageBilling>,
    _: NoQuery,
) -> Result<View<SubscriptionView>, ApiError> {
    let mut tx = api.kernel().store().read(can.scope()).await?;
    Ok(View(subscription::current(&can, &mut *tx).await?.into()))
}
