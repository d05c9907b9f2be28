//! `POST auth/register`: creates an account.

use axum::Extension;
use axum::extract::State;
use saas_kernel::Ctx;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::json::Json;
use crate::response::Created;
use crate::routes;
use crate::routing::Routes;
use crate::state::Api;

pub(super) fn routes() -> Routes {
    Routes::default().api(routes!(register))
}

/// The address, password and name of a new account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Register {
    #[schema(example = "ada@example.com", max_length = 254)]
    email: String,
    #[schema(min_length = 12, max_length = 128)]
    password: String,
    #[schema(example = "Ada Lovelace", max_length = 100)]
    name: String,
}

/// The response to every registration, whether or not the address already has an account.
#[derive(Serialize, ToSchema)]
struct Registered {
    /// The address as it was sent.
    email: String,
    #[schema(example = "log in with POST /api/v1/auth/login")]
    next: &'static str,
}

/// Creates an account and its first workspace. If the address already has an account, nothing is created and the response
/// is the same, so that it reveals nothing.
#[utoipa::path(post, path = "/auth/register", tag = "auth", security(()), request_body = Register, responses((status = 201, body = Registered)))]
async fn register(
    State(api): State<Api>,
    Extension(ctx): Extension<Ctx>,
    Json(input): Json<Register>,
) -> Result<Created<Registered>, ApiError> {
    let email = api.kernel().register(ctx, &input.email, &input.password, &input.name).await?;
    Ok(Created(Registered { email: email.as_str().to_owned(), next: "log in with POST /api/v1/auth/login" }))
}
