//! Waiting on a condition, instead of sleeping.

use std::time::Duration;

use saas_kernel::BoxError;

/// Asks `question` until it answers yes, for at most ten seconds.
///
/// # Errors
/// `what` was waited for, if the answer is still no; the question's own errors at once.
pub async fn eventually<F: Future<Output = Result<bool, BoxError>>>(
    what: &str,
    question: impl Fn() -> F,
) -> Result<(), BoxError> {
    let mut every = tokio::time::interval(Duration::from_millis(10));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while tokio::time::Instant::now() < deadline {
        every.tick().await;
        if question().await? {
            return Ok(());
        }
    }
    Err(format!("not within ten seconds: {what}").into())
}
