//! What a workspace pays for, and what that lets it do.

pub mod entitlements;
pub mod inbox;
pub mod limits;
pub mod names;
pub mod processor;
pub mod provider;
pub mod subscription;

crate::base::repositories::repositories! {
    /// The billing pillar's repositories.
    pub trait BillingRepositories {
        /// What a workspace has used of its plan.
        limits: limits::Limits;
        /// What a workspace pays for.
        subscriptions: subscription::Subscriptions;
        /// Events that billing providers sent. System scope only.
        inbox: inbox::Inbox;
    }
}
