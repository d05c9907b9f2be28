//! The webhook inbox: every signed event is kept once, before it is answered, and processed afterwards.
//!
//! `RECEIVED → PROCESSING → PROCESSED`, or `FAILED` and again `PROCESSING` after a back-off. A lease returns the events of
//! a processor that died.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::base::error::StoreError;
use crate::billing::provider::ProviderEvent;

/// An event that a processor has claimed.
#[derive(Clone, PartialEq, Debug)]
pub struct ClaimedEvent {
    /// Who sent it.
    pub provider: String,
    /// The provider's id of it.
    pub event_id: String,
    /// The provider's type of it.
    pub kind: String,
    /// When the provider made it.
    pub created_at: DateTime<Utc>,
    /// All of it.
    pub payload: Value,
    /// Which attempt this is, from 1. A processor whose lease ran out finds another number and lets go.
    pub attempt: i32,
}

/// How an attempt ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Done; in the same transaction as what it changed.
    Processed,
    /// Not done, and why; tried again then, or never again if `None`.
    Failed {
        /// A sentence for the person who looks into it.
        error: String,
        /// When to try again.
        retry_at: Option<DateTime<Utc>>,
    },
}

/// After this many attempts an event waits for a person.
pub const MAX_ATTEMPTS: i32 = 20;

/// How long to wait after `attempt` failed: one minute, doubled each time, at most 15 minutes, so that an event whose
/// workspace is not known yet is picked up soon after it is. `None` after [`MAX_ATTEMPTS`].
pub fn backoff(attempt: i32) -> Option<TimeDelta> {
    let doublings = u32::try_from(attempt.clamp(1, 5) - 1).unwrap_or_default();
    (attempt < MAX_ATTEMPTS).then(|| TimeDelta::seconds(60 * 2i64.pow(doublings)).min(TimeDelta::minutes(15)))
}

/// Repository: the inbox. System scope only.
#[async_trait]
pub trait Inbox: Send {
    /// Keeps the event; `false` if it is there already.
    async fn receive(&mut self, provider: &str, event: &ProviderEvent, at: DateTime<Utc>) -> Result<bool, StoreError>;
    /// Claims up to `n` events that are due, until `lease`, oldest first, without waiting for other processors.
    async fn claim(
        &mut self,
        n: u32,
        now: DateTime<Utc>,
        lease: DateTime<Utc>,
    ) -> Result<Vec<ClaimedEvent>, StoreError>;
    /// Ends the attempt. `false` if it is no longer this processor's: everything it did must be rolled back.
    async fn finish(&mut self, event: &ClaimedEvent, outcome: &Outcome, at: DateTime<Utc>) -> Result<bool, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_back_off_doubles_to_a_quarter_of_an_hour_and_ends() {
        let waits: Vec<_> = [1, 2, 3, 4, 5, 6, 19].map(|n| backoff(n).unwrap().num_seconds()).into();
        assert_eq!(waits, [60, 120, 240, 480, 900, 900, 900]);
        assert_eq!(backoff(MAX_ATTEMPTS), None);
        assert_eq!(backoff(i32::MIN).unwrap().num_seconds(), 60);
    }
}
