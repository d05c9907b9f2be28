//! What every adapter of a port must do, as code to run (feature `conformance`). The in-process adapters run it, and so should
//! yours: [`billing_provider`], [`clock()`], [`mailer`] and [`rate_limiter`] are given the adapter.
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
//! The system of record is no port to be swapped: it is Postgres, and `saas-kernel-postgres` tests what its repositories promise.

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

/// The result of a suite. What does not conform panics with what was expected; what breaks on the way is the error.
pub type Outcome = Result<(), BoxError>;

/// Runs all of them, interleaved as they wait.
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
