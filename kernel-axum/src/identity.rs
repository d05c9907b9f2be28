//! Sign-up, login, logout, the signed-in user, and API keys.

mod api_keys;
mod login;
mod sign_up;
mod users;

use crate::routing::Routes;

pub(crate) fn routes() -> Routes {
    sign_up::routes().merge(login::routes()).merge(users::routes()).merge(api_keys::routes())
}
