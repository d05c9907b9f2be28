//! Protection of the API: rate limits and idempotency keys.

pub mod idempotency;
pub mod names;
pub mod rate_limit;
