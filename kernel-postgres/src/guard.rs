//! Idempotency keys.

mod idempotency;
