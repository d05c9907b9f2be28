//! The suites of `guard`.

pub(super) mod idempotency;
pub(super) mod rate_limit;
