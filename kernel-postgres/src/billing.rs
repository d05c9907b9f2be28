//! Counters, subscriptions and the webhook inbox.

mod inbox;
mod limits;
mod subscription;
