//! Repository of sessions.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use saas_kernel::StoreError;
use saas_kernel::id::{SessionId, UserId};
use saas_kernel::identity::sessions::{NewSession, SessionLife, Sessions};
use saas_kernel::secret::TokenHash;
use uuid::Uuid;

use crate::error::PgResult;
use crate::tx::PgTx;

#[async_trait]
impl Sessions for PgTx {
    async fn insert(&mut self, session: &NewSession) -> Result<(), StoreError> {
        sqlx::query(self.sql(
            "INSERT INTO kernel.sessions (id, user_id, token_hash, created_at, seen_at, expires_at, ip, user_agent)
             VALUES ($1, $2, $3, $4, $4, $5, $6, $7)",
        ))
        .bind(session.id.uuid())
        .bind(session.user.uuid())
        .bind(session.token.0.as_slice())
        .bind(session.created_at)
        .bind(session.expires_at)
        .bind(session.ip.map(|ip| ip.to_string()))
        .bind(session.user_agent.as_deref())
        .execute(self.conn())
        .await
        .store()?;
        Ok(())
    }

    async fn delete_by_token(&mut self, token: &TokenHash) -> Result<bool, StoreError> {
        let end = sqlx::query_scalar(self.sql("SELECT kernel.end_session($1)")).bind(token.0.as_slice());
        let ended = end.fetch_one(self.conn_for_blocking_statement()).await;
        self.blocking_statement_ended();
        let ended: Option<Uuid> = ended.store()?;
        if let Some(session) = ended {
            self.mark_standing_changed(session);
        }
        Ok(ended.is_some())
    }

    async fn touch(
        &mut self,
        user: UserId,
        id: SessionId,
        now: DateTime<Utc>,
        life: SessionLife,
    ) -> Result<(), StoreError> {
        sqlx::query(self.sql(
            "UPDATE kernel.sessions SET seen_at = $3, expires_at = greatest(expires_at, least($4, created_at + $5))
             WHERE user_id = $1 AND id = $2 AND seen_at < $3 AND expires_at > $3",
        ))
        .bind(user.uuid())
        .bind(id.uuid())
        .bind(now)
        .bind(now + life.idle)
        .bind(life.absolute)
        .execute(self.conn())
        .await
        .store()?;
        Ok(())
    }
}
