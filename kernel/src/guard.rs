//! Rate limits and idempotency.

pub mod idempotency;
pub mod names;
pub mod rate_limit;
