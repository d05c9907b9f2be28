//! The features and limits of a workspace's plan, its subscription, and billing providers' webhooks.

mod entitlements;
mod inbox;
mod subscription;

use crate::routing::Routes;

pub(crate) fn routes() -> Routes {
    entitlements::routes().merge(subscription::routes()).merge(inbox::routes())
}
