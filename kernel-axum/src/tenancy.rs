//! Workspaces, their members and invites.

mod invites;
mod members;
mod workspaces;

use crate::routing::Routes;

pub(crate) fn routes() -> Routes {
    workspaces::routes().merge(members::routes()).merge(invites::routes())
}
