//! `POST auth/login`, `POST auth/logout`: begins and ends a session.

use axum::Extension;
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use saas_kernel::Ctx;
use serde::Deserialize;
use utoipa::ToSchema;

use super::users::UserView;
use crate::error::ApiError;
use crate::extract::SignedIn;
use crate::headers::head;
use crate::json::Json;
use crate::response::{NoContent, View};
use crate::routes;
use crate::routing::Routes;
use crate::state::Api;

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
    let (kernel, cookie) = (api.kernel(), api.http().cookie());
    let replaced = cookie.token(&head(&Method::POST, &headers));
    let logged_in = kernel.log_in(ctx, &input.email, &input.password, replaced.as_ref()).await?;
    let cookie = set_cookie(&cookie.set(&logged_in.token, kernel.config().sessions));
    Ok((cookie, View(UserView::from(logged_in.user))).into_response())
}

/// Ends the session and deletes its cookie.
#[utoipa::path(post, path = "/auth/logout", tag = "auth", responses((status = 204)))]
async fn log_out(State(api): State<Api>, session: SignedIn, headers: HeaderMap) -> Result<Response, ApiError> {
    let cookie = api.http().cookie();
    if let Some(token) = cookie.token(&head(&Method::POST, &headers)) {
        api.kernel().log_out(&session, &token).await?;
    }
    Ok((set_cookie(&cookie.clear()), NoContent).into_response())
}

/// The header that sets or deletes the session cookie.
fn set_cookie(text: &str) -> Option<[(HeaderName, HeaderValue); 1]> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some([(SET_COOKIE, value)])
}
