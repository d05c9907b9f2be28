//! The middleware chain of every request, in this order:
//!
//! recovery → request id → access log → trace span ([`edge`]) → CORS → rate limit by address → authenticate → tenant →
//! rate limit by workspace → CSRF → idempotency ([`gate`]) → handler.

pub(crate) mod edge;
pub(crate) mod gate;
