//! What one event changes, in one transaction that also marks it as processed.

use super::{PART, Processor};
use crate::audit::AuditEntry;
use crate::base::actor::Actor;
use crate::base::ctx::Ctx;
use crate::base::error::Error;
use crate::base::id::WorkspaceId;
use crate::billing::entitlements::set_plan;
use crate::billing::inbox::{ClaimedEvent, Outcome};
use crate::billing::names::{action, subject};
use crate::billing::provider::BillingFact;
use crate::billing::subscription::{Change, Reduced, SubscriptionFact, effective, reduce};
use crate::events::OutboxEvent;
use crate::store::Tx;

impl Processor {
    /// Does nothing if the event was taken over meanwhile.
    pub(super) async fn apply(&self, event: &ClaimedEvent) -> Result<(), Error> {
        let fact = self.provider.read(&event.kind, &event.payload).map_err(Error::broken)?;
        let mut tx = self.system.begin(PART).await?;
        let now = self.clock.now();
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
        let reduced =
            reduce(current, fact, workspace, provider, &self.catalog, self.clock.now()).map_err(Error::broken)?;
        let Reduced::Changed(next) = reduced else { return Ok(()) };
        let what = match (current, change) {
            (_, Change::Ended) => action::SUBSCRIPTION_CANCELLED,
            (None, Change::Began | Change::Changed) => action::SUBSCRIPTION_CREATED,
            (Some(_), Change::Began | Change::Changed) => action::SUBSCRIPTION_UPDATED,
        };
        tx.subscriptions().save(&next).await?;
        let after: Vec<_> = all.iter().filter(|s| s.id != next.id).cloned().chain([(*next).clone()]).collect();
        let (key, access) = effective(&after);
        let ctx = Ctx::at(self.clock.now());
        let entitlements = set_plan(tx, workspace, key, access, ctx.now).await?;
        let meta = serde_json::json!({
            "plan": entitlements.plan(), "access": access.as_str(), "status": next.status.as_str(), "event": event.event_id,
        });
        let actor = Actor::System(provider);
        let entry = AuditEntry::new(&ctx, actor, workspace, what).target("subscription", next.id);
        tx.records().audit(entry.meta(meta.clone()));
        tx.records().event(OutboxEvent::new(&ctx, actor, workspace, subject::SUBSCRIPTION_CHANGED, meta));
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
