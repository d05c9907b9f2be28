//! Subscriptions, independent of the provider: statuses, the access they give, and the pure reducer that applies a provider's
//! facts in whatever order they arrive.

mod flow;

use std::cmp::Ordering;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::access::catalog::{Access, Catalog};
use crate::base::error::StoreError;
use crate::base::id::{SubscriptionId, WorkspaceId};

pub use flow::{Current, current};

/// Status of a subscription, named as in Stripe; other providers' statuses are mapped to it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum Status {
    /// In its trial period.
    Trialing,
    /// Paid.
    Active,
    /// A payment failed and is retried.
    PastDue,
    /// The retries of the payment failed.
    Unpaid,
    /// Paused after a trial that ended without a payment method.
    Paused,
    /// The first payment has not been made yet.
    Incomplete,
    /// The first payment was not made in time.
    IncompleteExpired,
    /// Ended, or cancelled and about to end.
    Canceled,
    /// A status that this version does not know.
    Unknown(String),
}

impl Status {
    const KNOWN: [(&'static str, Status); 8] = [
        ("trialing", Status::Trialing),
        ("active", Status::Active),
        ("past_due", Status::PastDue),
        ("unpaid", Status::Unpaid),
        ("paused", Status::Paused),
        ("incomplete", Status::Incomplete),
        ("incomplete_expired", Status::IncompleteExpired),
        ("canceled", Status::Canceled),
    ];

    /// Parses the provider's or the stored status.
    pub fn parse(text: &str) -> Self {
        let known = Self::KNOWN.into_iter().find(|(word, _)| *word == text);
        known.map_or_else(|| Status::Unknown(text.to_owned()), |(_, status)| status)
    }

    /// The status as stored and shown in the API.
    pub fn as_str(&self) -> &str {
        match self {
            Status::Unknown(word) => word,
            known => Self::KNOWN.iter().find(|(_, status)| status == known).map_or("", |(word, _)| word),
        }
    }

    /// The access that the status gives. The reducer keeps the previous status instead of `Unknown`.
    pub fn access(&self) -> Access {
        match self {
            Status::Trialing | Status::Active => Access::Full,
            Status::PastDue => Access::Grace,
            Status::Unpaid | Status::Paused => Access::ReadOnly,
            Status::Incomplete | Status::IncompleteExpired | Status::Canceled | Status::Unknown(_) => Access::None,
        }
    }
}

impl From<String> for Status {
    fn from(text: String) -> Self {
        Self::parse(&text)
    }
}

impl From<Status> for String {
    fn from(status: Status) -> Self {
        status.as_str().to_owned()
    }
}

/// A workspace's subscription to a plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscription {
    /// Id of the subscription.
    pub id: SubscriptionId,
    /// Workspace that has the subscription.
    pub workspace: WorkspaceId,
    /// Name of the billing provider, such as `stripe`.
    pub provider: String,
    /// The provider's id of the subscription.
    pub provider_subscription: String,
    /// The provider's id of the customer.
    pub provider_customer: String,
    /// Status of the subscription.
    pub status: Status,
    /// Key of the plan that its price belongs to.
    pub plan: String,
    /// Number of seats that are paid for.
    pub quantity: u64,
    /// Start and end of the paid period.
    pub period: (DateTime<Utc>, DateTime<Utc>),
    /// Time at which the subscription will end, if it was cancelled.
    pub cancel_at: Option<DateTime<Utc>>,
    /// Time at which the subscription ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Time at which the provider created the last fact that was applied.
    pub as_of: DateTime<Utc>,
}

/// A priced item of a provider's subscription.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SubscriptionItem {
    /// The provider's price id.
    pub price: String,
    /// The provider's lookup key of the price.
    pub lookup_key: Option<String>,
    /// Quantity; `None` if the price is metered.
    pub quantity: Option<u64>,
    /// Start and end of the paid period.
    pub period: (DateTime<Utc>, DateTime<Utc>),
}

impl SubscriptionItem {
    /// Creates an item of this price and paid period, without lookup key and metered.
    pub fn new(price: impl Into<String>, period: (DateTime<Utc>, DateTime<Utc>)) -> Self {
        Self { price: price.into(), lookup_key: None, quantity: None, period }
    }
}

/// Kind of change that a fact reports. Of two facts of the same second, the later in this order wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The subscription was created.
    Began,
    /// The subscription was changed.
    Changed,
    /// The subscription ended.
    Ended,
}

/// State of a subscription at one time, as reported by the provider.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SubscriptionFact {
    /// The provider's id of the subscription.
    pub provider_subscription: String,
    /// The provider's id of the customer.
    pub provider_customer: String,
    /// Workspace of the subscription, if it was passed to the provider at checkout.
    pub workspace: Option<WorkspaceId>,
    /// Status of the subscription.
    pub status: Status,
    /// Priced items of the subscription.
    pub items: Vec<SubscriptionItem>,
    /// Time at which the subscription will end, if it was cancelled.
    pub cancel_at: Option<DateTime<Utc>>,
    /// Time at which the subscription ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Time at which the provider created the fact, in whole seconds.
    pub as_of: DateTime<Utc>,
    /// Kind of change that the fact reports.
    pub change: Change,
}

