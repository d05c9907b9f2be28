//! The system of record that the contracts run on, and that memory is compared with.

use saas_kernel::conformance::{self, Backend, Fresh};
use saas_kernel::id::RequestId;
use saas_kernel::{BoxError, StoreError, Tx};
use saas_kernel_postgres::{PgResult, PgStore, PgSystem, PgTx};

use crate::test_db;

/// The reference app's own set-up: a database each, with the product's table.
pub struct Postgres;

#[async_trait::async_trait(?Send)]
impl Backend for Postgres {
    type Store = PgStore;
    type System = PgSystem;

    async fn fresh(&self) -> Result<Fresh<PgStore, PgSystem>, BoxError> {
        let db = test_db().await?;
        Ok(Fresh { store: db.store().await?, system: db.system().await?, keep: Box::new(db) })
    }

    async fn insert_row(&self, tx: &mut dyn Tx) -> Result<(), StoreError> {
        let workspace = conformance::workspace_of(tx)?;
        let id = RequestId::generate(std::time::SystemTime::UNIX_EPOCH.into());
        sqlx::query(
            "INSERT INTO tracker.projects (workspace_id, id, name, created_by_type, created_by_id, created_at, updated_at)
             VALUES ($1, $2, 'Row', 'user', $2, now(), now())",
        )
        .bind(workspace.uuid())
        .bind(id.uuid())
        .execute(PgTx::of(tx)?.conn())
        .await
        .store()?;
        Ok(())
    }

    async fn delete_row(&self, tx: &mut dyn Tx) -> Result<(), StoreError> {
        let workspace = conformance::workspace_of(tx)?;
        sqlx::query(
            "DELETE FROM tracker.projects WHERE (workspace_id, id) IN
                (SELECT workspace_id, id FROM tracker.projects WHERE workspace_id = $1 LIMIT 1)",
        )
        .bind(workspace.uuid())
        .execute(PgTx::of(tx)?.conn())
        .await
        .store()?;
        Ok(())
    }
}
