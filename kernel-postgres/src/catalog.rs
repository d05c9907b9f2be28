//! Applies a catalog of plans to the database: gives it a number, and then every workspace the entitlements and caps of its plan,
//! in short transactions that wait for nobody.

mod batches;
#[cfg(all(test, feature = "testing"))]
mod tests;

use std::time::Duration;

use saas_kernel::StoreError;
use saas_kernel::access::catalog::Catalog;
use saas_kernel::access::entitlements::PlanTerms;
use sqlx::PgExecutor;
use sqlx::types::Json;
use tokio::time::{Instant, sleep};

use self::batches::Batches;
use crate::begin::begin;
use crate::error::PgResult;
use crate::system::PgSystem;

/// How long it goes on without success. A request's transaction is ended much sooner by its timeouts.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two attempts at what others hold.
const PAUSE: Duration = Duration::from_millis(100);

/// The timeout is below the one after which Postgres looks for deadlocks, so that this side gives way.
const BEGIN: &str = "BEGIN; SET LOCAL lock_timeout = '500ms'";

/// Until the transaction ends, no other catalog comes into force. The trigger of new workspaces takes the same lock.
pub(crate) const SHARE: &str = "SELECT pg_advisory_xact_lock_shared(hashtext('kernel.catalogs'))";

/// Waits for everybody who writes from the catalog that was in force so far.
const EXCLUDE: &str = "SELECT pg_advisory_xact_lock(hashtext('kernel.catalogs'))";

const STATE: &str = "
SELECT (SELECT max(number) FROM kernel.catalogs), own.number, coalesce(own.finished_at IS NOT NULL, false)
FROM (VALUES (1)) one LEFT JOIN LATERAL
     (SELECT number, finished_at FROM kernel.catalogs WHERE fingerprint = $1 ORDER BY number DESC LIMIT 1) own ON true";

const ANNOUNCE: &str = "INSERT INTO kernel.catalogs (number, fingerprint, plans) VALUES ($1, $2, $3)";

const FINISH: &str = "
UPDATE kernel.catalogs SET finished_at = now()
WHERE number = $1 AND finished_at IS NULL AND NOT EXISTS (SELECT FROM kernel.catalogs WHERE number > $1)";

/// What applying a catalog came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CatalogOutcome {
    /// Every workspace had the entitlements of these plans already.
    Unchanged,
    /// Every workspace has them now.
    Applied {
        /// Number of the catalog, which is in force.
        number: i64,
    },
    /// Another catalog replaced this one, earlier or meanwhile, and stays in force: this process runs with older plans.
    Replaced {
        /// Number of this catalog.
        number: i64,
        /// Number of the catalog that is in force.
        by: i64,
    },
}

impl PgSystem {
    /// Tells the database what the plans are, so that every workspace, also a new one, has the entitlements and the caps of its plan.
    /// Run it at start-up: without it no workspace can be created. Two statements when nothing changed. Requests go on
    /// meanwhile, and replicas can run it at once.
    ///
    /// A catalog gets the next number when it is first seen, and the highest number is in force. One that was replaced is not
    /// applied again: a replica of an older version that restarts during a rolling deploy changes nothing. To return to older
    /// plans, call [`PgSystem::reapply_catalog`].
    ///
    /// # Errors
    /// `Unavailable` if other transactions hold rows for over a minute; what is done stays, and running it again goes on.
    pub async fn sync_catalog(&self, catalog: &Catalog) -> Result<CatalogOutcome, StoreError> {
        Apply::new(self, catalog, PATIENCE).run(false).await
    }

    /// As [`PgSystem::sync_catalog`], but plans that were replaced come into force again, with a new number. For the operator who
    /// returns to an older version; never at start-up.
    ///
    /// # Errors
    /// As [`PgSystem::sync_catalog`].
    pub async fn reapply_catalog(&self, catalog: &Catalog) -> Result<CatalogOutcome, StoreError> {
        Apply::new(self, catalog, PATIENCE).run(true).await
    }
}

struct Apply<'a> {
    system: &'a PgSystem,
    plans: PlanTerms,
    fingerprint: String,
    patience: Duration,
}

