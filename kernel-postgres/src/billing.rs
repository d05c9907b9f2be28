//! Billing repositories: usage counters, subscriptions and the webhook inbox.

mod inbox;
mod limits;
mod subscription;
