//! Idempotency.

mod idempotency;
