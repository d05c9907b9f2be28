//! A workspace's subscription in the provider's absence: statuses, the access they give, and the pure reducer that applies
//! facts as they come, in whatever order.

use std::cmp::Ordering;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::access::catalog::{Access, Catalog};
use crate::base::error::StoreError;
use crate::base::id::{SubscriptionId, WorkspaceId};

/// A subscription's status, in Stripe's words, which other providers map to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Status {
    /// In its trial.
    Trialing,
    /// Paid.
    Active,
    /// A payment failed and is retried.
    PastDue,
    /// The retries ended without payment.
    Unpaid,
    /// Stopped after a trial without a payment method.
    Paused,
    /// The first payment is not made yet.
    Incomplete,
    /// The first payment was not made in time.
    IncompleteExpired,
    /// Over, or to be over.
    Canceled,
    /// A word this version does not know.
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

    /// From the provider's or the stored word.
    pub fn parse(text: &str) -> Self {
        let known = Self::KNOWN.into_iter().find(|(word, _)| *word == text);
        known.map_or_else(|| Status::Unknown(text.to_owned()), |(_, status)| status)
    }

    /// As stored and shown.
    pub fn as_str(&self) -> &str {
        match self {
            Status::Unknown(word) => word,
            known => Self::KNOWN.iter().find(|(_, status)| status == known).map_or("", |(word, _)| word),
        }
    }

    /// What the status gives. `Unknown` is decided by the reducer, which keeps the state before it.
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

/// A subscription, whoever collects the money.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// Who collects the money, such as `stripe`.
    pub provider: String,
    /// The provider's id of it.
    pub provider_subscription: String,
    /// The provider's id of the customer.
    pub provider_customer: String,
    /// Its status.
    pub status: Status,
    /// The plan its price stands for.
    pub plan: String,
    /// How many seats.
    pub quantity: u64,
    /// The period that is paid for.
    pub period: (DateTime<Utc>, DateTime<Utc>),
    /// When it will end, if that is decided.
    pub cancel_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// When the provider made the last fact applied here.
    pub as_of: DateTime<Utc>,
}

/// One priced item of a provider's subscription.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SubscriptionItem {
    /// The provider's price id.
    pub price: String,
    /// The price's lookup key.
    pub lookup_key: Option<String>,
    /// Absent if the price is metered.
    pub quantity: Option<u64>,
    /// The period that is paid for.
    pub period: (DateTime<Utc>, DateTime<Utc>),
}

/// What a fact is about. Of two facts of one second, the later in this order is the truth.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The subscription began.
    Began,
    /// Something about it changed.
    Changed,
    /// It ended.
    Ended,
}

/// What a provider says a subscription is, at one time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SubscriptionFact {
    /// The provider's id of it.
    pub provider_subscription: String,
    /// The provider's id of the customer.
    pub provider_customer: String,
    /// Our workspace, if the provider was told at checkout.
    pub workspace: Option<WorkspaceId>,
    /// Its status.
    pub status: Status,
    /// What is paid for.
    pub items: Vec<SubscriptionItem>,
    /// When it will end, if that is decided.
    pub cancel_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// When the provider made this fact; whole seconds.
    pub as_of: DateTime<Utc>,
    /// What the fact is about.
    pub change: Change,
}

/// What a fact does to the state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reduced {
    /// This is the state now.
    Changed(Box<Subscription>),
    /// The state is newer than the fact, or equal to it.
    Unchanged,
}

/// Applies `fact` to `current`. Facts come in any order, several times, and in whole seconds: the later one wins, within a
/// second the beginning loses and the end wins, and an end is final. Two other changes of one second cannot be told apart:
/// the one that is processed later wins.
///
/// # Errors
/// A sentence when no item's price stands for a plan: never a guess.
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
        // An end needs no price: it must get through also when the price is no longer configured.
        (None, Some(current)) if fact.change == Change::Ended => {
            (current.plan.clone(), current.quantity, current.period)
        }
        (None, None) if fact.change == Change::Ended => return Ok(Reduced::Unchanged),
        (None, _) => {
            let prices = fact.items.iter().map(|item| item.price.as_str()).collect::<Vec<_>>().join(", ");
            return Err(format!(
                "no plan in product.config.yaml has one of the prices [{prices}]; add it there as `provider_price`, the event is tried again"
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

/// What all of a workspace's subscriptions together give: the best access, of equals the latest. `None` is the free plan,
/// in full.
pub fn effective(subscriptions: &[Subscription]) -> (Option<&str>, Access) {
    let rank = |access: Access| match access {
        Access::Full => 3,
        Access::Grace => 2,
        Access::ReadOnly => 1,
        Access::None => 0,
    };
    let best = subscriptions.iter().max_by_key(|s| (rank(s.status.access()), s.as_of));
    match best {
        Some(best) if best.status.access() != Access::None => (Some(&best.plan), best.status.access()),
        _ => (None, Access::Full),
    }
}

/// Repository of subscriptions.
#[async_trait]
pub trait Subscriptions: Send {
    /// The workspace of a provider's subscription that is known already.
    async fn workspace_of(&mut self, provider: &str, subscription: &str) -> Result<Option<WorkspaceId>, StoreError>;
    /// The workspace that a provider's customer had a subscription for last.
    async fn workspace_of_customer(
        &mut self,
        provider: &str,
        customer: &str,
    ) -> Result<Option<WorkspaceId>, StoreError>;
    /// Every subscription a workspace ever had.
    async fn of_workspace(&mut self, workspace: WorkspaceId) -> Result<Vec<Subscription>, StoreError>;
    /// Adds it, or replaces the one of the same provider id.
    async fn save(&mut self, subscription: &Subscription) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests;
