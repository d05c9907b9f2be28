//! The webhook inbox: every signed event is kept once, before it is answered, and processed afterwards.
//!
//! `RECEIVED → PROCESSING → PROCESSED`, or `FAILED` and again `PROCESSING` after a back-off. A claim holds an event for a
//! lease, which heartbeats extend. An event whose lease ran out was abandoned: its processor ended, and the next claim takes
//! the event over. After [`MAX_ATTEMPTS`] it is a dead letter.

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

/// An event that became a dead letter: no attempt is left, and the last one was abandoned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    /// Who sent it.
    pub provider: String,
    /// The provider's id of it.
    pub event_id: String,
    /// The provider's type of it.
    pub kind: String,
    /// How many attempts there were.
    pub attempts: i32,
    /// What is kept as its error: [`abandoned_error`].
    pub error: String,
}

/// What one claim took off the queue.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Claim {
    /// The events to process now, oldest first.
    pub events: Vec<ClaimedEvent>,
    /// The events that are not tried again.
    pub dead_letters: Vec<DeadLetter>,
}

impl Claim {
    /// Whether nothing was due.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.dead_letters.is_empty()
    }
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

/// The error of a dead letter whose last attempt was abandoned; `earlier` is the error of the last attempt that failed.
pub fn abandoned_error(earlier: Option<&str>) -> String {
    let advice = "find out what ended it (the log, a crash report, the system's out-of-memory messages) and fix that, then \
                  make it due again by setting `due_at` of its row to the present time";
    match earlier {
        None => format!("the process ended during every attempt, before an outcome was recorded; {advice}"),
        Some(error) => format!(
            "the process ended during the last attempt, before an outcome was recorded; {advice}. An earlier attempt failed: \
             {error}"
        ),
    }
}

/// Repository: the inbox. System scope only.
#[async_trait]
pub trait Inbox: Send {
    /// Keeps the event; `false` if it is there already.
    async fn receive(&mut self, provider: &str, event: &ProviderEvent, at: DateTime<Utc>) -> Result<bool, StoreError>;
    /// Claims up to `n` due events of `provider` until `lease`, oldest first, without waiting for other processors; 100 at
    /// most. Each claim counts as an attempt.
    ///
    /// An abandoned event is claimed alone, so that one that ends the process costs no other event an attempt. If it has no
    /// attempt left, it becomes a dead letter instead: failed with [`abandoned_error`] and never due.
    async fn claim(
        &mut self,
        provider: &str,
        n: u32,
        now: DateTime<Utc>,
        lease: DateTime<Utc>,
    ) -> Result<Claim, StoreError>;
    /// Extends the leases to `lease` and tells for each event, in the same order, whether its claim still holds. An event
    /// that a transaction has locked keeps its lease: nobody else can claim it before that transaction ends.
    async fn heartbeat(&mut self, events: &[&ClaimedEvent], lease: DateTime<Utc>) -> Result<Vec<bool>, StoreError>;
    /// Gives claims back whose events were not begun: due at `at`, in the state before the claim, the attempt not counted.
    /// Passes over those that no longer hold.
    async fn release(&mut self, events: &[&ClaimedEvent], at: DateTime<Utc>) -> Result<(), StoreError>;
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

    #[test]
    fn an_abandoned_dead_letter_keeps_the_error_of_an_earlier_attempt() {
        assert!(abandoned_error(None).starts_with("the process ended during every attempt"));
        let error = abandoned_error(Some("no such plan"));
        assert!(error.starts_with("the process ended during the last attempt") && error.ends_with(": no such plan"));
    }
}
