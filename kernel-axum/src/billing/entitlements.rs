//! `GET workspaces/{ws}/entitlements`: features and limits of the workspace's plan.

use std::collections::BTreeMap;

use axum::extract::State;
use saas_kernel::Proof;
use saas_kernel::access::catalog::Cap;
use saas_kernel::billing::entitlements::{self, EntitlementUsage};
use saas_kernel::billing::limits::Usage;
use saas_kernel::permissions::ReadWorkspace;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::extract::{Allow, NoQuery};
use crate::response::View;
use crate::routes;
use crate::routing::Routes;
use crate::state::Api;

pub(super) fn routes() -> Routes {
    Routes::default().workspace(routes!(list))
}

/// The features and limits that the workspace has now.
#[derive(Serialize, ToSchema)]
#[schema(as = Entitlements)]
struct EntitlementsView {
    #[schema(example = "free")]
    plan: String,
    /// How much of the plan the state of the subscription allows: `full`, `grace` or `read_only`.
    access: &'static str,
    /// The features of the product by key, and whether the plan includes them.
    features: BTreeMap<String, bool>,
    /// The limits of the product by key.
    limits: BTreeMap<String, LimitView>,
}

/// A limit and its usage.
#[derive(Serialize, ToSchema)]
#[schema(as = Limit)]
struct LimitView {
    /// Whether at least one more can be created.
    allowed: bool,
    /// The maximum; `null` if there is none.
    #[schema(required)]
    limit: Option<u64>,
    usage: u64,
}

impl From<Usage> for LimitView {
    fn from(usage: Usage) -> Self {
        let limit = match usage.cap {
            Cap::Finite(n) => Some(n),
            Cap::Unlimited => None,
        };
        Self { allowed: usage.cap.allows(usage.used + 1), limit, usage: usage.used }
    }
}

impl From<EntitlementUsage> for EntitlementsView {
    fn from(all: EntitlementUsage) -> Self {
        let limits = all.limits.into_iter().map(|(key, usage)| (key, usage.into())).collect();
        Self { plan: all.plan, access: all.access.as_str(), features: all.features, limits }
    }
}

/// Lists every feature and limit of the workspace's plan, with its usage.
#[utoipa::path(get, path = "/entitlements", tag = "billing", responses((status = 200, body = EntitlementsView)))]
async fn list(
    State(api): State<Api>,
    can: Allow<ReadWorkspace>,
    _: NoQuery,
) -> Result<View<EntitlementsView>, ApiError> {
    let mut tx = api.kernel().store().read(can.scope()).await?;
    Ok(View(entitlements::list(&can, &mut *tx).await?.into()))
}