/// What the table of catalogs says about one of them.
enum State {
    Finished,
    Unfinished { number: i64 },
    Replaced { number: i64, by: i64 },
    New { newest: i64 },
}

impl<'a> Apply<'a> {
    fn new(system: &'a PgSystem, catalog: &Catalog, patience: Duration) -> Self {
        let plans = PlanTerms::from(catalog);
        Self { system, fingerprint: plans.fingerprint(), plans, patience }
    }

    async fn run(&self, again: bool) -> Result<CatalogOutcome, StoreError> {
        let number = match self.state(self.system.pool(), again).await? {
            State::Finished => return Ok(CatalogOutcome::Unchanged),
            State::Replaced { number, by } => return Ok(replaced(number, by)),
            State::Unfinished { number } => number,
            State::New { .. } => match self.announce(again).await? {
                State::Finished => return Ok(CatalogOutcome::Unchanged),
                State::Replaced { number, by } => return Ok(replaced(number, by)),
                State::Unfinished { number } => number,
                State::New { newest } => newest + 1,
            },
        };
        let batches = Batches { system: self.system, plans: &self.plans, number, patience: self.patience };
        if batches.write_all().await? {
            sqlx::query(self.system.sql(FINISH)).bind(number).execute(self.system.pool()).await.store()?;
        }
        Ok(match self.state(self.system.pool(), false).await? {
            State::Replaced { number, by } => replaced(number, by),
            State::Finished | State::Unfinished { .. } | State::New { .. } => CatalogOutcome::Applied { number },
        })
    }

    /// Gives the catalog the next number, unless another process has done so meanwhile: tells the state before.
    async fn announce(&self, again: bool) -> Result<State, StoreError> {
        let began = Instant::now();
        loop {
            match self.try_announce(again).await {
                // A workspace is being created, or a batch written.
                Err(StoreError::Locked) if began.elapsed() < self.patience => sleep(PAUSE).await,
                Err(StoreError::Locked) => return Err(self.stays_locked()),
                ended => return ended,
            }
        }
    }

    async fn try_announce(&self, again: bool) -> Result<State, StoreError> {
        let mut tx = begin(self.system.pool().acquire().await.store()?, BEGIN.to_owned()).await?;
        sqlx::query(self.system.sql(EXCLUDE)).execute(&mut *tx).await.store()?;
        let state = self.state(&mut *tx, again).await?;
        if let State::New { newest } = state {
            let announce =
                sqlx::query(self.system.sql(ANNOUNCE)).bind(newest + 1).bind(&self.fingerprint).bind(Json(&self.plans));
            announce.execute(&mut *tx).await.store()?;
            tx.commit().await.store()?;
        }
        Ok(state)
    }

    async fn state(&self, by: impl PgExecutor<'_>, again: bool) -> Result<State, StoreError> {
        let state = sqlx::query_as(self.system.sql(STATE)).bind(&self.fingerprint);
        let (newest, own, finished): (Option<i64>, Option<i64>, bool) = state.fetch_one(by).await.store()?;
        Ok(match (newest, own) {
            (Some(newest), Some(number)) if newest == number && finished => State::Finished,
            (Some(newest), Some(number)) if newest == number => State::Unfinished { number },
            (Some(by), Some(number)) if !again => State::Replaced { number, by },
            (newest, _) => State::New { newest: newest.unwrap_or_default() },
        })
    }

    fn stays_locked(&self) -> StoreError {
        let patience = self.patience;
        let text = format!(
            "the plans could not be applied: for {patience:?} other transactions have held the advisory lock of kernel.catalogs, \
             which whoever creates a workspace shares. Look for the oldest xact_start in pg_stat_activity, end it with \
             pg_terminate_backend(pid), and start again"
        );
        StoreError::Unavailable(self.system.names().text(&text).into())
    }
}

fn replaced(number: i64, by: i64) -> CatalogOutcome {
    tracing::warn!(
        number,
        by,
        "the plans of this version were replaced by those of another and are not applied again; if that is not meant, call reapply_catalog"
    );
    CatalogOutcome::Replaced { number, by }
}
