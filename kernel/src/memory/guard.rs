//! Rate limits and idempotency.

pub(crate) mod idempotency;
pub mod rate_limit;
