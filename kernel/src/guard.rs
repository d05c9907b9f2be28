//! Protection of the API: the client's address, rate limits, the CSRF check and idempotency keys.

pub mod client_address;
pub mod csrf;
pub mod idempotency;
pub mod names;
pub mod rate_limit;
