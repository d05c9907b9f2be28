//! The names this pillar declares: error codes.

/// Error codes.
pub mod codes {
    crate::codes! { pub GUARD {
        RATE_LIMITED = "rate_limited", RateLimited, "Wait for the seconds given in `Retry-After`.";
        IDEMPOTENCY_IN_FLIGHT = "idempotency_in_flight", Conflict, "The first request with this key is still running; repeat this one in a moment.";
        IDEMPOTENCY_DONE = "idempotency_done", Conflict, "The first request with this key saved its changes, but its response is not stored: it still runs, or ended without one; read the resource instead.";
        IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused", Invalid, "Use a new Idempotency-Key for a different request.";
    } }
}
