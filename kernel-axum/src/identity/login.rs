//! `POST auth/login`, `POST auth/logout`: begins and ends a session.

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Response};
use saas_kernel::guard::rate_limit::Bucket;
use saas_kernel::identity::login;
use saas_kernel::identity::users::Email;
use saas_kernel::{Ctx, Proof, Refusal, codes};
use serde::Deserialize;
use utoipa::ToSchema;

use super::users::UserView;
use crate::error::ApiError;
use crate::extract::SignedIn;
use crate::json::Json;
use crate::middleware::client_ip;
use crate::response::{NoContent, View};
use crate::routing::Routes;
use crate::state::Api;
use crate::{cookie, routes};

pub(super) fn routes() -> Routes {
    Routes::default().api(routes!(log_in)).api(routes!(log_out))
}

/// The credentials of a user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    #[schema(example = "ada@example.com")]
    email: String,
    password: String,
}

/// Begins a session and sets its cookie. The session of the cookie that was sent ends.
#[utoipa::path(post, path = "/auth/login", tag = "auth", security(()), request_body = Login, responses((status = 200, body = UserView)))]
async fn log_in(
    State(api): State<Api>,
    Extension(ctx): Extension<Ctx>,
    headers: HeaderMap,
    Json(input): Json<Login>,
) -> Result<Response, ApiError> {
    let kernel = api.kernel();
    if let Some(ip) = ctx.ip {
        kernel.rate_limit(Bucket::LoginIp, || client_ip::rate_limit_key(ip)).await?;
    }
    // An address or password that no account can have gets the response of a wrong password, which reveals no rules.
    let wrong = || Refusal::new(&codes::INVALID_CREDENTIALS, "the e-mail address or the password is wrong");
    let email: Email = input.email.parse().map_err(|_| wrong())?;
    kernel.rate_limit(Bucket::LoginEmail, || email.lower().to_owned()).await?;
    let password = input.password.parse().map_err(|_| wrong())?;
    let verified = kernel.verify_login(ctx, &email, password).await?;
    let mut tx = kernel.store().begin(verified.scope()).await?;
    let replaced = cookie::token(&headers, api.http());
    let logged_in = kernel.begin_session(&verified, &mut *tx, replaced.as_ref()).await?;
    tx.commit().await?;
    let max_age = kernel.config().sessions.absolute.num_seconds();
    let cookie = cookie::set(&logged_in.token, max_age, api.http()).map(|cookie| [(SET_COOKIE, cookie)]);
    Ok((cookie, View(UserView::from(logged_in.user))).into_response())
}

/// Ends the session and deletes its cookie.
#[utoipa::path(post, path = "/auth/logout", tag = "auth", responses((status = 204)))]
async fn log_out(State(api): State<Api>, session: SignedIn, headers: HeaderMap) -> Result<Response, ApiError> {
    if let Some(token) = cookie::token(&headers, api.http()) {
        let mut tx = api.kernel().store().begin(session.scope()).await?;
        login::logout(&session, &mut *tx, &token).await?;
        tx.commit().await?;
    }
    let cookie = cookie::clear(api.http()).map(|cookie| [(SET_COOKIE, cookie)]);
    Ok((cookie, NoContent).into_response())
}
