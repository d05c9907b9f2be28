//! `GET workspaces/{ws}/entitlements`.

use std::collections::BTreeMap;

use axum::extract::State;
use saas_kernel::Proof;
use saas_kernel::access::catalog::Cap;
use saas_kernel::billing::entitlements::{self, Entitlement, Entitlements};
use saas_kernel::permissions::ReadWorkspace;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::View;
use crate::error::ApiError;
use crate::extract::{Allow, NoQuery, Query};
use crate::routes;
use crate::routing::Routes;
use crate::state::Api;

pub(super) fn routes() -> Routes {
    Routes::default().workspace(routes!(list))
}

/// What the workspace is entitled to now.
#[derive(Serialize, ToSchema)]
#[schema(as = Entitlements)]
struct EntitlementsView {
    #[schema(example = "free")]
    plan: String,
    /// How much of the plan the subscription's state gives.
    access: &'static str,
    /// Features by key.
    features: BTreeMap<String, bool>,
    /// Limits by key.
    limits: BTreeMap<String, LimitView>,
}

/// A limit and its use.
#[derive(Serialize, ToSchema)]
#[schema(as = Limit)]
struct LimitView {
    /// Whether one more fits.
    allowed: bool,
    /// `null`: any number.
    #[schema(required)]
    limit: Option<u64>,
    usage: u64,
}

impl From<Entitlements> for EntitlementsView {
    fn from(all: Entitlements) -> Self {
        let (mut features, mut limits) = (BTreeMap::new(), BTreeMap::new());
        for (key, entitlement) in all.entitlements {
            match entitlement {
                Entitlement::Bool(on) => {
                    features.insert(key, on);
                }
                Entitlement::Limit(usage) => {
                    let limit = match usage.cap {
                        Cap::Finite(n) => Some(n),
                        Cap::Unlimited => None,
                    };
                    limits
                        .insert(key, LimitView { allowed: usage.cap.allows(usage.used + 1), limit, usage: usage.used });
                }
            }
        }
        Self { plan: all.plan, access: all.access.as_str(), features, limits }
    }
}

/// Every feature and limit of the workspace's plan, with its use.
#[utoipa::path(get, path = "/entitlements", tag = "billing", responses((status = 200, body = EntitlementsView)))]
async fn list(
    State(api): State<Api>,
    can: Allow<ReadWorkspace>,
    Query(NoQuery {}): Query<NoQuery>,
) -> Result<View<EntitlementsView>, ApiError> {
    let mut tx = api.kernel().store().begin(can.scope()).await?;
    Ok(View(entitlements::list(&can, &mut *tx).await?.into()))
}
