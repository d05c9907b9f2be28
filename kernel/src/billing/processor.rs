//! Works the webhook inbox off: claims, applies each event in a transaction of its own, and marks it in the same one.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::Notify;

use crate::audit::AuditEntry;
use crate::base::actor::Actor;
use crate::base::ctx::Ctx;
use crate::base::error::{Error, Explained, Refusal, codes};
use crate::base::id::WorkspaceId;
use crate::billing::inbox::{ClaimedEvent, Outcome, backoff};
use crate::billing::names::{action, subject};
use crate::billing::provider::{BillingFact, BillingProvider, ProviderEvent};
use crate::billing::subscription::{Change, Reduced, SubscriptionFact, effective, reduce};
use crate::events::OutboxEvent;
use crate::kernel::Kernel;
use crate::store::{SystemStore, Tx};

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
    kernel: Kernel,
    system: Arc<dyn SystemStore>,
    provider: Arc<dyn BillingProvider>,
    wake: Arc<Notify>,
}

impl Processor {
    /// Over the system's own login.
    pub fn new(kernel: Kernel, system: Arc<dyn SystemStore>, provider: Arc<dyn BillingProvider>) -> Self {
        Self { kernel, system, provider, wake: Arc::default() }
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
            let now = self.kernel.now();
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
        let now = self.kernel.now();
        let outcome = Outcome::Failed { error: text, retry_at: backoff(event.attempt).map(|wait| now + wait) };
        let mut tx = self.system.begin("billing processor").await?;
        tx.inbox().finish(event, &outcome, now).await?;
        Ok(tx.commit().await?)
    }

    async fn apply(&self, event: &ClaimedEvent) -> Result<(), Error> {
        let fact = self.provider.read(&event.kind, &event.payload).map_err(Error::broken)?;
        let mut tx = self.system.begin("billing processor").await?;
        let now = self.kernel.now();
        // First, because it locks the event: whoever finds it taken over stops before changing anything.
        if !tx.inbox().finish(event, &Outcome::Processed, now).await? {
            return Ok(());
        }
        match fact {
            BillingFact::Subscription(fact) => self.subscription(&mut *tx, event, *fact).await?,
            BillingFact::Ignored(why) => {
                tracing::debug!(event = %event.event_id, kind = %event.kind, why, "billing event ignored")
            }
        }
        Ok(tx.commit().await?)
    }

    async fn subscription(&self, tx: &mut dyn Tx, event: &ClaimedEvent, fact: SubscriptionFact) -> Result<(), Error> {
        let provider = self.provider.name();
        let workspace = self.workspace(tx, provider, &fact).await?;
        let all = tx.subscriptions().of_workspace(workspace).await?;
        let current =
            all.iter().find(|s| s.provider == provider && s.provider_subscription == fact.provider_subscription);
        let change = fact.change;
        let reduced = reduce(current, fact, workspace, provider, self.kernel.catalog(), self.kernel.now())
            .map_err(Error::broken)?;
        let Reduced::Changed(next) = reduced else { return Ok(()) };
        let what = match (current, change) {
            (_, Change::Ended) => action::SUBSCRIPTION_CANCELLED,
            (None, Change::Began | Change::Changed) => action::SUBSCRIPTION_CREATED,
            (Some(_), Change::Began | Change::Changed) => action::SUBSCRIPTION_UPDATED,
        };
        tx.subscriptions().save(&next).await?;
        let after: Vec<_> = all.iter().filter(|s| s.id != next.id).cloned().chain([(*next).clone()]).collect();
        let (key, access) = effective(&after);
        let plan = self.kernel.catalog().plan_of(key);
        let ctx = Ctx::at(self.kernel.now());
        tx.workspaces().set_plan(workspace, key, access, ctx.now).await?;
        tx.limits().set_caps(workspace, &plan.limits).await?;
        let meta = serde_json::json!({
            "plan": plan.key, "access": access.as_str(), "status": next.status.as_str(), "event": event.event_id,
        });
        let entry = AuditEntry::new(&ctx, Actor::System(provider), workspace, what).target("subscription", next.id);
        tx.records().audit(entry.meta(meta.clone()));
        tx.records().event(OutboxEvent::new(ctx.now, workspace, subject::SUBSCRIPTION_CHANGED, meta));
        Ok(())
    }

    /// Finds and locks the workspace: of the subscription if it is known, else the one that checkout told the provider,
    /// else the customer's.
    async fn workspace(&self, tx: &mut dyn Tx, provider: &str, fact: &SubscriptionFact) -> Result<WorkspaceId, Error> {
        let known = tx.subscriptions().workspace_of(provider, &fact.provider_subscription).await?;
        let workspace = match known.or(fact.workspace) {
            Some(workspace) => Some(workspace),
            None => tx.subscriptions().workspace_of_customer(provider, &fact.provider_customer).await?,
        };
        let workspace = workspace.ok_or_else(|| {
            Error::broken(
                "no workspace is known for this subscription or customer, and the metadata has no `workspace_id`",
            )
        })?;
        if tx.workspaces().lock(workspace).await? {
            Ok(workspace)
        } else {
            Err(Error::broken(format!("the workspace {workspace} does not exist")))
        }
    }
}

impl std::fmt::Debug for Processor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Processor").field("provider", &self.provider.name()).finish_non_exhaustive()
    }
}
