//! Repository of subscriptions.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use saas_kernel::StoreError;
use saas_kernel::billing::subscription::{Status, Subscription, SubscriptionReads, Subscriptions};
use saas_kernel::id::WorkspaceId;
use uuid::Uuid;

use crate::error::PgResult;
use crate::tx::{PgTx, TxMode};

#[derive(sqlx::FromRow)]
struct SubscriptionRow {
    workspace_id: Uuid,
    id: Uuid,
    provider: String,
    provider_subscription: String,
    provider_customer: String,
    status: String,
    plan: String,
    quantity: i64,
    period_start: DateTime<Utc>,
    period_end: DateTime<Utc>,
    cancel_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    as_of: DateTime<Utc>,
}

impl From<SubscriptionRow> for Subscription {
    fn from(row: SubscriptionRow) -> Self {
        Self {
            id: row.id.into(),
            workspace: row.workspace_id.into(),
            provider: row.provider,
            provider_subscription: row.provider_subscription,
            provider_customer: row.provider_customer,
            status: Status::parse(&row.status),
            plan: row.plan,
            quantity: u64::try_from(row.quantity).unwrap_or_default(),
            period: (row.period_start, row.period_end),
            cancel_at: row.cancel_at,
            ended_at: row.ended_at,
            as_of: row.as_of,
        }
    }
}

const OF_WORKSPACE: &str = "
SELECT workspace_id, id, provider, provider_subscription, provider_customer, status, plan, quantity, period_start, period_end,
       cancel_at, ended_at, as_of
FROM kernel.subscriptions WHERE workspace_id = $1 ORDER BY id";

const WORKSPACE_OF: &str = "
SELECT workspace_id FROM kernel.subscriptions WHERE provider = $1 AND provider_subscription = $2 LIMIT 1";

const WORKSPACE_OF_CUSTOMER: &str = "
SELECT workspace_id FROM kernel.subscriptions WHERE provider = $1 AND provider_customer = $2
ORDER BY created_at DESC LIMIT 1";

const SAVE: &str = "
INSERT INTO kernel.subscriptions (workspace_id, id, provider, provider_subscription, provider_customer, status, plan, quantity,
                                  period_start, period_end, cancel_at, ended_at, as_of)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (workspace_id, provider, provider_subscription) DO UPDATE SET
    provider_customer = excluded.provider_customer, status = excluded.status, plan = excluded.plan, quantity = excluded.quantity,
    period_start = excluded.period_start, period_end = excluded.period_end, cancel_at = excluded.cancel_at,
    ended_at = excluded.ended_at, as_of = excluded.as_of, updated_at = now()";

#[async_trait]
impl<M: TxMode> SubscriptionReads for PgTx<M> {
    async fn workspace_of(&mut self, provider: &str, subscription: &str) -> Result<Option<WorkspaceId>, StoreError> {
        let query = sqlx::query_scalar::<_, Uuid>(self.sql(WORKSPACE_OF)).bind(provider).bind(subscription);
        Ok(query.fetch_optional(self.connection()).await.store()?.map(WorkspaceId::from))
    }

    async fn workspace_of_customer(
        &mut self,
        provider: &str,
        customer: &str,
    ) -> Result<Option<WorkspaceId>, StoreError> {
        let query = sqlx::query_scalar::<_, Uuid>(self.sql(WORKSPACE_OF_CUSTOMER)).bind(provider).bind(customer);
        Ok(query.fetch_optional(self.connection()).await.store()?.map(WorkspaceId::from))
    }

    async fn of_workspace(&mut self, workspace: WorkspaceId) -> Result<Vec<Subscription>, StoreError> {
        let rows: Vec<SubscriptionRow> =
            sqlx::query_as(self.sql(OF_WORKSPACE)).bind(workspace.uuid()).fetch_all(self.connection()).await.store()?;
        Ok(rows.into_iter().map(Subscription::from).collect())
    }
}

#[async_trait]
impl Subscriptions for PgTx {
    async fn save(&mut self, subscription: &Subscription) -> Result<(), StoreError> {
        sqlx::query(self.sql(SAVE))
            .bind(subscription.workspace.uuid())
            .bind(subscription.id.uuid())
            .bind(&subscription.provider)
            .bind(&subscription.provider_subscription)
            .bind(&subscription.provider_customer)
            .bind(subscription.status.as_str())
            .bind(&subscription.plan)
            .bind(i64::try_from(subscription.quantity).map_err(StoreError::backend)?)
            .bind(subscription.period.0)
            .bind(subscription.period.1)
            .bind(subscription.cancel_at)
            .bind(subscription.ended_at)
            .bind(subscription.as_of)
            .execute(self.conn())
            .await
            .store()?;
        Ok(())
    }
}
