//! Events `customer.subscription.*`. Source: <https://docs.stripe.com/api/subscriptions/object>.
//!
//! There are two formats: before `basil` (2025-03-31) the subscription has the period, since then each item has its own.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use saas_kernel::billing::provider::BillingFact;
use saas_kernel::billing::subscription::{Change, Status, SubscriptionFact, SubscriptionItem};
use saas_kernel::id::WorkspaceId;
use serde::Deserialize;
use serde_json::Value;

use crate::event::{self, Seconds};

#[derive(Deserialize)]
struct Subscription {
    id: String,
    customer: Expandable,
    status: String,
    items: List,
    current_period_start: Option<Seconds>,
    current_period_end: Option<Seconds>,
    cancel_at: Option<Seconds>,
    cancel_at_period_end: Option<bool>,
    ended_at: Option<Seconds>,
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    workspace_id: Option<String>,
}

#[derive(Deserialize)]
struct List {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    price: Option<Price>,
    /// The name of prices before 2020; the old format still has both.
    plan: Option<Price>,
    quantity: Option<u64>,
    current_period_start: Option<Seconds>,
    current_period_end: Option<Seconds>,
}

#[derive(Deserialize)]
struct Price {
    id: String,
    lookup_key: Option<String>,
}

/// An id, or the whole object if the request expanded it.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected an id, or an object with an `id`")]
enum Expandable {
    Id(String),
    Object { id: String },
}

/// Reads the state of the subscription from the event.
///
/// # Errors
/// A sentence with the path of the missing or invalid field: nothing is guessed.
pub(crate) fn read(payload: &Value, change: Change) -> Result<BillingFact, String> {
    let event = event::read::<Subscription>(payload)?;
    fact(event.data.object, event.created.0, change)
        .map(|fact| BillingFact::Subscription(Box::new(fact)))
        .map_err(|problem| event::problem(payload, &problem))
}

fn fact(subscription: Subscription, as_of: DateTime<Utc>, change: Change) -> Result<SubscriptionFact, String> {
    let whole = (subscription.current_period_start, subscription.current_period_end);
    let items = subscription.items.data.into_iter().enumerate();
    let items = items.map(|(index, item)| read_item(index, item, whole)).collect::<Result<Vec<_>, _>>()?;
    // Items may end at different times; the last end counts, so that nobody loses what they paid for.
    let period_end = items.iter().map(|item| item.period.1).max().ok_or("`data.object.items.data` is empty")?;
    let at_period_end = subscription.cancel_at_period_end.unwrap_or(false).then_some(period_end);
    let (Expandable::Id(customer) | Expandable::Object { id: customer }) = subscription.customer;
    let status = Status::parse(&subscription.status);
    let mut fact = SubscriptionFact::new(subscription.id, customer, status, change, as_of);
    fact.workspace = subscription.metadata.and_then(|metadata| metadata.workspace_id).map(workspace).transpose()?;
    fact.items = items;
    fact.cancel_at = subscription.cancel_at.map(|at| at.0).or(at_period_end);
    fact.ended_at = subscription.ended_at.map(|at| at.0);
    Ok(fact)
}

fn workspace(text: String) -> Result<WorkspaceId, String> {
    WorkspaceId::from_str(&text)
        .map_err(|refusal| format!("`data.object.metadata.workspace_id` is {text:?}: {refusal}"))
}

type Period = (Option<Seconds>, Option<Seconds>);

fn read_item(index: usize, item: Item, whole: Period) -> Result<SubscriptionItem, String> {
    let path = format!("data.object.items.data[{index}]");
    let price =
        item.price.or(item.plan).ok_or_else(|| format!("`{path}.price` is missing, and so is `{path}.plan`"))?;
    let (start, end) = match (item.current_period_start, item.current_period_end) {
        (None, None) => whole,
        own => own,
    };
    let missing = |field: &str| format!("`{path}.{field}` is missing (before basil: `data.object.{field}`)");
    let start = start.ok_or_else(|| missing("current_period_start"))?.0;
    let end = end.ok_or_else(|| missing("current_period_end"))?.0;
    if end < start {
        return Err(format!("`{path}`: the period ends before it starts"));
    }
    let mut read = SubscriptionItem::new(price.id, (start, end));
    (read.lookup_key, read.quantity) = (price.lookup_key, item.quantity);
    Ok(read)
}

#[cfg(test)]
mod tests;
