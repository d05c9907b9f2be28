//! The features and limits of a workspace's plan, and billing providers' webhooks.

mod entitlements;
mod inbox;

use crate::routing::Routes;

pub(crate) fn routes() -> Routes {
    entitlements::routes().merge(inbox::routes())
}
