//! The port as the receiver sees it.

use proptest::prelude::*;
use saas_kernel::billing::subscription::Change;
use serde_json::json;

use super::*;

const SECRET: &str = "whsec_test";
const BODY: &[u8] = include_bytes!("../fixtures/events/subscription.updated.2026-10-28.endive.json");

fn now() -> DateTime<Utc> {
    "2026-11-11T00:00:00Z".parse().unwrap()
}

fn stripe() -> StripeBilling {
    StripeBilling::new([SECRET]).unwrap()
}

fn verify(header: &str, body: &[u8]) -> Result<ProviderEvent, Refusal> {
    stripe().verify(&|name| (name == "stripe-signature").then_some(header), body, now())
}

#[test]
fn a_signed_event_is_verified_and_read() {
    let event = verify(&sign(SECRET, now(), BODY), BODY).unwrap();
    assert_eq!((event.id.as_str(), event.created_at), ("evt_1UpdatedNew", now()));
    assert!(matches!(stripe().read(&event.kind, &event.payload), Ok(BillingFact::Subscription(_))));
    assert_eq!(stripe().name(), "stripe");
}

#[test]
fn refusals_have_the_codes_of_the_port() {
    let signed = |body: &[u8]| verify(&sign(SECRET, now(), body), body).unwrap_err().code();
    assert_eq!(stripe().verify(&|_| None, BODY, now()).unwrap_err().code(), "signature_invalid");
    assert_eq!(verify(&sign("whsec_other", now(), BODY), BODY).unwrap_err().code(), "signature_invalid");
    assert_eq!(verify(&sign("whsec_other", now(), b"{"), b"{").unwrap_err().code(), "signature_invalid");
    assert_eq!(signed(b"{"), "malformed_json");
    assert_eq!(signed(b"{}"), "malformed_json");
    assert_eq!(signed(br#"{"id":"evt_1\u0000"}"#), "malformed_json");
}

#[test]
fn the_tolerance_can_be_changed() {
    let header = sign(SECRET, now(), BODY);
    let late = now() + chrono::TimeDelta::seconds(301);
    let verify = |stripe: StripeBilling| stripe.verify(&|_| Some(header.as_str()), BODY, late);
    assert!(verify(stripe()).is_err());
    assert!(verify(stripe().tolerance(chrono::TimeDelta::seconds(301))).is_ok());
}

#[test]
fn events_of_the_other_mode_are_ignored() {
    let mut payload: Value = serde_json::from_slice(BODY).unwrap();
    for (livemode, wanted, taken) in [
        (false, None, true),
        (true, None, true),
        (false, Some(false), true),
        (true, Some(true), true),
        (true, Some(false), false),
        (false, Some(true), false),
    ] {
        payload["livemode"] = json!(livemode);
        let fact = stripe().livemode(wanted).read("customer.subscription.updated", &payload).unwrap();
        assert_eq!(matches!(fact, BillingFact::Subscription(_)), taken, "{livemode} {wanted:?}: {fact:?}");
    }
    payload.as_object_mut().unwrap().remove("livemode");
    let unknown = stripe().livemode(Some(true)).read("customer.subscription.updated", &payload);
    assert!(unknown.unwrap_err().contains("missing field `livemode`"));
}

#[test]
fn every_kind_is_taken_or_ignored_with_a_reason() {
    let payload = serde_json::from_slice(BODY).unwrap();
    for (kind, expected) in [
        ("customer.subscription.created", Some(Change::Began)),
        ("customer.subscription.updated", Some(Change::Changed)),
        ("customer.subscription.paused", Some(Change::Changed)),
        ("customer.subscription.resumed", Some(Change::Changed)),
        ("customer.subscription.pending_update_applied", Some(Change::Changed)),
        ("customer.subscription.deleted", Some(Change::Ended)),
        ("customer.subscription.pending_update_expired", None),
        ("customer.subscription.trial_will_end", None),
        ("customer.subscription.of_tomorrow", None),
        ("invoice.paid", None),
        ("", None),
    ] {
        let change = match stripe().read(kind, &payload).unwrap() {
            BillingFact::Subscription(fact) => Some(fact.change),
            BillingFact::Ignored(why) => {
                assert!(!why.is_empty());
                None
            }
            other => panic!("{kind}: {other:?}"),
        };
        assert_eq!(change, expected, "{kind}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let names = prop_oneof![Just("id".to_owned()), Just("data".to_owned()), Just("price".to_owned()), ".{0,6}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names, inner), 0..6).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Every place in `value`, as a JSON pointer.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(n, value)| pointers(value, &format!("{at}/{n}"), found))
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| pointers(value, &format!("{at}/{name}"), found))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

proptest! {
    #[test]
    fn a_changed_byte_of_the_body_is_refused(index: prop::sample::Index, change in 1u8..) {
        let (header, mut body) = (sign(SECRET, now(), BODY), BODY.to_vec());
        body[index.index(BODY.len())] ^= change;
        prop_assert_eq!(verify(&header, &body).unwrap_err().code(), "signature_invalid");
    }

    #[test]
    fn a_changed_byte_of_the_header_is_refused(index: prop::sample::Index, byte in 0u8..128) {
        let good = sign(SECRET, now(), BODY);
        let mut header = good.clone().into_bytes();
        header[index.index(good.len())] = byte;
        let header = String::from_utf8(header).unwrap();
        prop_assume!(header != good);
        prop_assert_eq!(verify(&header, BODY).unwrap_err().code(), "signature_invalid");
    }

    #[test]
    fn a_cut_or_longer_body_is_refused(end in 0..BODY.len(), more in prop::collection::vec(any::<u8>(), 1..20)) {
        let header = sign(SECRET, now(), BODY);
        prop_assert!(verify(&header, &BODY[..end]).is_err());
        prop_assert!(verify(&header, &[BODY, &more].concat()).is_err());
    }

    #[test]
    fn any_signed_bytes_are_answered(body: Vec<u8>, header in "(t=[0-9]{0,22}|v1=[0-9a-f]{0,66}|,|=|.){0,6}") {
        prop_assert!(verify(&header, &body).is_err());
        prop_assert_eq!(verify(&sign(SECRET, now(), &body), &body).unwrap_err().code(), "malformed_json");
    }

    #[test]
    fn any_json_in_any_place_is_answered(index: prop::sample::Index, value in any_json()) {
        let mut payload: Value = serde_json::from_slice(BODY).unwrap();
        let mut places = Vec::new();
        pointers(&payload, "", &mut places);
        *payload.pointer_mut(&places[index.index(places.len())]).unwrap() = value;
        for stripe in [stripe(), stripe().livemode(Some(false))] {
            let _ = stripe.read("customer.subscription.updated", &payload);
        }
        let body = serde_json::to_vec(&payload).unwrap();
        if let Err(refusal) = verify(&sign(SECRET, now(), &body), &body) {
            prop_assert_eq!(refusal.code(), "malformed_json");
        }
    }
}
