//! What stands before the work: rate limits and idempotency.

pub mod idempotency;
pub mod rate_limit;
