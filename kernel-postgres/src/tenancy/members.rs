//! Memberships.

use async_trait::async_trait;
use saas_kernel::StoreError;
use saas_kernel::tenancy::members::{Members, NewMembership};

use crate::error::PgResult;
use crate::tx::PgTx;

#[async_trait]
impl Members for PgTx {
    async fn insert(&mut self, membership: &NewMembership<'_>) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO kernel.memberships (workspace_id, user_id, role, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)",
        )
        .bind(membership.workspace.uuid())
        .bind(membership.user.uuid())
        .bind(membership.role)
        .bind(membership.at)
        .execute(self.conn())
        .await
        .store()?;
        Ok(())
    }
}
