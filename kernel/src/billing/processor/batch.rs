//! One claim being worked off: its events one after the other, while heartbeats extend the leases.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::{PART, Processor, Stop};
use crate::base::error::{Error, Explained};
use crate::billing::inbox::{ClaimedEvent, Outcome, backoff};

/// How many heartbeats fall into one lease: some may fail and it is still extended in time.
const HEARTBEATS_PER_LEASE: u32 = 6;
/// How long one attempt may take before it is ended and counts as failed.
const ATTEMPT: Duration = Duration::from_secs(120);

impl Processor {
    /// Processes what was claimed at `claimed_at` or after it, until `stop`, and tells how many events it began. Those that it
    /// did not begin are released.
    ///
    /// # Errors
    /// When the leases have ended because no heartbeat got through.
    pub(super) async fn work_off(
        &self,
        events: Vec<ClaimedEvent>,
        claimed_at: Instant,
        stop: &mut Stop,
    ) -> Result<usize, Error> {
        Batch::new(self, events, claimed_at).work_off(stop).await
    }
}

/// Claimed events of which one is in progress.
struct Batch<'a> {
    processor: &'a Processor,
    /// Claimed and not begun.
    waiting: VecDeque<ClaimedEvent>,
    /// When the leases end if no heartbeat gets through.
    held_until: Instant,
    heartbeats: Interval,
}

impl<'a> Batch<'a> {
    /// What was claimed at `claimed_at` or after it.
    fn new(processor: &'a Processor, events: Vec<ClaimedEvent>, claimed_at: Instant) -> Self {
        let every = (processor.lease / HEARTBEATS_PER_LEASE).max(Duration::from_millis(1));
        let mut heartbeats = tokio::time::interval_at(claimed_at + every, every);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { processor, waiting: events.into(), held_until: claimed_at + processor.lease, heartbeats }
    }

    /// Processes the events until `stop` and tells how many it began. Those that it did not begin are released.
    async fn work_off(mut self, stop: &mut Stop) -> Result<usize, Error> {
        let (mut begun, mut ended) = (0, Ok(()));
        while ended.is_ok()
            && !stop.is_requested()
            && let Some(event) = self.waiting.pop_front()
        {
            begun += 1;
            ended = self.attempt(&event, stop).await;
        }
        self.release().await;
        ended.map(|()| begun)
    }

    /// Processes `event` and holds all claims meanwhile. Lets go of it when its claim no longer holds.
    async fn attempt(&mut self, event: &ClaimedEvent, stop: &mut Stop) -> Result<(), Error> {
        let mut attempt = pin!(self.processor.process(event));
        loop {
            tokio::select! {
                ended = &mut attempt => return ended,
                () = stop.requested(), if !self.waiting.is_empty() => self.release().await,
                _ = self.heartbeats.tick() => {
                    if !self.heartbeat(event).await? {
                        tracing::warn!(event = %event.event_id, attempt = event.attempt, "billing event was taken over");
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Extends all leases and forgets the waiting events whose claim no longer holds. `false` if that of `current` does not.
    ///
    /// # Errors
    /// When the leases have ended because no heartbeat got through.
    async fn heartbeat(&mut self, current: &ClaimedEvent) -> Result<bool, Error> {
        let sent_at = Instant::now();
        let events: Vec<&ClaimedEvent> = std::iter::once(current).chain(&self.waiting).collect();
        match tokio::time::timeout_at(self.held_until, self.processor.heartbeat(&events)).await {
            Ok(Ok(held)) => {
                self.held_until = sent_at + self.processor.lease;
                let mut held = held.into_iter();
                let current_held = held.next().unwrap_or(false);
                self.waiting.retain(|_| held.next().unwrap_or(false));
                Ok(current_held)
            }
            Ok(Err(error)) => {
                tracing::warn!(error = %Explained(&error), "heartbeat of claimed billing events failed; trying again");
                Ok(true)
            }
            Err(_elapsed) => Err(Error::broken(
                "the leases of claimed billing events ended, because no heartbeat reached the database",
            )),
        }
    }

    /// Gives the waiting events back. If that fails, their leases end by themselves.
    async fn release(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return;
        }
        let events: Vec<&ClaimedEvent> = waiting.iter().collect();
        match tokio::time::timeout_at(self.held_until, self.processor.release(&events)).await {
            Ok(Ok(())) => tracing::debug!(count = events.len(), "claimed billing events released"),
            Ok(Err(error)) => {
                tracing::warn!(error = %Explained(&error), "claimed billing events could not be released; their leases will end");
            }
            Err(_elapsed) => tracing::warn!("claimed billing events could not be released before their leases ended"),
        }
    }
}

impl Processor {
    async fn heartbeat(&self, events: &[&ClaimedEvent]) -> Result<Vec<bool>, Error> {
        let mut tx = self.system.begin(PART).await?;
        let held = tx.inbox().heartbeat(events, self.clock.now() + self.lease).await?;
        tx.commit().await?;
        Ok(held)
    }

    async fn release(&self, events: &[&ClaimedEvent]) -> Result<(), Error> {
        let mut tx = self.system.begin(PART).await?;
        tx.inbox().release(events, self.clock.now()).await?;
        Ok(tx.commit().await?)
    }

    /// Applies the event, or records why that failed. Dropping it ends the attempt.
    async fn process(&self, event: &ClaimedEvent) -> Result<(), Error> {
        let Err(error) = self.apply_in_task(event).await else { return Ok(()) };
        let text = Explained(&error).to_string();
        tracing::warn!(event = %event.event_id, kind = %event.kind, attempt = event.attempt, error = %text, "billing event failed");
        let now = self.clock.now();
        let outcome = Outcome::Failed { error: text, retry_at: backoff(event.attempt).map(|wait| now + wait) };
        let mut tx = self.system.begin(PART).await?;
        tx.inbox().finish(event, &outcome, now).await?;
        Ok(tx.commit().await?)
    }

    /// Applies the event in a task of its own: one that panics fails, and the others go on. The task is aborted when the
    /// future is dropped.
    async fn apply_in_task(&self, event: &ClaimedEvent) -> Result<(), Error> {
        let (this, own) = (self.clone(), event.clone());
        let mut task = JoinSet::new();
        task.spawn(async move { this.apply(&own).await });
        match tokio::time::timeout(ATTEMPT, task.join_next()).await {
            Ok(Some(applied)) => applied.unwrap_or_else(|panic| Err(Error::broken(panic))),
            Ok(None) => Ok(()),
            Err(_elapsed) => Err(Error::broken(format!(
                "the attempt was ended after {} seconds; find out what it waits for in the database or at the provider",
                ATTEMPT.as_secs()
            ))),
        }
    }
}
