//! Billing: plans' limits and entitlements, subscriptions, and the inbox of billing events.

pub mod catalogs;
pub mod entitlements;
pub mod inbox;
pub mod limits;
pub mod names;
pub mod processor;
pub mod provider;
pub mod subscription;

crate::base::repositories::repositories! {
    /// The billing pillar's repositories.
    pub trait BillingRepositories;
    /// The reading parts of the billing pillar's repositories.
    pub trait BillingReads;
    /// Catalogs of plans that were applied. System scope only.
    catalogs: catalogs::Catalogs;
    /// Usage counters of a workspace's limits.
    limits: limits::Limits, reads limits::LimitReads;
    /// Subscriptions of workspaces.
    subscriptions: subscription::Subscriptions, reads subscription::SubscriptionReads;
    /// Billing events as received from providers. System scope only.
    inbox: inbox::Inbox;
}
