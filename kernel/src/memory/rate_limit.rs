//! A rate limiter in this process's memory, for a single copy of an app; several copies each count their own calls.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, RateLimiter as Gcra};

use crate::guard::rate_limit::{Bucket, Quota, RateLimiter};

/// Number of calls after which the keys whose quota is full again are removed, so that memory use follows the active callers.
const SWEEP_EVERY: u32 = 10_000;

type Counters = HashMap<(Bucket, Quota), Arc<DefaultKeyedRateLimiter<String>>>;

/// GCRA counters by bucket and key.
#[derive(Default)]
pub struct MemoryRateLimiter {
    counters: RwLock<Counters>,
    calls: AtomicU32,
}

impl MemoryRateLimiter {
    fn counter(&self, bucket: Bucket, quota: Quota) -> Arc<DefaultKeyedRateLimiter<String>> {
        if let Some(counter) = self.counters.read().unwrap_or_else(PoisonError::into_inner).get(&(bucket, quota)) {
            return counter.clone();
        }
        let mut counters = self.counters.write().unwrap_or_else(PoisonError::into_inner);
        counters.entry((bucket, quota)).or_insert_with(|| Arc::new(Gcra::keyed(gcra(quota)))).clone()
    }
}

impl MemoryRateLimiter {
    fn sweep(&self) {
        for counter in self.counters.read().unwrap_or_else(PoisonError::into_inner).values() {
            counter.retain_recent();
        }
    }
}

fn gcra(quota: Quota) -> governor::Quota {
    let calls = NonZeroU32::new(quota.calls).unwrap_or(NonZeroU32::MIN);
    let period = (quota.per / calls.get()).max(Duration::from_nanos(1));
    governor::Quota::with_period(period)
        .map_or_else(|| governor::Quota::per_second(calls), |quota| quota.allow_burst(calls))
}

#[async_trait]
impl RateLimiter for MemoryRateLimiter {
    async fn check(&self, bucket: Bucket, key: &str, quota: Quota) -> Result<(), Duration> {
        let counter = self.counter(bucket, quota);
        if self.calls.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.sweep();
        }
        let clock = DefaultClock::default();
        counter.check_key(&key.to_owned()).map_err(|not_until| not_until.wait_time_from(clock.now()))
    }
}

impl std::fmt::Debug for MemoryRateLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryRateLimiter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_quota_holds_for_callers_at_once_and_per_key() {
        let limiter = Arc::new(MemoryRateLimiter::default());
        let quota = Quota::per_hour(5);
        let calls: Vec<_> = (0..30)
            .map(|_| {
                let limiter = limiter.clone();
                tokio::spawn(async move { limiter.check(Bucket::LoginIp, "10.0.0.1", quota).await })
            })
            .collect();
        let mut let_through = 0;
        for call in calls {
            match call.await.unwrap() {
                Ok(()) => let_through += 1,
                Err(wait) => assert!(wait > Duration::from_secs(600) && wait <= Duration::from_secs(720), "{wait:?}"),
            }
        }
        assert_eq!(let_through, 5);
        assert!(limiter.check(Bucket::LoginIp, "10.0.0.2", quota).await.is_ok());
        assert!(limiter.check(Bucket::SignUpIp, "10.0.0.1", quota).await.is_ok());
    }
}
