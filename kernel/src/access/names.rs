//! The names this pillar declares: error codes.

/// Error codes.
pub mod codes {
    crate::codes! { pub ACCESS {
        ACCESS_CHANGED = "access_changed", Forbidden, "Nothing was kept. Call again: the answer says what you may do now.";
        WORKSPACE_READ_ONLY = "workspace_read_only", PaymentRequired, "Settle the subscription; until then the workspace can be read only.";
    } }
}
