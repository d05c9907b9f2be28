//! Conformance suites: tests that every adapter of a port must pass (feature `conformance`). The in-process adapters run them,
//! and so should your own: [`billing_provider`], [`clock()`], [`mailer`] and [`rate_limiter`] take the adapter.
//!
//! ```no_run
//! use saas_kernel::conformance;
//! use saas_kernel::memory::rate_limit::MemoryRateLimiter;
//!
//! # async fn test() -> conformance::Outcome {
//! // In a test of the adapter's crate.
//! conformance::rate_limiter(&MemoryRateLimiter::default()).await
//! # }
//! ```
//!
//! The database is not a replaceable port: it is Postgres, and `saas-kernel-postgres` tests its repositories.

mod billing_provider;
mod clock;
mod mailer;
mod rate_limiter;

use std::future::{Future, poll_fn};
use std::task::Poll;

use crate::base::error::BoxError;

pub use billing_provider::{Deliveries, billing_provider};
pub use clock::clock;
pub use mailer::{Delivered, mailer};
pub use rate_limiter::rate_limiter;

/// Result of a suite. It panics where the adapter does not conform; the error is for anything else that failed.
pub type Outcome = Result<(), BoxError>;

/// Runs all futures concurrently and returns their outputs in order.
async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|cx| {
        for (future, output) in running.iter_mut().filter(|(_, output)| output.is_none()) {
            if let Poll::Ready(ready) = future.as_mut().poll(cx) {
                *output = Some(ready);
            }
        }
        if running.iter().all(|(_, output)| output.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    running.into_iter().filter_map(|(_, output)| output).collect()
}
