//! Stripe as the SaaS kernel's billing provider: [`StripeBilling`] implements [`BillingProvider`], which verifies
//! webhooks and translates them. No database work happens here.
//!
//! Payloads before and after Stripe's `basil` release (2025-03-31) are read: an endpoint stays on the API version it
//! was made with, for years.
//!
//! | module | holds |
//! |---|---|
//! | `config` | secrets, mode, tolerance |
//! | `signature` | the `Stripe-Signature` header: [`sign`] and its verification |
//! | `event` | what every event has around its object |
//! | `subscription` | `customer.subscription.*` in both shapes |
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
                "an event of test mode; this endpoint takes live mode only"
            } else {
                "an event of live mode; this endpoint takes test mode only"
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
                Ok(BillingFact::Ignored("the subscription stays as it was"))
            }
            _ => Ok(BillingFact::Ignored("nothing reads events of this type")),
        }
    }
}

#[cfg(test)]
mod tests;
