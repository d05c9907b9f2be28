//! `/healthz`: the process answers. `/readyz`: it can do its work.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::View;
use crate::error::ApiError;
use crate::routes;
use crate::routing::Routes;
use crate::state::Api;

pub(crate) fn routes() -> Routes {
    Routes::default().root(routes!(healthz)).root(routes!(readyz))
}

/// That it works.
#[derive(Serialize, ToSchema)]
struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()), responses((status = 200, body = Health)))]
async fn healthz() -> View<Health> {
    View(Health { status: "ok" })
}

/// The process can do its work: the database answers.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()), responses((status = 200, body = Health)))]
async fn readyz(State(api): State<Api>) -> Result<View<Health>, ApiError> {
    api.kernel().store().ready().await?;
    Ok(View(Health { status: "ok" }))
}
