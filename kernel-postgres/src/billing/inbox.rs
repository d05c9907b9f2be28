//! The webhook inbox.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use saas_kernel::StoreError;
use saas_kernel::billing::inbox::{ClaimedEvent, Inbox, Outcome};
use saas_kernel::billing::provider::ProviderEvent;
use serde_json::Value;

use crate::error::PgResult;
use crate::tx::PgTx;

#[derive(sqlx::FromRow)]
struct EventRow {
    provider: String,
    event_id: String,
    kind: String,
    event_created: DateTime<Utc>,
    payload: Value,
    attempts: i32,
}

impl From<EventRow> for ClaimedEvent {
    fn from(row: EventRow) -> Self {
        Self {
            provider: row.provider,
            event_id: row.event_id,
            kind: row.kind,
            created_at: row.event_created,
            payload: row.payload,
            attempt: row.attempts,
        }
    }
}

const RECEIVE: &str = "
INSERT INTO kernel.webhook_inbox (provider, event_id, event_created, kind, payload, received_at, due_at)
VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT (provider, event_id, event_created) DO NOTHING";

/// Due covers the new, the failed whose time has come, and those of a processor whose lease ended. The fence keeps the lock
/// to the rows that are taken.
const CLAIM: &str = "
WITH due AS MATERIALIZED (
    SELECT provider, event_id, event_created FROM kernel.webhook_inbox
    WHERE due_at <= $1 ORDER BY due_at, event_created LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE kernel.webhook_inbox i SET state = 'PROCESSING', attempts = attempts + 1, due_at = $3
FROM due WHERE (i.provider, i.event_id, i.event_created) = (due.provider, due.event_id, due.event_created)
RETURNING i.provider, i.event_id, i.kind, i.event_created, i.payload, i.attempts";

const FINISH: &str = "
UPDATE kernel.webhook_inbox SET state = $5, error = $6, due_at = $7, finished_at = $8
WHERE provider = $1 AND event_id = $2 AND event_created = $3 AND state = 'PROCESSING' AND attempts = $4";

#[async_trait]
impl Inbox for PgTx {
    async fn receive(&mut self, provider: &str, event: &ProviderEvent, at: DateTime<Utc>) -> Result<bool, StoreError> {
        let inserted = sqlx::query(RECEIVE)
            .bind(provider)
            .bind(&event.id)
            .bind(event.created_at)
            .bind(&event.kind)
            .bind(&event.payload)
            .bind(at)
            .execute(self.conn())
            .await
            .store()?;
        Ok(inserted.rows_affected() == 1)
    }

    async fn claim(
        &mut self,
        n: u32,
        now: DateTime<Utc>,
        lease: DateTime<Utc>,
    ) -> Result<Vec<ClaimedEvent>, StoreError> {
        let mut rows: Vec<EventRow> =
            sqlx::query_as(CLAIM).bind(now).bind(i64::from(n)).bind(lease).fetch_all(self.conn()).await.store()?;
        rows.sort_by_key(|row| row.event_created);
        Ok(rows.into_iter().map(ClaimedEvent::from).collect())
    }

    async fn finish(&mut self, event: &ClaimedEvent, outcome: &Outcome, at: DateTime<Utc>) -> Result<bool, StoreError> {
        let (state, error, due) = match outcome {
            Outcome::Processed => ("PROCESSED", None, None),
            Outcome::Failed { error, retry_at } => ("FAILED", Some(error.as_str()), *retry_at),
        };
        let finished = sqlx::query(FINISH)
            .bind(&event.provider)
            .bind(&event.event_id)
            .bind(event.created_at)
            .bind(event.attempt)
            .bind(state)
            .bind(error)
            .bind(due)
            .bind(at)
            .execute(self.conn())
            .await
            .store()?;
        Ok(finished.rows_affected() == 1)
    }
}
