//! Conformance suite for rate limiters.

use std::time::Duration;

use crate::base::secret::Token;
use crate::conformance::{Outcome, join_all};
use crate::guard::rate_limit::{Bucket, Quota, RateLimiter};

/// Checks that a [`RateLimiter`] enforces a quota, also under concurrency. Others may use it at the same time: the keys are
/// new.
///
/// # Errors
/// None today.
///
/// If the adapter does not conform; the message says what was expected.
/// With what was expected, where the adapter does not conform.
pub async fn rate_limiter(limiter: &dyn RateLimiter) -> Outcome {
    let (key, other) = (Token::generate("one"), Token::generate("two"));
    let quota = Quota::per_hour(5);
    let calls = join_all((0..30).map(|_| limiter.check(Bucket::LoginIp, key.expose(), quota))).await;
    assert_eq!(calls.iter().filter(|call| call.is_ok()).count(), 5, "a quota holds for callers at once");
    for wait in calls.into_iter().filter_map(Result::err) {
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(3600), "how long to wait: {wait:?}");
    }
    assert_eq!(limiter.check(Bucket::LoginIp, other.expose(), quota).await, Ok(()), "another key");
    assert_eq!(limiter.check(Bucket::SignUpIp, key.expose(), quota).await, Ok(()), "another bucket");
    Ok(())
}
