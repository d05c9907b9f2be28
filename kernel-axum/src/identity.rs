//! Sign-up, login, logout, and who one is.

pub(crate) mod api_keys;
mod login;
mod sign_up;
mod users;

use utoipa_axum::router::OpenApiRouter;

use crate::state::Api;

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().merge(sign_up::routes()).merge(login::routes()).merge(users::routes())
}
