//! Subscriptions.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::billing::subscription::{Subscription, Subscriptions};
use crate::id::WorkspaceId;
use crate::memory::store::micros;
use crate::memory::tx::MemoryTx;
use crate::store::StoreError;

#[derive(Clone)]
pub(crate) struct SubscriptionRow {
    subscription: Subscription,
    created_at: DateTime<Utc>,
}

impl MemoryTx {
    fn subscriptions_seen(&self) -> impl Iterator<Item = &SubscriptionRow> {
        self.state.subscriptions.values().filter(|row| self.in_workspace(row.subscription.workspace))
    }
}

#[async_trait]
impl Subscriptions for MemoryTx {
    async fn workspace_of(&mut self, provider: &str, subscription: &str) -> Result<Option<WorkspaceId>, StoreError> {
        self.alive()?;
        let mut rows = self.subscriptions_seen().map(|row| &row.subscription);
        let found = rows.find(|s| s.provider == provider && s.provider_subscription == subscription);
        Ok(found.map(|s| s.workspace))
    }

    async fn workspace_of_customer(
        &mut self,
        provider: &str,
        customer: &str,
    ) -> Result<Option<WorkspaceId>, StoreError> {
        self.alive()?;
        let of_customer = self
            .subscriptions_seen()
            .filter(|row| row.subscription.provider == provider && row.subscription.provider_customer == customer);
        Ok(of_customer.max_by_key(|row| row.created_at).map(|row| row.subscription.workspace))
    }

    async fn of_workspace(&mut self, workspace: WorkspaceId) -> Result<Vec<Subscription>, StoreError> {
        self.alive()?;
        let rows = self.subscriptions_seen().map(|row| &row.subscription);
        Ok(rows.filter(|s| s.workspace == workspace).cloned().collect())
    }

    async fn save(&mut self, new: &Subscription) -> Result<(), StoreError> {
        self.alive()?;
        if i64::try_from(new.quantity).is_err() {
            return Err(StoreError::backend("subscriptions: the quantity is too large"));
        }
        self.may_write("subscriptions", self.is_system())?;
        let of_provider = |s: &Subscription| {
            s.workspace == new.workspace
                && s.provider == new.provider
                && s.provider_subscription == new.provider_subscription
        };
        let known = self.state.subscriptions.values().find(|row| of_provider(&row.subscription)).cloned();
        // What a provider's id stands for keeps its own id, whatever the new one says.
        let (id, created_at) = match &known {
            Some(row) => (row.subscription.id, row.created_at),
            None => (new.id, self.now),
        };
        let key = (new.workspace, id);
        self.unique("subscriptions_pkey", known.is_some() || !self.state.subscriptions.contains_key(&key))?;
        self.refers("subscriptions", self.state.workspaces.contains_key(&new.workspace))?;
        let subscription = Subscription {
            id,
            period: (micros(new.period.0), micros(new.period.1)),
            cancel_at: new.cancel_at.map(micros),
            ended_at: new.ended_at.map(micros),
            as_of: micros(new.as_of),
            ..new.clone()
        };
        Arc::make_mut(&mut self.state.subscriptions).insert(key, SubscriptionRow { subscription, created_at });
        Ok(())
    }
}
