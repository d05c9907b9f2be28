//! Counters, subscriptions and the webhook inbox.

pub(crate) mod inbox;
pub(crate) mod limits;
pub(crate) mod subscription;