impl SubscriptionFact {
    /// Creates a fact about this subscription of this customer, as of this time, without items. Set the other fields afterwards.
    pub fn new(
        provider_subscription: impl Into<String>,
        provider_customer: impl Into<String>,
        status: Status,
        change: Change,
        as_of: DateTime<Utc>,
    ) -> Self {
        Self {
            provider_subscription: provider_subscription.into(),
            provider_customer: provider_customer.into(),
            workspace: None,
            status,
            items: Vec::new(),
            cancel_at: None,
            ended_at: None,
            as_of,
            change,
        }
    }
}

/// Result of applying a fact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reduced {
    /// The new state of the subscription.
    Changed(Box<Subscription>),
    /// The fact is older than the current state, or equal to it.
    Unchanged,
}

/// Applies `fact` to `current`. Facts arrive in any order, repeatedly, and with times in whole seconds: the later one wins;
/// within a second a creation loses and an end wins; an end is final. Two other changes of the same second cannot be ordered:
/// the one that is processed later wins.
///
/// # Errors
/// A sentence if no item's price belongs to a plan; the plan is never guessed.
pub fn reduce(
    current: Option<&Subscription>,
    fact: SubscriptionFact,
    workspace: WorkspaceId,
    provider: &str,
    catalog: &Catalog,
    now: DateTime<Utc>,
) -> Result<Reduced, String> {
    let ended = |status: &Status, at: Option<DateTime<Utc>>| at.is_some() && *status == Status::Canceled;
    if let Some(current) = current {
        let newer = match fact.as_of.cmp(&current.as_of) {
            Ordering::Less => false,
            Ordering::Greater => true,
            Ordering::Equal => fact.change != Change::Began,
        };
        if !newer || (ended(&current.status, current.ended_at) && fact.change != Change::Ended) {
            return Ok(Reduced::Unchanged);
        }
    }
    let found = fact.items.iter().find_map(|item| {
        let plan =
            catalog.plan_for_price(&item.price).or_else(|| catalog.plan_for_price(item.lookup_key.as_deref()?))?;
        Some((item, plan))
    });
    let (plan, quantity, period) = match (found, current) {
        (Some((item, plan)), _) => (plan.key.clone(), item.quantity.unwrap_or(1), item.period),
        // An end needs no price: it must be applied even if the price is no longer configured.
        (None, Some(current)) if fact.change == Change::Ended => {
            (current.plan.clone(), current.quantity, current.period)
        }
        (None, None) if fact.change == Change::Ended => return Ok(Reduced::Unchanged),
        (None, _) => {
            let prices = fact.items.iter().map(|item| item.price.as_str()).collect::<Vec<_>>().join(", ");
            return Err(format!(
                "no plan in product.config.yaml has one of the prices [{prices}]; add it there as `provider_price`, the event is retried"
            ));
        }
    };
    let status = match (fact.status, current) {
        (Status::Unknown(word), Some(current)) => {
            tracing::error!(status = %word, subscription = %fact.provider_subscription, "unknown subscription status: the last state is kept");
            current.status.clone()
        }
        (status, _) => status,
    };
    let next = Subscription {
        id: current.map_or_else(|| SubscriptionId::generate(now), |current| current.id),
        workspace,
        provider: provider.to_owned(),
        provider_subscription: fact.provider_subscription,
        provider_customer: fact.provider_customer,
        status,
        plan,
        quantity,
        period,
        cancel_at: fact.cancel_at,
        ended_at: fact.ended_at.or_else(|| (fact.change == Change::Ended).then_some(fact.as_of)),
        as_of: fact.as_of,
    };
    Ok(if current == Some(&next) { Reduced::Unchanged } else { Reduced::Changed(Box::new(next)) })
}

/// Combines all subscriptions of a workspace: the one with the best access counts, among equals the latest. Returns the plan's
/// key and the access; `None` is the free plan, with full access.
pub fn effective(subscriptions: &[Subscription]) -> (Option<&str>, Access) {
    effective_subscription(subscriptions).map_or((None, Access::Full), |best| (Some(&best.plan), best.status.access()))
}

/// The subscription that counts, by the rule of [`effective`]; `None` if the free plan applies.
pub fn effective_subscription(subscriptions: &[Subscription]) -> Option<&Subscription> {
    let rank = |access: Access| match access {
        Access::Full => 3,
        Access::Grace => 2,
        Access::ReadOnly => 1,
        Access::None => 0,
    };
    let best = subscriptions.iter().max_by_key(|s| (rank(s.status.access()), s.as_of));
    best.filter(|best| best.status.access() != Access::None)
}

/// Reads subscriptions.
#[async_trait]
pub trait SubscriptionReads: Send {
    /// The workspace of a known subscription of the provider.
    async fn workspace_of(&mut self, provider: &str, subscription: &str) -> Result<Option<WorkspaceId>, StoreError>;
    /// The workspace of the latest subscription of a provider's customer.
    async fn workspace_of_customer(
        &mut self,
        provider: &str,
        customer: &str,
    ) -> Result<Option<WorkspaceId>, StoreError>;
    /// All subscriptions that the workspace has or had.
    async fn of_workspace(&mut self, workspace: WorkspaceId) -> Result<Vec<Subscription>, StoreError>;
}

/// Repository of subscriptions.
#[async_trait]
pub trait Subscriptions: SubscriptionReads {
    /// Inserts the subscription, or replaces the one with the same provider id.
    async fn save(&mut self, subscription: &Subscription) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests;
