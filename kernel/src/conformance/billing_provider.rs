//! Conformance suite for billing providers.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde_json::Value;

use crate::base::clock::{Clock, SystemClock};
use crate::base::error::{BoxError, Refusal};
use crate::base::id::WorkspaceId;
use crate::base::secret::Token;
use crate::billing::provider::{BillingFact, BillingProvider, Delivery, ProviderEvent};
use crate::billing::subscription::{Change, Status, SubscriptionFact, SubscriptionItem};
use crate::conformance::Outcome;
use crate::memory::billing::MemoryBilling;

/// Creates deliveries as the provider would send them. Implemented by the caller of the suite, because an adapter only
/// verifies and translates.
pub trait Deliveries {
    /// A delivery of a new event that reports `fact`, signed at `at`. `None` if the provider cannot express it, such as a
    /// status that it does not have; an active subscription with one priced item must be possible.
    fn subscription(&self, fact: &SubscriptionFact, at: DateTime<Utc>) -> Option<Delivery>;
    /// A delivery with any body, signed at `at`.
    fn sign(&self, body: Vec<u8>, at: DateTime<Utc>) -> Delivery;
}

/// Checks that a [`BillingProvider`] accepts only recent, unchanged deliveries signed by the provider, translates every fact
/// correctly, and returns an error for what it cannot read.
///
/// # Errors
/// Any failure that is not about conformance.
///
/// # Panics
/// If the adapter does not conform; the message says what was expected.
pub async fn billing_provider(provider: &dyn BillingProvider, deliveries: &dyn Deliveries) -> Outcome {
    let now = SystemClock.now().trunc_subsecs(0);
    let named = provider.name().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    assert!(named && !provider.name().is_empty(), "its name stands in addresses: {:?}", provider.name());
    facts(provider, deliveries, now)?;
    signatures(provider, deliveries, now)?;
    unreadable(provider, deliveries, now)
}

fn verify(provider: &dyn BillingProvider, sent: &Delivery, now: DateTime<Utc>) -> Result<ProviderEvent, Refusal> {
    provider.verify(&|name| sent.header(name), &sent.body, now)
}

fn fact(now: DateTime<Utc>) -> SubscriptionFact {
    let item = SubscriptionItem {
        price: "price_of_the_suite".to_owned(),
        lookup_key: Some("pro_monthly".to_owned()),
        quantity: Some(3),
        period: (now, now + TimeDelta::days(30)),
    };
    SubscriptionFact {
        provider_subscription: "sub_of_the_suite".to_owned(),
        provider_customer: "cus_of_the_suite".to_owned(),
        workspace: Some(WorkspaceId::generate(now)),
        status: Status::Active,
        items: vec![item],
        cancel_at: None,
        ended_at: None,
        as_of: now,
        change: Change::Changed,
    }
}

fn usual_delivery(deliveries: &dyn Deliveries, now: DateTime<Utc>) -> Result<Delivery, BoxError> {
    Ok(deliveries.subscription(&fact(now), now).ok_or("an active subscription is what every provider has")?)
}

/// Every fact is translated correctly, and repeated deliveries give the same event.
fn facts(provider: &dyn BillingProvider, deliveries: &dyn Deliveries, now: DateTime<Utc>) -> Outcome {
    let usual = fact(now);
    let words = ["trialing", "active", "past_due", "unpaid", "paused", "incomplete", "incomplete_expired", "canceled"];
    let mut facts: Vec<SubscriptionFact> = words
        .into_iter()
        .chain(["of_tomorrow"])
        .map(|word| SubscriptionFact { status: Status::parse(word), ..usual.clone() })
        .collect();
    facts.extend([
        SubscriptionFact { change: Change::Began, ..usual.clone() },
        SubscriptionFact { workspace: None, ..usual.clone() },
        SubscriptionFact { cancel_at: Some(now + TimeDelta::days(30)), ..usual.clone() },
        SubscriptionFact {
            change: Change::Ended,
            status: Status::Canceled,
            ended_at: Some(now - TimeDelta::hours(1)),
            ..usual.clone()
        },
    ]);
    let mut metered = usual.clone();
    metered.items.iter_mut().for_each(|item| (item.quantity, item.lookup_key) = (None, None));
    let second =
        SubscriptionItem { price: "price_of_an_addon".to_owned(), ..usual.items.first().ok_or("one")?.clone() };
    let mut several = usual.clone();
    several.items.push(second);
    facts.extend([metered, several]);
    let mut ids = Vec::new();
    usual_delivery(deliveries, now)?;
    for fact in facts {
        let Some(sent) = deliveries.subscription(&fact, now) else { continue };
        let event = verify(provider, &sent, now)?;
        assert_eq!(event.created_at, now, "when the provider made it");
        let read = provider.read(&event.kind, &event.payload)?;
        assert_eq!(read, BillingFact::Subscription(Box::new(fact)), "read as it was meant");
        let again = verify(provider, &sent, now + TimeDelta::seconds(30))?;
        assert_eq!(again, event, "a second delivery is the same event");
        ids.push(event.id);
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "every event has an id of its own");
    Ok(())
}

