//! The billing provider and its events.

use chrono::{DateTime, TimeDelta, Utc};
use saas_kernel::billing::provider::{BillingFact, BillingProvider, Headers, ProviderEvent};
use saas_kernel::billing::subscription::{Change, Status, SubscriptionFact, SubscriptionItem};
use saas_kernel::id::WorkspaceId;
use saas_kernel::{Refusal, codes};
use serde_json::{Value, json};

use crate::operations::Event;

/// A provider whose events hold the fact itself.
pub(crate) struct Payments;

impl BillingProvider for Payments {
    fn name(&self) -> &'static str {
        "payments"
    }

    fn verify(&self, _: &Headers<'_>, _: &[u8], _: DateTime<Utc>) -> Result<ProviderEvent, Refusal> {
        Err(Refusal::new(&codes::SIGNATURE_INVALID, "nothing arrives over a network here"))
    }

    fn read(&self, _: &str, payload: &Value) -> Result<BillingFact, String> {
        let fact = payload.get("fact").cloned().unwrap_or_default();
        serde_json::from_value(fact).map(|fact| BillingFact::Subscription(Box::new(fact))).map_err(|e| e.to_string())
    }
}

/// The event of this number in a history; `since` is when the first second begins.
pub(crate) fn event(since: DateTime<Utc>, workspaces: &[WorkspaceId], nth: usize, event: &Event) -> ProviderEvent {
    let workspace = workspaces[event.workspace];
    let as_of = since + TimeDelta::seconds(event.second);
    let (status, change) = (Status::parse(event.status), if nth == 0 { Change::Began } else { Change::Changed });
    let (subscription, customer) = (format!("sub_{workspace}"), format!("cus_{workspace}"));
    let mut fact = SubscriptionFact::new(subscription, customer, status, change, as_of);
    let mut item = SubscriptionItem::new(event.price, (as_of, as_of + TimeDelta::days(30)));
    item.quantity = Some(nth as u64);
    (fact.workspace, fact.items) = (Some(workspace), vec![item]);
    let (id, payload) = (format!("evt_{workspace}_{nth}"), json!({ "fact": fact, "workspace": workspace.uuid() }));
    ProviderEvent::new(id, "subscription", as_of, payload)
}
