//! `POST auth/register`.

use axum::Extension;
use axum::extract::State;
use saas_kernel::guard::rate_limit::Bucket;
use saas_kernel::identity::sign_up::{ANSWER_FLOOR, NewAccount, SignUp};
use saas_kernel::{Ctx, Proof};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::answer::Created;
use crate::error::ApiError;
use crate::json::Json;
use crate::middleware::client_ip;
use crate::routes;
use crate::routing::Routes;
use crate::state::Api;

pub(super) fn routes() -> Routes {
    Routes::default().api(routes!(register))
}

/// A new account.
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

/// What everybody is told who registers.
#[derive(Serialize, ToSchema)]
struct Registered {
    /// As it was given.
    email: String,
    #[schema(example = "log in with POST /api/v1/auth/login")]
    next: &'static str,
}

/// Makes an account and its first workspace. The answer is the same when the address has an account already, so that
/// nobody learns who has one; then nothing is made.
#[utoipa::path(post, path = "/auth/register", tag = "auth", security(()), request_body = Register, responses((status = 201, body = Registered)))]
async fn register(
    State(api): State<Api>,
    Extension(ctx): Extension<Ctx>,
    Json(input): Json<Register>,
) -> Result<Created<Registered>, ApiError> {
    let kernel = api.kernel();
    let account = NewAccount::parse(&input.email, &input.password, &input.name)?;
    if let Some(ip) = ctx.ip {
        kernel.rate_limit(Bucket::SignUpIp, || client_ip::bucket(ip)).await?;
    }
    let floor = Instant::now() + ANSWER_FLOOR;
    let answer = Registered { email: account.email.as_str().to_owned(), next: "log in with POST /api/v1/auth/login" };
    let prepared = SignUp::prepare(ctx, account, kernel.passwords()).await?;
    let mut tx = kernel.store().begin(prepared.scope()).await?;
    let made = kernel.sign_up(&prepared, &mut *tx).await?;
    if made.is_some() {
        tx.commit().await?;
    } else {
        drop(tx);
    }
    tokio::time::sleep_until(floor).await;
    Ok(Created(answer))
}
