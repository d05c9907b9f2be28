//! The public contract of billing providers, on Stripe, in both shapes of its payloads.
#![expect(clippy::indexing_slicing, reason = "a test that indexes wrong fails, as it should")]

use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{DateTime, Utc};
use saas_kernel::billing::provider::Delivery;
use saas_kernel::billing::subscription::{Change, SubscriptionFact};
use saas_kernel::conformance::{self, Deliveries};
use saas_kernel_stripe::{StripeBilling, sign};
use serde_json::{Value, json};

const SECRET: &str = "whsec_of_the_suite";
/// Among others, a second one while the first is replaced.
const SECRETS: [&str; 2] = ["whsec_older", SECRET];

/// Stripe, as far as deliveries go.
struct Stripe {
    /// Before 2025-03-31 the subscription has the period, since then each item has its own.
    before_basil: bool,
    sent: AtomicUsize,
}

impl Stripe {
    fn object(&self, fact: &SubscriptionFact) -> Value {
        let seconds = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp());
        let mut object = json!({
            "id": fact.provider_subscription, "object": "subscription", "customer": fact.provider_customer,
            "status": fact.status.as_str(), "cancel_at": seconds(fact.cancel_at), "cancel_at_period_end": false,
            "ended_at": seconds(fact.ended_at), "metadata": {},
        });
        let with_period = |object: &mut Value, period: (DateTime<Utc>, DateTime<Utc>)| {
            object["current_period_start"] = json!(period.0.timestamp());
            object["current_period_end"] = json!(period.1.timestamp());
        };
        if let Some(workspace) = fact.workspace {
            object["metadata"]["workspace_id"] = json!(workspace.to_string());
        }
        let items = fact.items.iter().enumerate().map(|(index, item)| {
            let price = json!({ "id": item.price, "object": "price", "lookup_key": item.lookup_key });
            let mut told = json!({ "id": format!("si_{index}"), "object": "subscription_item", "price": price });
            if let Some(quantity) = item.quantity {
                told["quantity"] = json!(quantity);
            }
            if self.before_basil {
                with_period(&mut object, item.period);
            } else {
                with_period(&mut told, item.period);
            }
            told
        });
        let items: Vec<Value> = items.collect();
        object["items"] = json!({ "object": "list", "data": items });
        object
    }
}

impl Deliveries for Stripe {
    fn subscription(&self, fact: &SubscriptionFact, at: DateTime<Utc>) -> Option<Delivery> {
        let what = match fact.change {
            Change::Began => "created",
            Change::Changed => "updated",
            Change::Ended => "deleted",
        };
        let event = json!({
            "id": format!("evt_{}", self.sent.fetch_add(1, Ordering::Relaxed)), "object": "event", "livemode": false,
            "api_version": if self.before_basil { "2024-06-20" } else { "2026-10-28.endive" },
            "created": fact.as_of.timestamp(), "type": format!("customer.subscription.{what}"),
            "data": { "object": self.object(fact) },
        });
        Some(self.sign(event.to_string().into_bytes(), at))
    }

    fn sign(&self, body: Vec<u8>, at: DateTime<Utc>) -> Delivery {
        Delivery { headers: vec![("stripe-signature".to_owned(), sign(SECRET, at, &body))], body }
    }
}

#[tokio::test]
async fn billing_provider() -> conformance::Outcome {
    for before_basil in [false, true] {
        let stripe = Stripe { before_basil, sent: AtomicUsize::new(0) };
        conformance::billing_provider(&StripeBilling::new(SECRETS)?, &stripe).await?;
    }
    Ok(())
}
