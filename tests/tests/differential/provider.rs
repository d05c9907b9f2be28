//! A billing provider whose payloads are this test's own.

use chrono::{DateTime, TimeDelta, Utc};
use saas_kernel::Refusal;
use saas_kernel::billing::provider::{BillingFact, BillingProvider, Headers, ProviderEvent};
use saas_kernel::billing::subscription::{Change, Status, SubscriptionFact, SubscriptionItem};
use serde_json::Value;

pub(crate) const PROVIDER: &str = "comparison";

/// Never called by anybody: events are handed to the processor.
pub(crate) struct Provider;

impl BillingProvider for Provider {
    fn name(&self) -> &'static str {
        PROVIDER
    }

    fn verify(&self, _: &Headers<'_>, _: &[u8], _: DateTime<Utc>) -> Result<ProviderEvent, Refusal> {
        Err(Refusal::field("body", "is not read here"))
    }

    fn read(&self, _: &str, payload: &Value) -> Result<BillingFact, String> {
        let number = |field: &str| payload[field].as_u64().unwrap_or_default();
        let as_of = DateTime::from_timestamp(payload["as_of"].as_i64().unwrap_or_default(), 0).ok_or("a time")?;
        let statuses = [
            "active",
            "trialing",
            "past_due",
            "unpaid",
            "paused",
            "incomplete",
            "incomplete_expired",
            "canceled",
            "new_word",
        ];
        let item = SubscriptionItem {
            price: format!("price_{}", number("plan")),
            lookup_key: None,
            quantity: Some(number("id")),
            period: (as_of, as_of + TimeDelta::days(30)),
        };
        Ok(BillingFact::Subscription(Box::new(SubscriptionFact {
            provider_subscription: format!("sub_{}", number("id") % 5),
            provider_customer: format!("cus_{}", number("id") % 3),
            workspace: payload["workspace"].as_str().and_then(|text| text.parse().ok()),
            status: Status::parse(statuses[number("status") as usize]),
            items: vec![item],
            cancel_at: None,
            ended_at: (number("status") == 7).then_some(as_of),
            as_of,
            change: [Change::Began, Change::Changed, Change::Ended][number("change") as usize],
        })))
    }
}
