use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::access::catalog::tests::catalog;

fn day(n: i64) -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::days(n)
}

fn workspace() -> WorkspaceId {
    WorkspaceId::from(crate::Uuid::from_u128(1))
}

fn fact(at: i64, status: &str, price: &str, deleted: bool) -> SubscriptionFact {
    let item = SubscriptionItem { price: price.into(), lookup_key: None, quantity: Some(1), period: (day(0), day(30)) };
    SubscriptionFact {
        provider_subscription: "sub_1".into(),
        provider_customer: "cus_1".into(),
        workspace: Some(workspace()),
        status: Status::parse(status),
        items: vec![item],
        cancel_at: None,
        ended_at: deleted.then(|| day(at)),
        as_of: day(at),
        change: match (status, deleted) {
            (_, true) => Change::Ended,
            ("incomplete", false) => Change::Began,
            (_, false) => Change::Changed,
        },
    }
}

fn apply(state: Option<Subscription>, fact: SubscriptionFact) -> Option<Subscription> {
    match reduce(state.as_ref(), fact, workspace(), "stripe", &catalog(), day(0)).unwrap() {
        Reduced::Changed(next) => Some(*next),
        Reduced::Unchanged => state,
    }
}

#[test]
fn every_status_has_its_access() {
    for (word, access) in [
        ("trialing", Access::Full),
        ("active", Access::Full),
        ("past_due", Access::Grace),
        ("unpaid", Access::ReadOnly),
        ("paused", Access::ReadOnly),
        ("incomplete", Access::None),
        ("incomplete_expired", Access::None),
        ("canceled", Access::None),
        ("a_new_word", Access::None),
    ] {
        let status = Status::parse(word);
        assert_eq!(status.access(), access, "{word}");
        assert_eq!(status.as_str(), word);
        assert_eq!(Access::from_stored(access.as_str()), Some(access));
    }
}

#[test]
fn updated_before_created_is_not_overwritten() {
    let updated = apply(None, fact(2, "active", "price_pro", false));
    let after = apply(updated.clone(), fact(1, "incomplete", "price_starter", false));
    assert_eq!(after, updated);
}

#[test]
fn within_a_second_the_beginning_loses() {
    let active = apply(None, fact(1, "active", "price_pro", false));
    assert_eq!(apply(active.clone(), fact(1, "incomplete", "price_pro", false)), active);
    let changed = apply(active, fact(1, "past_due", "price_pro", false)).unwrap();
    assert_eq!(changed.status, Status::PastDue);
}

#[test]
fn an_end_is_final_and_wins_its_second() {
    let ended = apply(None, fact(2, "canceled", "price_pro", true));
    for late in [1, 2, 3] {
        assert_eq!(apply(ended.clone(), fact(late, "active", "price_pro", false)), ended);
    }
    assert_eq!(effective(&[ended.unwrap()]), (None, Access::Full));
}

#[test]
fn an_unknown_status_keeps_the_last_state() {
    let active = apply(None, fact(1, "active", "price_pro", false));
    let after = apply(active, fact(2, "hibernating", "price_pro", false)).unwrap();
    assert_eq!(after.status, Status::Active);
}

#[test]
fn a_price_of_no_plan_is_an_error_never_a_guess() {
    let problem =
        reduce(None, fact(1, "active", "price_other", false), workspace(), "stripe", &catalog(), day(0)).unwrap_err();
    assert!(problem.contains("price_other"), "{problem}");
}

#[test]
fn an_end_gets_through_without_its_price() {
    let active = apply(None, fact(1, "active", "price_pro", false));
    let ended = apply(active, fact(2, "canceled", "price_removed", true)).unwrap();
    assert_eq!((ended.plan.as_str(), ended.ended_at), ("pro", Some(day(2))));
    assert_eq!(apply(None, fact(2, "canceled", "price_removed", true)), None);
}

#[test]
fn the_plan_is_found_by_price_not_by_place() {
    let mut two = fact(1, "active", "price_addon", false);
    two.items.push(SubscriptionItem { price: "price_pro".into(), ..two.items[0].clone() });
    assert_eq!(apply(None, two).unwrap().plan, "pro");
    let mut keyed = fact(1, "active", "price_123", false);
    keyed.items[0].lookup_key = Some("price_starter".into());
    assert_eq!(apply(None, keyed).unwrap().plan, "starter");
}

#[test]
fn the_best_subscription_counts() {
    let old = apply(None, fact(1, "canceled", "price_pro", true)).unwrap();
    let new = Subscription {
        provider_subscription: "sub_2".into(),
        ..apply(None, fact(2, "past_due", "price_starter", false)).unwrap()
    };
    assert_eq!(effective(&[old, new]), (Some("starter"), Access::Grace));
    assert_eq!(effective(&[]), (None, Access::Full));
}

proptest! {
    /// Any order and any duplication of distinct seconds ends in the same state.
    #[test]
    fn order_and_duplicates_do_not_matter(order in Just((0..6usize).chain(0..6).collect::<Vec<_>>()).prop_shuffle()) {
        let facts = [
            fact(1, "incomplete", "price_starter", false),
            fact(2, "trialing", "price_starter", false),
            fact(3, "active", "price_pro", false),
            fact(4, "past_due", "price_pro", false),
            fact(5, "active", "price_starter", false),
            fact(6, "canceled", "price_starter", true),
        ];
        let state = order.into_iter().fold(None, |state, index| apply(state, facts[index].clone()));
        let state = state.unwrap();
        prop_assert_eq!((state.as_of, &state.status, state.ended_at), (day(6), &Status::Canceled, Some(day(6))));
    }
}
