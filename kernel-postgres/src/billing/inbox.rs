//! The webhook inbox.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use saas_kernel::StoreError;
use saas_kernel::billing::inbox::{Claim, ClaimedEvent, DeadLetter, Inbox, MAX_ATTEMPTS, Outcome, abandoned_error};
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
    error: Option<String>,
    dead: bool,
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

/// Due covers the new, the failed whose time has come, and the abandoned. The fence keeps the lock to the first rows of the
/// queue; of them the first is taken, and the others up to the first abandoned one. The constant limit tells the planner that
/// they are few: a generic plan, which does not know $3, would read the whole table to join them.
const CLAIM: &str = "
WITH due AS MATERIALIZED (
    SELECT provider, event_id, event_created, due_at, state = 'PROCESSING' AS abandoned,
           state = 'PROCESSING' AND attempts >= $5 AS dead
    FROM kernel.webhook_inbox
    WHERE provider = $1 AND due_at <= $2 ORDER BY due_at, event_created LIMIT $3 FOR UPDATE SKIP LOCKED
), queue AS (
    SELECT *, row_number() OVER so_far AS place, bool_or(abandoned) OVER so_far AS abandoned_so_far
    FROM due WINDOW so_far AS (ORDER BY due_at, event_created ROWS UNBOUNDED PRECEDING) ORDER BY place LIMIT 100
)
UPDATE kernel.webhook_inbox i SET
    state = CASE WHEN dead THEN 'FAILED' ELSE 'PROCESSING' END,
    attempts = CASE WHEN dead THEN attempts ELSE attempts + 1 END,
    due_at = CASE WHEN dead THEN NULL ELSE $4::timestamptz END,
    finished_at = CASE WHEN dead THEN $2 ELSE finished_at END
FROM queue q
WHERE (i.provider, i.event_id, i.event_created) = (q.provider, q.event_id, q.event_created)
    AND (place = 1 OR NOT abandoned_so_far)
RETURNING i.provider, i.event_id, i.kind, i.event_created, i.payload, i.attempts, i.error, dead";

const EXPLAIN_DEATH: &str = "
UPDATE kernel.webhook_inbox SET error = $4 WHERE provider = $1 AND event_id = $2 AND event_created = $3";

/// A row that is locked is passed over and still held: its own transaction decides about it, and until then nobody claims it.
const HEARTBEAT: &str = "
WITH held AS MATERIALIZED (
    SELECT c.* FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::int[])
        WITH ORDINALITY AS c (provider, event_id, event_created, attempts, place)
    JOIN kernel.webhook_inbox i USING (provider, event_id, event_created, attempts) WHERE i.state = 'PROCESSING'
), free AS MATERIALIZED (
    SELECT i.provider, i.event_id, i.event_created FROM held
    JOIN kernel.webhook_inbox i USING (provider, event_id, event_created, attempts) WHERE i.state = 'PROCESSING'
    FOR UPDATE OF i SKIP LOCKED
), extended AS (
    UPDATE kernel.webhook_inbox i SET due_at = $5
    FROM free f WHERE (i.provider, i.event_id, i.event_created) = (f.provider, f.event_id, f.event_created)
)
SELECT place FROM held";

const RELEASE: &str = "
WITH held AS MATERIALIZED (
    SELECT i.provider, i.event_id, i.event_created FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::int[])
        AS c (provider, event_id, event_created, attempts)
    JOIN kernel.webhook_inbox i USING (provider, event_id, event_created, attempts) WHERE i.state = 'PROCESSING'
    FOR UPDATE OF i SKIP LOCKED
)
UPDATE kernel.webhook_inbox i SET
    state = CASE WHEN error IS NULL THEN 'RECEIVED' ELSE 'FAILED' END, attempts = attempts - 1, due_at = $5
FROM held h WHERE (i.provider, i.event_id, i.event_created) = (h.provider, h.event_id, h.event_created)";

const FINISH: &str = "
UPDATE kernel.webhook_inbox SET state = $5, error = $6, due_at = $7, finished_at = $8
WHERE provider = $1 AND event_id = $2 AND event_created = $3 AND state = 'PROCESSING' AND attempts = $4";

/// The events that processors hold, as arrays: what a claim is proven with.
struct Held<'a> {
    providers: Vec<&'a str>,
    event_ids: Vec<&'a str>,
    created: Vec<DateTime<Utc>>,
    attempts: Vec<i32>,
}

impl<'a> Held<'a> {
    fn new(events: &[&'a ClaimedEvent]) -> Self {
        Self {
            providers: events.iter().map(|event| event.provider.as_str()).collect(),
            event_ids: events.iter().map(|event| event.event_id.as_str()).collect(),
            created: events.iter().map(|event| event.created_at).collect(),
            attempts: events.iter().map(|event| event.attempt).collect(),
        }
    }
}

#[async_trait]
impl Inbox for PgTx {
    async fn receive(&mut self, provider: &str, event: &ProviderEvent, at: DateTime<Utc>) -> Result<bool, StoreError> {
        let inserted = sqlx::query(self.sql(RECEIVE))
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
        provider: &str,
        n: u32,
        now: DateTime<Utc>,
        lease: DateTime<Utc>,
    ) -> Result<Claim, StoreError> {
        let rows: Vec<EventRow> = sqlx::query_as(self.sql(CLAIM))
            .bind(provider)
            .bind(now)
            .bind(i64::from(n))
            .bind(lease)
            .bind(MAX_ATTEMPTS)
            .fetch_all(self.conn())
            .await
            .store()?;
        let (dead, mut live): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.dead);
        live.sort_by_key(|row| row.event_created);
        let mut claim = Claim { events: live.into_iter().map(ClaimedEvent::from).collect(), dead_letters: Vec::new() };
        for row in dead {
            let error = abandoned_error(row.error.as_deref());
            sqlx::query(self.sql(EXPLAIN_DEATH))
                .bind(&row.provider)
                .bind(&row.event_id)
                .bind(row.event_created)
                .bind(&error)
                .execute(self.conn())
                .await
                .store()?;
            let EventRow { provider, event_id, kind, attempts, .. } = row;
            claim.dead_letters.push(DeadLetter { provider, event_id, kind, attempts, error });
        }
        Ok(claim)
    }

    async fn heartbeat(&mut self, events: &[&ClaimedEvent], lease: DateTime<Utc>) -> Result<Vec<bool>, StoreError> {
        let held = Held::new(events);
        let places: Vec<i64> = sqlx::query_scalar(self.sql(HEARTBEAT))
            .bind(held.providers)
            .bind(held.event_ids)
            .bind(held.created)
            .bind(held.attempts)
            .bind(lease)
            .fetch_all(self.conn())
            .await
            .store()?;
        Ok((1..).take(events.len()).map(|place| places.contains(&place)).collect())
    }

    async fn release(&mut self, events: &[&ClaimedEvent], at: DateTime<Utc>) -> Result<(), StoreError> {
        let held = Held::new(events);
        sqlx::query(self.sql(RELEASE))
            .bind(held.providers)
            .bind(held.event_ids)
            .bind(held.created)
            .bind(held.attempts)
            .bind(at)
            .execute(self.conn())
            .await
            .store()?;
        Ok(())
    }

    async fn finish(&mut self, event: &ClaimedEvent, outcome: &Outcome, at: DateTime<Utc>) -> Result<bool, StoreError> {
        let (state, error, due) = match outcome {
            Outcome::Processed => ("PROCESSED", None, None),
            Outcome::Failed { error, retry_at } => ("FAILED", Some(error.as_str()), *retry_at),
        };
        let finished = sqlx::query(self.sql(FINISH))
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
