//! Clocks.

use chrono::SubsecRound;

use crate::base::clock::Clock;
use crate::conformance::Outcome;

/// What every [`Clock`] must do: tell whole microseconds, which Postgres can keep, and not go back by itself.
///
/// # Errors
/// None today.
///
/// # Panics
/// With what was expected, where the adapter does not conform.
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
