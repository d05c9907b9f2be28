//! Idempotency keys. A key belongs to a call: its first transaction claims it, and a later one may store the response.

use saas_kernel::StoreError;
use saas_kernel::error::Replay;
use saas_kernel::idempotency::{IdempotencyKey, KEEP};
use saas_kernel::response::StoredResponse;
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::PgResult;
use crate::tx::PgTx;

/// An expired key can be claimed again. A concurrent duplicate waits here for the first request to end.
const CLAIM: &str = "
INSERT INTO kernel.idempotency_keys AS k (scope_id, actor_type, actor_id, key, fingerprint, expires_at)
VALUES ($1, $2, $3, $4, $5, now() + $6)
ON CONFLICT (scope_id, actor_type, actor_id, key) DO UPDATE
SET fingerprint = excluded.fingerprint, status = NULL, headers = NULL, body = NULL, expires_at = excluded.expires_at
WHERE k.expires_at <= now()";

const FIND: &str = "
SELECT fingerprint, status, headers, body FROM kernel.idempotency_keys
WHERE scope_id = $1 AND actor_type = $2 AND actor_id = $3 AND key = $4";

const KEEP_RESPONSE: &str = "
UPDATE kernel.idempotency_keys SET status = $5, headers = $6, body = $7
WHERE scope_id = $1 AND actor_type = $2 AND actor_id = $3 AND key = $4";

const FREE: &str = "
UPDATE kernel.idempotency_keys SET expires_at = now()
WHERE scope_id = $1 AND actor_type = $2 AND actor_id = $3 AND key = $4";

/// Fingerprint, status, headers and body; the last three are `NULL` until a response is stored.
type FoundKey = (Vec<u8>, Option<i32>, Option<Json<Vec<(String, String)>>>, Option<Vec<u8>>);

impl PgTx {
    /// The person if the scope has one, otherwise the workspace: a workspace that is being created has a new id in every
    /// request.
    fn idempotency_scope(&self) -> Uuid {
        let scope = self.scope_ref();
        scope
            .person()
            .map(|person| person.uuid())
            .or(scope.workspace().map(|workspace| workspace.uuid()))
            .unwrap_or_default()
    }

    pub(crate) async fn claim_idempotency_key(&mut self) -> Result<(), StoreError> {
        let Some(key) = self.scope_ref().idempotency().cloned() else { return Ok(()) };
        let (scope, actor) = (self.idempotency_scope(), self.scope_ref().actor());
        if self.scope_ref().call().is_some_and(|call| call.has_claimed(scope)) {
            return Ok(()); // by an earlier transaction of this call
        }
        let claimed = sqlx::query(self.sql(CLAIM))
            .bind(scope)
            .bind(actor.kind())
            .bind(actor.uuid())
            .bind(key.key())
            .bind(key.fingerprint().as_slice())
            .bind(KEEP)
            .execute(self.conn_for_blocking_statement())
            .await;
        self.blocking_statement_ended();
        let claimed = claimed.store().map_err(|error| match error {
            StoreError::Locked => StoreError::Replay(Replay::InFlight),
            other => other,
        })?;
        if claimed.rows_affected() == 1 {
            self.claimed = Some(scope);
            return Ok(());
        }
        let (fingerprint, status, headers, body): FoundKey = sqlx::query_as(self.sql(FIND))
            .bind(scope)
            .bind(actor.kind())
            .bind(actor.uuid())
            .bind(key.key())
            .fetch_one(self.conn())
            .await
            .store()?;
        let replay = match (status.and_then(|status| u16::try_from(status).ok()), body) {
            _ if fingerprint != key.fingerprint() => Replay::OtherRequest,
            (Some(status), Some(body)) => {
                let response = StoredResponse::new(status, body);
                let headers = headers.into_iter().flat_map(|Json(headers)| headers);
                let response = headers.fold(response, |response, (name, value)| response.header(&name, &value));
                Replay::Response(Box::new(response))
            }
            _ => Replay::Done,
        };
        Err(StoreError::Replay(replay))
    }

    pub(crate) async fn keep_response(&mut self, response: &StoredResponse) -> Result<(), StoreError> {
        let Some(key) = self.scope_ref().idempotency().cloned() else { return Ok(()) };
        let (scope, actor) = (self.idempotency_scope(), self.scope_ref().actor());
        sqlx::query(self.sql(KEEP_RESPONSE))
            .bind(scope)
            .bind(actor.kind())
            .bind(actor.uuid())
            .bind(key.key())
            .bind(i32::from(response.status))
            .bind(Json(&response.headers))
            .bind(&response.body)
            .execute(self.conn())
            .await
            .store()?;
        Ok(())
    }

    pub(crate) async fn free_key(&mut self, key: &IdempotencyKey) -> Result<(), StoreError> {
        let (scope, actor) = (self.idempotency_scope(), self.scope_ref().actor());
        let free = sqlx::query(self.sql(FREE)).bind(scope).bind(actor.kind()).bind(actor.uuid()).bind(key.key());
        free.execute(self.conn()).await.store().map(drop)
    }
}
