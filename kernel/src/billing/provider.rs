//! Port of a billing provider, such as Stripe.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::base::error::Refusal;
use crate::billing::subscription::SubscriptionFact;

/// Looks up a request header by its lower-case name; `None` if it is absent or not text.
pub type Headers<'a> = dyn Fn(&str) -> Option<&'a str> + 'a;

/// A billing event whose signature was verified.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct ProviderEvent {
    /// The provider's id of the event; the same for every delivery of it.
    pub id: String,
    /// The provider's type of the event, such as `customer.subscription.updated`.
    pub kind: String,
    /// Time at which the provider created the event.
    pub created_at: DateTime<Utc>,
    /// The whole event, as received.
    pub payload: Value,
}

impl ProviderEvent {
    /// Creates the event that an adapter has verified.
    pub fn new(id: impl Into<String>, kind: impl Into<String>, created_at: DateTime<Utc>, payload: Value) -> Self {
        Self { id: id.into(), kind: kind.into(), created_at, payload }
    }
}

/// A webhook request as a provider sends it; for tests and demonstrations that act as the provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// Headers that carry the signature, by lower-case name.
    pub headers: Vec<(String, String)>,
    /// Body of the request, byte for byte.
    pub body: Vec<u8>,
}

impl Delivery {
    /// Looks up a header by its lower-case name, as [`Headers`] does.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Meaning of a billing event.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum BillingFact {
    /// The current state of a subscription.
    Subscription(Box<SubscriptionFact>),
    /// The event is not relevant; the text says why.
    Ignored(&'static str),
}

/// Port: a billing provider. Adapters do not access the database: they verify, translate and call the provider's API.
pub trait BillingProvider: Send + Sync + 'static {
    /// Name of the provider in URLs and rows, such as `stripe`.
    fn name(&self) -> &'static str;

    /// Verifies the signature over the raw body and that it is recent at `now`, and returns the event.
    ///
    /// # Errors
    /// `signature_invalid` or `malformed_json`. The event must not be stored then.
    fn verify(&self, headers: &Headers<'_>, body: &[u8], now: DateTime<Utc>) -> Result<ProviderEvent, Refusal>;

    /// Translates a stored event.
    ///
    /// # Errors
    /// A sentence that names the missing or invalid field. The event stays in the inbox and is retried.
    fn read(&self, kind: &str, payload: &Value) -> Result<BillingFact, String>;
}
