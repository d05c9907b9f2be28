//! Stripe as a billing provider of the SaaS kernel: [`StripeBilling`] implements [`BillingProvider`]. It verifies webhooks and
//! translates them; it does not access the database.
//!
//! It reads payloads from before and after Stripe's `basil` release (2025-03-31), because an endpoint keeps the API version
//! that it was created with.
//!
//! | module | holds |
//! |---|---|
//! | `config` | the signing secrets, the mode, the tolerance |
//! | `signature` | the `Stripe-Signature` header: [`sign`] and its verification |
//! | `event` | the envelope of all events |
//! | `subscription` | `customer.subscription.*` in both formats |
#![warn(missing_docs)]

mod config;
mod event;
mod signature;
mod subscription;

use chrono::{DateTime, Utc};
use saas_kernel::billing::provider::{BillingFact, BillingProvider, Headers, ProviderEvent};
use saas_kernel::billing::subscription::Change;
use saas_kernel::codes;
use saas_kernel::error::Refusal;
use serde_json::Value;

pub use config::{ConfigError, StripeBilling};
pub use signature::sign;

impl BillingProvider for StripeBilling {
    fn name(&self) -> &'static str {
        "stripe"
    }

    fn verify(&self, headers: &Headers<'_>, body: &[u8], now: DateTime<Utc>) -> Result<ProviderEvent, Refusal> {
        signature::verify(&self.secrets, self.tolerance, headers("stripe-signature"), body, now)
            .map_err(|problem| Refusal::new(&codes::SIGNATURE_INVALID, problem))?;
        event::parse(body).map_err(|problem| Refusal::new(&codes::MALFORMED_JSON, problem))
    }

    fn read(&self, kind: &str, payload: &Value) -> Result<BillingFact, String> {
        if let Some(wanted) = self.livemode
            && event::livemode(payload)? != wanted
        {
            return Ok(BillingFact::Ignored(if wanted {
                "the event is of test mode; this endpoint accepts live mode only"
            } else {
                "the event is of live mode; this endpoint accepts test mode only"
            }));
        }
        match kind {
            "customer.subscription.created" => subscription::read(payload, Change::Began),
            "customer.subscription.updated"
            | "customer.subscription.paused"
            | "customer.subscription.resumed"
            | "customer.subscription.pending_update_applied" => subscription::read(payload, Change::Changed),
            "customer.subscription.deleted" => subscription::read(payload, Change::Ended),
            "customer.subscription.trial_will_end" => Ok(BillingFact::Ignored("the trial has not ended yet")),
            "customer.subscription.pending_update_expired" => {
                Ok(BillingFact::Ignored("the subscription does not change"))
            }
            _ => Ok(BillingFact::Ignored("events of this type are not used")),
        }
    }
}

#[cfg(test)]
mod tests;
