//! Repository of accounts.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use saas_kernel::StoreError;
use saas_kernel::id::UserId;
use saas_kernel::identity::users::{NewUser, User, UserReads, Users};
use uuid::Uuid;

use crate::error::PgResult;
use crate::tx::{PgTx, TxMode};

#[derive(sqlx::FromRow)]
struct UserRow {
    id: Uuid,
    email: String,
    name: String,
    email_verified_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        Self {
            id: row.id.into(),
            email: row.email,
            name: row.name,
            email_verified_at: row.email_verified_at,
            created_at: row.created_at,
        }
    }
}

#[async_trait]
impl<M: TxMode> UserReads for PgTx<M> {
    async fn find(&mut self, id: UserId) -> Result<Option<User>, StoreError> {
        let row: Option<UserRow> = sqlx::query_as(
            self.sql("SELECT id, email, name, email_verified_at, created_at FROM kernel.users WHERE id = $1"),
        )
        .bind(id.uuid())
        .fetch_optional(self.connection())
        .await
        .store()?;
        Ok(row.map(User::from))
    }
}

#[async_trait]
impl Users for PgTx {
    async fn insert(&mut self, user: &NewUser<'_>) -> Result<bool, StoreError> {
        let inserted = sqlx::query(self.sql(
            "INSERT INTO kernel.users (id, email, email_lower, name, password_hash, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT (email_lower) DO NOTHING",
        ))
        .bind(user.id.uuid())
        .bind(user.email.as_str())
        .bind(user.email.lower())
        .bind(user.name.as_str())
        .bind(user.password.expose())
        .bind(user.at)
        .execute(self.conn())
        .await
        .store()?;
        Ok(inserted.rows_affected() == 1)
    }
}
