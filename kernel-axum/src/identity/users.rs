//! `GET me`: the signed-in user.

use axum::extract::State;
use chrono::{DateTime, Utc};
use saas_kernel::Proof;
use saas_kernel::identity::users::{self, User};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::extract::{NoQuery, SignedIn};
use crate::response::View;
use crate::routes;
use crate::routing::Routes;
use crate::state::Api;

pub(super) fn routes() -> Routes {
    Routes::default().api(routes!(me))
}

/// A user's account.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub(super) struct UserView {
    #[schema(example = "usr_01h455vb4pex5vsknk084sn02q")]
    id: String,
    email: String,
    email_verified: bool,
    name: String,
    created_at: DateTime<Utc>,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id.to_string(),
            email: user.email,
            email_verified: user.email_verified_at.is_some(),
            name: user.name,
            created_at: user.created_at,
        }
    }
}

/// Returns the signed-in user.
#[utoipa::path(get, path = "/me", tag = "me", responses((status = 200, body = UserView)))]
async fn me(State(api): State<Api>, session: SignedIn, _: NoQuery) -> Result<View<UserView>, ApiError> {
    let mut tx = api.kernel().store().read(session.scope()).await?;
    Ok(View(users::me(&session, &mut *tx).await?.into()))
}
