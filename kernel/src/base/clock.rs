//! The clock port. All time in the kernel comes from it; only [`SystemClock`] reads the machine's clock.

use std::sync::Mutex;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// Port: the current time.
pub trait Clock: Send + Sync {
    /// The current time in whole microseconds. Postgres stores microseconds, so a value read back equals the value written.
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the machine's clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }
}

/// A clock for tests. It stands still, or runs with the machine's clock, until it is told to move.
#[derive(Debug)]
pub struct TestClock(Mutex<Shown>);

#[derive(Debug)]
enum Shown {
    Still(DateTime<Utc>),
    /// By how much it is ahead of the machine's clock.
    Running(TimeDelta),
}

impl TestClock {
    /// Creates a clock that shows `at`, and only moves when told to.
    pub fn at(at: DateTime<Utc>) -> Self {
        Self(Mutex::new(Shown::Still(at.trunc_subsecs(6))))
    }

    /// Creates a clock that runs with the machine's clock.
    pub fn running() -> Self {
        Self(Mutex::new(Shown::Running(TimeDelta::zero())))
    }

    /// Moves the clock forward by `by`.
    pub fn advance(&self, by: TimeDelta) {
        match &mut *self.lock() {
            Shown::Still(at) => *at += by,
            Shown::Running(ahead) => *ahead += by,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        match *self.lock() {
            Shown::Still(at) => at,
            Shown::Running(ahead) => (SystemClock.now() + ahead).trunc_subsecs(6),
        }
    }
}