/// Only unchanged, recent deliveries signed by the provider are accepted.
fn signatures(provider: &dyn BillingProvider, deliveries: &dyn Deliveries, now: DateTime<Utc>) -> Outcome {
    let sent = usual_delivery(deliveries, now)?;
    let refused = |sent: &Delivery, at, why: &str| {
        let code = verify(provider, sent, at).err().map(|refusal| refusal.code());
        assert_eq!(code, Some("signature_invalid"), "{why}");
    };
    verify(provider, &sent, now)?;
    refused(&sent, now + TimeDelta::hours(1), "an old delivery");
    refused(&sent, now - TimeDelta::hours(1), "one from the future");
    refused(&Delivery { headers: Vec::new(), body: sent.body.clone() }, now, "no headers");
    let body = |body: Vec<u8>| Delivery { body, ..sent.clone() };
    refused(&body(Vec::new()), now, "no body");
    refused(&body([sent.body.as_slice(), b" "].concat()), now, "a longer body");
    for place in 0..sent.body.len() {
        let mut changed = sent.body.clone();
        changed.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= 1);
        refused(&body(changed), now, "a changed byte of the body");
        refused(&body(sent.body.iter().take(place).copied().collect()), now, "a shorter body");
    }
    for (index, (_, value)) in sent.headers.iter().enumerate() {
        let with = |text: String| {
            let mut changed = sent.clone();
            changed.headers.iter_mut().skip(index).take(1).for_each(|(_, value)| value.clone_from(&text));
            changed
        };
        for end in (0..value.len()).filter(|end| value.is_char_boundary(*end)) {
            refused(&with(value.chars().take(end).collect()), now, "a shorter signature");
            let other = |at: usize, c: char| {
                if at != end {
                    c
                } else if c == '0' {
                    '1'
                } else {
                    '0'
                }
            };
            let changed = value.chars().enumerate().map(|(at, c)| other(at, c)).collect();
            refused(&with(changed), now, "a changed signature");
        }
    }
    // A valid signature, but of another body.
    let other = deliveries.sign(b"{}".to_vec(), now);
    refused(&Delivery { headers: other.headers, body: sent.body.clone() }, now, "another body's signature");
    Ok(())
}

/// What cannot be read is refused, or stays in the inbox with an error; nothing panics.
fn unreadable(provider: &dyn BillingProvider, deliveries: &dyn Deliveries, now: DateTime<Utc>) -> Outcome {
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    for body in [&b""[..], b"{", b"[]", b"null", b"\"text\"", b"{}", b"\xff\xfe", br#"{"id":"evt_\u0000"}"#, &deep] {
        let refused = verify(provider, &deliveries.sign(body.to_vec(), now), now).err().map(|refusal| refusal.code());
        assert_eq!(refused, Some("malformed_json"), "{:?}", String::from_utf8_lossy(body.get(..20).unwrap_or(body)));
    }
    let unstorable = SubscriptionFact { provider_customer: "cus_\0".to_owned(), ..fact(now) };
    if let Some(sent) = deliveries.subscription(&unstorable, now) {
        let refused = verify(provider, &sent, now).err().map(|refusal| refusal.code());
        assert_eq!(refused, Some("malformed_json"), "a NUL character cannot be stored");
    }
    let event = verify(provider, &usual_delivery(deliveries, now)?, now)?;
    let ignored = provider.read("an.event.of.tomorrow", &event.payload)?;
    assert!(matches!(ignored, BillingFact::Ignored(why) if !why.is_empty()), "what nobody reads is ignored, and why");
    for changed in variations(&event.payload) {
        if let Err(text) = provider.read(&event.kind, &changed) {
            assert!(!text.trim().is_empty(), "a sentence for whoever looks into it: {changed}");
        }
    }
    Ok(())
}

/// `value` with each of its parts, one at a time, removed or replaced.
fn variations(value: &Value) -> Vec<Value> {
    let mut found = vec![Value::Null, Value::from(-1), Value::from(""), Value::Bool(true), Value::Array(Vec::new())];
    match value {
        Value::Object(fields) => {
            for (name, part) in fields {
                let mut without = fields.clone();
                without.remove(name);
                found.push(Value::Object(without));
                found.extend(variations(part).into_iter().map(|part| {
                    let mut with = fields.clone();
                    with.insert(name.clone(), part);
                    Value::Object(with)
                }));
            }
        }
        Value::Array(parts) => {
            for (index, part) in parts.iter().enumerate() {
                found.extend(variations(part).into_iter().map(|part| {
                    let mut with = parts.clone();
                    with.iter_mut().skip(index).take(1).for_each(|slot| slot.clone_from(&part));
                    Value::Array(with)
                }));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    found
}

/// Deliveries of the in-process provider.
impl Deliveries for MemoryBilling {
    fn subscription(&self, fact: &SubscriptionFact, at: DateTime<Utc>) -> Option<Delivery> {
        Some(self.deliver(&MemoryBilling::event(Token::generate("evt_").expose(), fact), at))
    }

    fn sign(&self, body: Vec<u8>, at: DateTime<Utc>) -> Delivery {
        self.sign(body, at)
    }
}
