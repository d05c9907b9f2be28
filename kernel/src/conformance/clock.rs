//! Conformance suite for clocks.

use chrono::SubsecRound;

use crate::base::clock::Clock;
use crate::conformance::Outcome;

/// Checks that a [`Clock`] returns whole microseconds, which Postgres can store, and never goes backwards.
///
/// # Errors
/// None today.
///
/// # Panics
/// If the adapter does not conform; the message says what was expected.
pub async fn clock(clock: &dyn Clock) -> Outcome {
    let mut before = clock.now();
    for _ in 0..10_000 {
        let now = clock.now();
        assert_eq!(now, now.trunc_subsecs(6), "whole microseconds");
        assert!(now >= before, "time goes on: {before}, then {now}");
        before = now;
    }
    Ok(())
}
