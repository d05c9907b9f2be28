//! The names this pillar declares: error codes.

/// Error codes.
pub mod codes {
    crate::codes! { pub ACCESS {
        ACCESS_CHANGED = "access_changed", Forbidden, "Your access changed during the call, so nothing was saved. Repeat the call to see whether it is still allowed.";
        MEMBERSHIP_SUSPENDED = "membership_suspended", Forbidden, "Ask an owner of the workspace to restore your membership.";
        WORKSPACE_READ_ONLY = "workspace_read_only", PaymentRequired, "Settle the workspace's subscription; until then its data can be read but not changed.";
        WORKSPACE_SUSPENDED = "workspace_suspended", Forbidden, "The workspace is suspended. An owner can still reach billing and settle its subscription.";
    } }
}
