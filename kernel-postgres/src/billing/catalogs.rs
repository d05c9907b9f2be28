//! Repository of applied catalogs.

use async_trait::async_trait;
use saas_kernel::StoreError;
use saas_kernel::access::entitlements::PlanTerms;
use saas_kernel::billing::catalogs::Catalogs;
use sqlx::types::Json;

use crate::catalog::SHARE;
use crate::error::PgResult;
use crate::tx::PgTx;

#[async_trait]
impl Catalogs for PgTx {
    async fn in_force(&mut self) -> Result<Option<PlanTerms>, StoreError> {
        let share = sqlx::query(self.sql(SHARE)).execute(self.conn_for_blocking_statement()).await;
        self.blocking_statement_ended();
        share.store()?;
        // A statement of its own: it sees the catalog that the lock was waited for.
        let newest = "SELECT plans FROM kernel.catalogs ORDER BY number DESC LIMIT 1";
        let plans: Option<Json<PlanTerms>> =
            sqlx::query_scalar(self.sql(newest)).fetch_optional(self.conn()).await.store()?;
        Ok(plans.map(|Json(plans)| plans))
    }
}
