//! The names this pillar declares: permissions, error codes, audit actions, event subjects.

crate::permissions! {
    /// Change the plan and the payment details.
    pub ManageBilling = always "billing.manage";
}

/// Error codes.
pub mod codes {
    crate::codes! { pub BILLING {
        LIMIT_REACHED = "limit_reached", PaymentRequired, "Remove something or move to the plan named in the message.";
        PLAN_REQUIRED = "plan_required", PaymentRequired, "Move to the plan named in the message.";
        SIGNATURE_INVALID = "signature_invalid", Malformed, "Sign the raw body with this endpoint's secret.";
    } }
}

/// Audit actions.
pub mod action {
    crate::names! { pub BILLING {
        /// A subscription was created.
        SUBSCRIPTION_CREATED = "billing.subscription_created";
        /// A subscription was changed.
        SUBSCRIPTION_UPDATED = "billing.subscription_updated";
        /// A subscription ended.
        SUBSCRIPTION_CANCELLED = "billing.subscription_cancelled";
    } }
}

/// Event subjects.
pub mod subject {
    crate::names! { pub BILLING {
        /// The plan or access of a workspace changed.
        SUBSCRIPTION_CHANGED = "subscription.changed";
    } }
}
