//! Billing repositories: applied catalogs, usage counters, subscriptions and the webhook inbox.

mod catalogs;
mod inbox;
mod limits;
mod subscription;
