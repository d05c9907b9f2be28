//! Works the webhook inbox off: claims, applies each event in a transaction of its own, and marks it in the same one.

mod apply;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::Notify;

use crate::access::catalog::Catalog;
use crate::base::clock::Clock;
use crate::base::ctx::Ctx;
use crate::base::error::{Error, Explained, Refusal, codes};
use crate::billing::inbox::{ClaimedEvent, Outcome, backoff};
use crate::billing::provider::{BillingProvider, ProviderEvent};
use crate::store::SystemStore;

/// How many events one claim takes.
const BATCH: u32 = 20;
/// How long a claim holds. An event that takes longer is let go by whoever finds it taken over: nothing happens twice.
const LEASE: TimeDelta = TimeDelta::minutes(5);
/// How long a round may take before it is given up: the database may be gone without saying so.
const ROUND: Duration = Duration::from_secs(120);
/// How far ahead of our clock a provider may date its events.
const AHEAD: TimeDelta = TimeDelta::days(1);
/// How often it looks without being woken: events that failed, and those of a processor that died.
const POLL: Duration = Duration::from_secs(5);

/// The receiver's and the processor's side of the inbox. Any number of processes may run one.
#[derive(Clone)]
pub struct Processor {
    clock: Arc<dyn Clock>,
    catalog: Arc<Catalog>,
    system: Arc<dyn SystemStore>,
    provider: Arc<dyn BillingProvider>,
    wake: Arc<Notify>,
}

impl Processor {
    /// A processor of `provider`'s events, over the system's own database role.
    pub fn new(
        clock: Arc<dyn Clock>,
        catalog: Arc<Catalog>,
        system: Arc<dyn SystemStore>,
        provider: Arc<dyn BillingProvider>,
    ) -> Self {
        Self { clock, catalog, system, provider, wake: Arc::default() }
    }

    /// Whose events it takes.
    pub fn provider(&self) -> &dyn BillingProvider {
        &*self.provider
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
    pub async fn run(&self, stop: impl Future<Output = ()> + Send) {
        let mut stop = std::pin::pin!(stop);
        loop {
            let round = async {
                match tokio::time::timeout(ROUND, self.drain()).await {
                    Err(_elapsed) => tracing::error!("billing events take too long; trying again"),
                    Ok(Ok(0)) => {}
                    Ok(Ok(count)) => tracing::debug!(count, "billing events processed"),
                    Ok(Err(error)) => {
                        tracing::warn!(error = %Explained(&error), "billing events could not be processed; trying again")
                    }
                }
            };
            // A round is not interrupted: what it claimed, it finishes.
            round.await;
            tokio::select! {
                () = &mut stop => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Processes everything that is due and tells how many events it took.
    pub async fn drain(&self) -> Result<usize, Error> {
        let mut count = 0;
        loop {
            let now = self.clock.now();
            let mut tx = self.system.begin("billing processor").await?;
            let claimed = tx.inbox().claim(BATCH, now, now + LEASE).await?;
            tx.commit().await?;
            if claimed.is_empty() {
                return Ok(count);
            }
            count += claimed.len();
            for event in &claimed {
                self.process(event).await?;
            }
        }
    }

    async fn process(&self, event: &ClaimedEvent) -> Result<(), Error> {
        // A task of its own: an event that panics fails, and the others go on.
        let (this, own) = (self.clone(), event.clone());
        let applied = tokio::spawn(async move { this.apply(&own).await }).await;
        let Err(error) = applied.unwrap_or_else(|panic| Err(Error::broken(panic))) else { return Ok(()) };
        let text = Explained(&error).to_string();
        tracing::warn!(event = %event.event_id, kind = %event.kind, attempt = event.attempt, error = %text, "billing event failed");
        let now = self.clock.now();
        let outcome = Outcome::Failed { error: text, retry_at: backoff(event.attempt).map(|wait| now + wait) };
        let mut tx = self.system.begin("billing processor").await?;
        tx.inbox().finish(event, &outcome, now).await?;
        Ok(tx.commit().await?)
    }
}

impl std::fmt::Debug for Processor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Processor").field("provider", &self.provider.name()).finish_non_exhaustive()
    }
}
