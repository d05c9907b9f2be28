//! Port: who collects the money.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::base::error::Refusal;
use crate::billing::subscription::SubscriptionFact;

/// Looks a request header up by its lower-case name; `None` if it is absent or not text.
pub type Headers<'a> = dyn Fn(&str) -> Option<&'a str> + 'a;

/// A signed event as it arrived.
#[derive(Clone, PartialEq, Debug)]
pub struct ProviderEvent {
    /// The provider's id of it: the same for every delivery.
    pub id: String,
    /// The provider's type of it, such as `customer.subscription.updated`.
    pub kind: String,
    /// When the provider made it.
    pub created_at: DateTime<Utc>,
    /// All of it.
    pub payload: Value,
}

/// What a provider sends: for whoever makes deliveries, in tests and demonstrations.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// The headers that carry the signature, by lower-case name.
    pub headers: Vec<(String, String)>,
    /// The body, byte for byte.
    pub body: Vec<u8>,
}

impl Delivery {
    /// As [`Headers`] look a header up.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What an event means.
#[derive(Clone, PartialEq, Debug)]
pub enum BillingFact {
    /// A subscription is like this.
    Subscription(Box<SubscriptionFact>),
    /// Nothing that matters here; the text says why.
    Ignored(&'static str),
}

/// Port: a billing provider. Adapters do no database work: they verify, translate and call the provider's API.
pub trait BillingProvider: Send + Sync + 'static {
    /// Its name in addresses and rows, such as `stripe`.
    fn name(&self) -> &'static str;

    /// The event, if the signature over the raw bytes is the provider's and fresh at `now`.
    ///
    /// # Errors
    /// `signature_invalid` or `malformed_json`; nothing may be kept then.
    fn verify(&self, headers: &Headers<'_>, body: &[u8], now: DateTime<Utc>) -> Result<ProviderEvent, Refusal>;

    /// What a kept event means.
    ///
    /// # Errors
    /// A sentence naming the field that is missing or wrong. The event stays in the inbox and is tried again.
    fn read(&self, kind: &str, payload: &Value) -> Result<BillingFact, String>;
}
