use saas_kernel::billing::provider::BillingProvider;
use saas_kernel::billing::subscription::Change;
use serde_json::json;

use super::*;
use crate::StripeBilling;

const OLD: &str = include_str!("../../fixtures/events/subscription.created.2024-06-20.json");
const OLD_UPDATED: &str = include_str!("../../fixtures/events/subscription.updated.2024-06-20.json");
const OLD_DELETED: &str = include_str!("../../fixtures/events/subscription.deleted.2024-06-20.json");
const NEW: &str = include_str!("../../fixtures/events/subscription.created.2026-10-28.endive.json");
const NEW_UPDATED: &str = include_str!("../../fixtures/events/subscription.updated.2026-10-28.endive.json");
const NEW_PAUSED: &str = include_str!("../../fixtures/events/subscription.paused.2026-10-28.endive.json");
const NEW_DELETED: &str = include_str!("../../fixtures/events/subscription.deleted.2026-10-28.endive.json");

fn event(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn read_event(event: &Value) -> Result<SubscriptionFact, String> {
    let stripe = StripeBilling::new(["whsec_test"]).unwrap();
    match stripe.read(event["type"].as_str().unwrap(), event)? {
        BillingFact::Subscription(fact) => Ok(*fact),
        other => panic!("not a subscription: {other:?}"),
    }
}

/// The event with the values at these paths of its object replaced; `None` removes one.
fn changed(text: &str, changes: &[(&str, Option<Value>)]) -> Value {
    let mut event = event(text);
    for (pointer, value) in changes {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        let parent = event["data"]["object"].pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Some(value) => parent.insert(field.to_owned(), value.clone()),
            None => parent.remove(field),
        };
    }
    event
}

fn day(text: &str) -> DateTime<Utc> {
    format!("{text}T00:00:00Z").parse().unwrap()
}

#[test]
fn both_shapes_say_the_same() {
    for (text, id, status) in [(OLD, "sub_1RkAold", Status::Active), (NEW, "sub_1SxBnew", Status::Trialing)] {
        let period = (day("2026-11-01"), day("2026-12-01"));
        let mut seats = SubscriptionItem::new("price_1Rk9proMonthly", period);
        (seats.lookup_key, seats.quantity) = (Some("pro_monthly".into()), Some(5));
        let calls = SubscriptionItem::new("price_1Rk9calls", period);
        let mut expected = SubscriptionFact::new(id, "cus_Tq8ZkT1aWc", status, Change::Began, day("2026-11-01"));
        expected.workspace = Some("ws_01h455vb4pex5vsknk084sn02q".parse().unwrap());
        expected.items = vec![seats, calls];
        assert_eq!(read_event(&event(text)).unwrap(), expected);
    }
}

#[test]
fn the_life_of_a_subscription_is_read() {
    for (text, status, cancel_at, ended_at, as_of, change) in [
        (OLD_UPDATED, Status::Active, Some("2026-12-01"), None, "2026-11-11", Change::Changed),
        (OLD_DELETED, Status::Canceled, None, Some("2026-12-01"), "2026-12-01", Change::Ended),
        (NEW_UPDATED, Status::Active, Some("2026-12-01"), None, "2026-11-11", Change::Changed),
        (NEW_PAUSED, Status::Paused, None, None, "2026-12-01", Change::Changed),
        (NEW_DELETED, Status::Canceled, None, Some("2026-12-01"), "2026-12-01", Change::Ended),
    ] {
        let fact = read_event(&event(text)).unwrap();
        assert_eq!((&fact.status, fact.change, fact.as_of), (&status, change, day(as_of)), "{fact:?}");
        assert_eq!((fact.cancel_at, fact.ended_at), (cancel_at.map(day), ended_at.map(day)), "{fact:?}");
    }
}

#[test]
fn an_end_is_scheduled_by_either_field() {
    let later = json!(1_798_761_600);
    for (text, changes, expected) in [
        (OLD, vec![("/cancel_at_period_end", Some(json!(true)))], Some("2026-12-01")),
        (NEW, vec![("/cancel_at_period_end", Some(json!(true)))], Some("2026-12-01")),
        (NEW, vec![("/cancel_at", Some(later.clone()))], Some("2027-01-01")),
        (
            NEW,
            vec![("/cancel_at", Some(later.clone())), ("/cancel_at_period_end", Some(json!(true)))],
            Some("2027-01-01"),
        ),
        // Items of different periods: the last end counts.
        (
            NEW,
            vec![("/cancel_at_period_end", Some(json!(true))), ("/items/data/1/current_period_end", Some(later))],
            Some("2027-01-01"),
        ),
        (NEW, vec![("/cancel_at", None), ("/cancel_at_period_end", None)], None),
    ] {
        assert_eq!(read_event(&changed(text, &changes)).unwrap().cancel_at, expected.map(day), "{changes:?}");
    }
}

