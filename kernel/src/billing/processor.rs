//! Works off the webhook inbox of one provider: claims due events in batches and applies each in a transaction of its own,
//! which also marks it as processed.

mod apply;
mod batch;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::access::catalog::Catalog;
use crate::base::clock::Clock;
use crate::base::ctx::Ctx;
use crate::base::error::{Error, Explained, Refusal, codes};
use crate::billing::inbox::Claim;
use crate::billing::provider::{BillingProvider, Headers, ProviderEvent};
use crate::store::SystemStore;

/// How many events one claim takes.
const BATCH: u32 = 20;
/// How long a claim holds without a heartbeat: after a crash, the claimed events wait for so long.
const LEASE: Duration = Duration::from_secs(30);
/// How far ahead of our clock a provider may date its events.
const AHEAD: TimeDelta = TimeDelta::days(1);
/// How often it looks without being woken: for events that failed, and those of a processor that died.
const POLL: Duration = Duration::from_secs(5);
/// The part of the system that its transactions name.
const PART: &str = "billing processor";

/// Receives the events of one provider and works them off. Each provider has its own; any number of processes may run one
/// for the same provider.
#[derive(Clone)]
pub struct Processor {
    clock: Arc<dyn Clock>,
    catalog: Arc<Catalog>,
    system: Arc<dyn SystemStore>,
    provider: Arc<dyn BillingProvider>,
    wake: Arc<Notify>,
    lease: Duration,
}

impl Processor {
    /// A processor of `provider`'s events, over the system's own database role.
    pub fn new(
        clock: Arc<dyn Clock>,
        catalog: Arc<Catalog>,
        system: Arc<dyn SystemStore>,
        provider: Arc<dyn BillingProvider>,
    ) -> Self {
        Self { clock, catalog, system, provider, wake: Arc::default(), lease: LEASE }
    }

    /// Sets how long a claim holds without a heartbeat; 30 seconds by default. Heartbeats come six times as often.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Name of the provider whose events it takes, as in the address of its webhook.
    pub fn name(&self) -> &'static str {
        self.provider.name()
    }

    /// Verifies a delivery and returns its event. A refusal is logged, because the provider stops retrying after some days and
    /// an operator has to see it.
    ///
    /// # Errors
    /// The refusals of [`BillingProvider::verify`].
    pub fn verify(&self, ctx: &Ctx, headers: &Headers<'_>, body: &[u8]) -> Result<ProviderEvent, Refusal> {
        self.provider.verify(headers, body, ctx.now).inspect_err(|refusal| {
            tracing::warn!(provider = self.name(), code = refusal.code(), %refusal, "a billing event was refused");
        })
    }

    /// Keeps a verified event and wakes the loop. When it returns, the event is durable: answer 2xx.
    ///
    /// # Errors
    /// `bad_request` for an event that is dated more than a day ahead: it would keep later facts out for as long.
    pub async fn receive(&self, ctx: &Ctx, event: &ProviderEvent) -> Result<(), Error> {
        if event.created_at > ctx.now + AHEAD {
            let text =
                format!("the event is dated {}, which is more than a day ahead; check both clocks", event.created_at);
            return Err(Refusal::new(&codes::BAD_REQUEST, text).into());
        }
        let mut tx = self.system.begin("webhook receiver").await?;
        let new = tx.inbox().receive(self.provider.name(), event, ctx.now).await?;
        tx.commit().await?;
        if new {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Runs until `stop`. An error is logged and the next round tries again: the loop itself never ends by one.
    ///
    /// After `stop` it releases the claims that it has not begun, finishes the event in progress and returns. Dropped before
    /// that, it abandons that event, which is taken over when its lease ends.
    pub async fn run(&self, stop: impl Future<Output = ()> + Send) {
        let (request, requested) = watch::channel(false);
        let mut rounds = pin!(self.rounds(Stop(requested)));
        tokio::select! {
            biased;
            () = stop => {}
            () = &mut rounds => return,
        }
        request.send_replace(true);
        rounds.await;
    }

    /// Processes everything that is due and tells how many events it took.
    ///
    /// # Errors
    /// What the system of record says. What was claimed then is released, or its lease ends.
    pub async fn drain(&self) -> Result<usize, Error> {
        let (_request, requested) = watch::channel(false);
        self.drain_until(&mut Stop(requested)).await
    }

    async fn rounds(&self, mut stop: Stop) {
        loop {
            match self.drain_until(&mut stop).await {
                Ok(0) => {}
                Ok(count) => tracing::debug!(count, "billing events processed"),
                Err(error) => {
                    tracing::warn!(error = %Explained(&error), "billing events could not be processed; trying again");
                }
            }
            tokio::select! {
                () = stop.requested() => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    async fn drain_until(&self, stop: &mut Stop) -> Result<usize, Error> {
        let mut count = 0;
        while !stop.is_requested() {
            let claimed_at = Instant::now();
            // The database may be gone without saying so.
            let claim = tokio::time::timeout(self.lease, self.claim()).await;
            let claim = claim.map_err(|_elapsed| Error::broken("claiming events took longer than their lease"))??;
            if claim.is_empty() {
                break;
            }
            count += self.work_off(claim.events, claimed_at, stop).await?;
        }
        Ok(count)
    }

    async fn claim(&self) -> Result<Claim, Error> {
        let now = self.clock.now();
        let mut tx = self.system.begin(PART).await?;
        let claim = tx.inbox().claim(self.provider.name(), BATCH, now, now + self.lease).await?;
        tx.commit().await?;
        for letter in &claim.dead_letters {
            tracing::error!(
                provider = letter.provider,
                event = letter.event_id,
                kind = letter.kind,
                attempts = letter.attempts,
                error = letter.error,
                "billing event is a dead letter: it is not tried again"
            );
        }
        Ok(claim)
    }
}

/// Whether the processor was asked to stop.
struct Stop(watch::Receiver<bool>);

impl Stop {
    fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when it was, at once if that is past.
    async fn requested(&mut self) {
        // Without its sender nobody waits for the processor any more.
        drop(self.0.wait_for(|requested| *requested).await);
    }
}

impl std::fmt::Debug for Processor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Processor").field("provider", &self.provider.name()).finish_non_exhaustive()
    }
}
