//! Counters, subscriptions, the webhook inbox, and a provider.

pub(crate) mod inbox;
pub(crate) mod limits;
pub mod provider;
pub(crate) mod subscription;

pub use provider::MemoryBilling;