#[test]
fn details_that_vary_are_read() {
    let read =
        |text: &str, pointer: &str, value: Option<Value>| read_event(&changed(text, &[(pointer, value)])).unwrap();
    let expanded = json!({ "id": "cus_expanded", "object": "customer", "email": null });
    assert_eq!(read(NEW, "/customer", Some(expanded)).provider_customer, "cus_expanded");
    assert_eq!(
        read(NEW, "/customer", Some(json!({ "id": "cus_gone", "deleted": true }))).provider_customer,
        "cus_gone"
    );
    assert_eq!(read(NEW, "/metadata", Some(json!({}))).workspace, None);
    assert_eq!(read(NEW, "/metadata", None).workspace, None);
    assert_eq!(read(NEW, "/status", Some(json!("of_tomorrow"))).status, Status::Unknown("of_tomorrow".into()));
    assert_eq!(read(NEW, "/items/data/0/quantity", Some(Value::Null)).items[0].quantity, None);
    assert_eq!(read(NEW, "/items/data/0/quantity", Some(json!(0))).items[0].quantity, Some(0));
    let planned = read(OLD, "/items/data/0/price", None);
    assert_eq!((planned.items[0].price.as_str(), &planned.items[0].lookup_key), ("price_1Rk9proMonthly", &None));
}

#[test]
fn what_is_missing_or_wrong_is_named_and_never_guessed() {
    let (item, period) = ("/items/data/0", "/items/data/0/current_period");
    let cases = [
        (NEW, "/id".to_owned(), None, "`data.object`: missing field `id` (API version 2026-10-28.endive)"),
        (OLD, "/items".into(), None, "`data.object`: missing field `items` (API version 2024-06-20)"),
        (NEW, "/items".into(), Some(json!(null)), "`data.object.items`: invalid type: null"),
        (NEW, "/items/data".into(), Some(json!([])), "`data.object.items.data` is empty"),
        (
            NEW,
            format!("{item}/price"),
            None,
            "`data.object.items.data[0].price` is missing, and so is `data.object.items.data[0].plan`",
        ),
        (NEW, format!("{item}/price/id"), None, "`data.object.items.data[0].price`: missing field `id`"),
        (NEW, format!("{item}/quantity"), Some(json!(-1)), "`data.object.items.data[0].quantity`: invalid value"),
        (NEW, format!("{period}_start"), None, "`data.object.items.data[0].current_period_start` is missing"),
        (NEW, format!("{period}_end"), None, "`data.object.items.data[0].current_period_end` is missing"),
        (
            NEW,
            format!("{period}_end"),
            Some(json!("soon")),
            "`data.object.items.data[0].current_period_end`: invalid type",
        ),
        (NEW, format!("{period}_end"), Some(json!(1)), "`data.object.items.data[0]`: the period ends before it starts"),
        (
            NEW,
            "/items/data/1/current_period_end".into(),
            None,
            "`data.object.items.data[1].current_period_end` is missing",
        ),
        (OLD, format!("{period}_start"), Some(json!(1)), "`data.object.items.data[0].current_period_end` is missing"),
        (OLD, "/current_period_start".into(), None, "(before basil: `data.object.current_period_start`)"),
        (OLD, "/current_period_end".into(), None, "(before basil: `data.object.current_period_end`)"),
        (NEW, "/customer".into(), None, "missing field `customer`"),
        (NEW, "/customer".into(), Some(json!(7)), "`data.object.customer`: expected an id, or an object with an `id`"),
        (NEW, "/status".into(), Some(json!(1)), "`data.object.status`: invalid type"),
        (NEW, "/cancel_at".into(), Some(json!("x")), "`data.object.cancel_at`: invalid type"),
        (NEW, "/cancel_at_period_end".into(), Some(json!("yes")), "`data.object.cancel_at_period_end`: invalid type"),
        (NEW, "/ended_at".into(), Some(json!(-1)), "`data.object.ended_at`: invalid value"),
        (
            NEW,
            "/metadata/workspace_id".into(),
            Some(json!("acme")),
            "`data.object.metadata.workspace_id` is \"acme\": this is not a `ws_…` id",
        ),
        (
            NEW,
            "/metadata/workspace_id".into(),
            Some(json!("usr_01h455vb4pex5vsknk084sn02q")),
            "`data.object.metadata.workspace_id` is \"usr_",
        ),
    ];
    for (text, pointer, value, problem) in cases {
        let found = read_event(&changed(text, &[(&pointer, value)])).expect_err(&pointer);
        assert!(found.contains(problem), "{pointer}: {found}");
        assert!(found.contains("API version 20"), "{found}");
    }
}
