//! A billing provider inside this process, for demonstrations and for tests of a product's billing behaviour.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::base::error::{Refusal, codes};
use crate::base::keyring::{Keyring, NamedSecret};
use crate::base::text;
use crate::billing::names::codes::SIGNATURE_INVALID;
use crate::billing::provider::{BillingFact, BillingProvider, Delivery, Headers, ProviderEvent};
use crate::billing::subscription::SubscriptionFact;

/// Header with the signature: `<Unix seconds>.<HMAC-SHA256 in base64url>`.
const HEADER: &str = "memory-signature";
/// Maximum difference between the signature's time and now.
const TOLERANCE: TimeDelta = TimeDelta::minutes(5);
/// Type of the events that are translated; all others are ignored.
pub const SUBSCRIPTION: &str = "subscription";

/// A billing provider inside this process: it collects no money and reports the subscriptions that a test asks for. Its
/// deliveries are signed and verified like those of a real provider; clones share the key.
///
/// ```
/// use saas_kernel::billing::provider::{BillingFact, BillingProvider};
/// use saas_kernel::billing::subscription::{Change, Status, SubscriptionFact};
/// use saas_kernel::memory::billing::MemoryBilling;
///
/// let (billing, now) = (MemoryBilling::default(), "2026-11-01T00:00:00Z".parse().unwrap());
/// let fact = SubscriptionFact::new("sub_1", "cus_1", Status::Active, Change::Began, now);
/// // Send its headers and body to `/webhooks/memory`, and the app handles it like an event of a real provider.
/// let delivery = billing.deliver(&MemoryBilling::event("evt_1", &fact), now);
/// let event = billing.verify(&|name| delivery.header(name), &delivery.body, now)?;
/// assert_eq!(billing.read(&event.kind, &event.payload), Ok(BillingFact::Subscription(Box::new(fact))));
/// # Ok::<(), saas_kernel::Refusal>(())
/// ```
#[derive(Clone, Debug)]
pub struct MemoryBilling(NamedSecret);

impl Default for MemoryBilling {
    fn default() -> Self {
        Self(Keyring::ephemeral().secret("memory_billing"))
    }
}

impl MemoryBilling {
    /// Creates an event that reports `fact`, with the fact's time.
    pub fn event(id: &str, fact: &SubscriptionFact) -> ProviderEvent {
        let (id, kind, created_at) = (id.to_owned(), SUBSCRIPTION.to_owned(), fact.as_of);
        let payload = json!({ "id": id, "kind": kind, "created_at": created_at, "subscription": fact });
        ProviderEvent { id, kind, created_at, payload }
    }

    /// Creates a delivery of `event`, signed at `at`.
    pub fn deliver(&self, event: &ProviderEvent, at: DateTime<Utc>) -> Delivery {
        self.sign(event.payload.to_string().into_bytes(), at)
    }

    /// Signs any body at `at`.
    pub fn sign(&self, body: Vec<u8>, at: DateTime<Utc>) -> Delivery {
        let seconds = at.timestamp().to_string();
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(&[seconds.as_bytes(), &body]));
        Delivery { headers: vec![(HEADER.to_owned(), format!("{seconds}.{signature}"))], body }
    }
}

impl BillingProvider for MemoryBilling {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn verify(&self, headers: &Headers<'_>, body: &[u8], now: DateTime<Utc>) -> Result<ProviderEvent, Refusal> {
        self.signed(headers(HEADER), body, now).map_err(|text| Refusal::new(&SIGNATURE_INVALID, text))?;
        let unreadable = |text: String| Refusal::new(&codes::MALFORMED_JSON, text);
        let payload: Value =
            serde_json::from_slice(body).map_err(|error| unreadable(format!("the body is not JSON: {error}")))?;
        if text::holds_nul(&payload) {
            return Err(unreadable("the body holds a NUL character, which Postgres cannot store".to_owned()));
        }
        let event = Event::deserialize(&payload).map_err(|error| unreadable(format!("this is no event: {error}")))?;
        Ok(ProviderEvent { id: event.id, kind: event.kind, created_at: event.created_at, payload })
    }

    fn read(&self, kind: &str, payload: &Value) -> Result<BillingFact, String> {
        if kind != SUBSCRIPTION {
            return Ok(BillingFact::Ignored("only events of the type `subscription` are read"));
        }
        let event = Event::deserialize(payload).map_err(|error| error.to_string())?;
        let fact = event.subscription.ok_or("the field `subscription` is missing")?;
        Ok(BillingFact::Subscription(Box::new(fact)))
    }
}

impl MemoryBilling {
    fn signed(&self, header: Option<&str>, body: &[u8], now: DateTime<Utc>) -> Result<(), String> {
        let header = header.ok_or_else(|| format!("the header `{HEADER}` is missing"))?;
        let (seconds, signature) =
            header.split_once('.').ok_or("the signature must be `<Unix seconds>.<base64url>`")?;
        let bytes = URL_SAFE_NO_PAD.decode(signature).ok().filter(|bytes| bytes.len() == 32);
        if !bytes.is_some_and(|bytes| self.0.verify(&[seconds.as_bytes(), body], &bytes)) {
            return Err("the signature is not this provider's, or the body was changed".to_owned());
        }
        let at = seconds.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        let at = at.ok_or("the signature's time must be Unix seconds")?;
        if (now - at).abs() > TOLERANCE {
            return Err(format!("the signature is of {at}, more than five minutes off; check both clocks"));
        }
        Ok(())
    }
}

/// Body of a delivery.
#[derive(Deserialize)]
struct Event {
    id: String,
    kind: String,
    created_at: DateTime<Utc>,
    subscription: Option<SubscriptionFact>,
}
