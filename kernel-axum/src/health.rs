//! `/healthz`: whether the process answers. `/readyz`: whether it can serve requests.

use axum::extract::State;
use saas_kernel::{Refusal, codes};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::response::View;
use crate::routes;
use crate::routing::Routes;
use crate::shutdown::Phase;
use crate::state::Api;

pub(crate) fn routes() -> Routes {
    Routes::default().root(routes!(healthz)).root(routes!(readyz))
}

/// The health of the process.
#[derive(Serialize, ToSchema)]
struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

/// Succeeds when the process answers.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()), responses((status = 200, body = Health)))]
async fn healthz() -> View<Health> {
    View(Health { status: "ok" })
}

/// Succeeds when the process can serve requests: the database answers, and the process is not about to stop.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()), responses((status = 200, body = Health)))]
async fn readyz(State(api): State<Api>) -> Result<View<Health>, ApiError> {
    if api.shutdown().has_reached(Phase::Leaving) {
        let text = "this copy of the app is about to stop; send new connections to another one";
        return Err(Refusal::new(&codes::SHUTTING_DOWN, text).into());
    }
    api.kernel().store().ready().await?;
    Ok(View(Health { status: "ok" }))
}
