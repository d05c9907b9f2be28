//! Writes the caps of the plans into every workspace's counters, in short transactions that wait for nobody.

use std::time::Duration;

use saas_kernel::StoreError;
use saas_kernel::access::catalog::Catalog;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgExecutor, PgPool, Postgres, Row};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::begin::begin;
use crate::error::PgResult;
use crate::system::PgSystem;

/// Workspaces of one transaction: no reservation waits for more, some tens of milliseconds.
const BATCH: usize = 200;
/// Between two passes over the workspaces whose rows others hold.
const PAUSE: Duration = Duration::from_millis(100);
/// How long the passes may go on without success. A request's transaction is ended much sooner by its timeouts.
const PATIENCE: Duration = Duration::from_secs(60);

/// The timeout is below the one after which Postgres looks for deadlocks, so that this side gives way. Only [`INSERT`] and
/// [`UPDATE_IN_TURN`] wait at all.
const BEGIN: &str = "BEGIN; SET LOCAL lock_timeout = '500ms'";

impl PgSystem {
    /// Tells the database what the plans allow, so that every workspace's caps are those of its plan. Run it when the
    /// configuration may have changed: at start-up. One statement when nothing did, `false` then. Requests go on meanwhile,
    /// and replicas can run it at once; if they have different plans, the last one to begin decides.
    ///
    /// # Errors
    /// `Unavailable` if other transactions hold rows for over a minute; what is done stays, and running it again goes on.
    pub async fn sync_catalog(&self, catalog: &Catalog) -> Result<bool, StoreError> {
        CatalogSync::new(self.pool(), catalog, PATIENCE).run().await
    }
}

const STORED: &str = "SELECT value FROM kernel.settings WHERE key = 'limits'";

/// From here on no batch of other plans is written, and those written before no longer count.
const ANNOUNCE: &str = "
INSERT INTO kernel.settings (key, value) VALUES ('limits', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value";

const IS_CURRENT: &str = "SELECT value = $1 FROM kernel.settings WHERE key = 'limits' FOR SHARE";

const FINISH: &str = "UPDATE kernel.settings SET value = $2 WHERE key = 'limits' AND value = $1";

const NEXT: &str = "SELECT id FROM kernel.workspaces WHERE id > $1 ORDER BY id LIMIT $2";

const PLANS: &str = "SELECT id, plan FROM kernel.workspaces WHERE id = ANY($1)";

/// A workspace whose plan is changed at this moment is left for later; the others' plans stay until the commit.
const LOCK: &str = "SELECT id, plan FROM kernel.workspaces WHERE id = ANY($1) ORDER BY id FOR SHARE SKIP LOCKED";

const DIFFERING: &str = "
SELECT DISTINCT w.workspace_id
FROM unnest($1::uuid[], $2::text[], $3::bigint[]) w(workspace_id, key, cap) LEFT JOIN kernel.usage u USING (workspace_id, key)
WHERE u.key IS NULL OR u.cap IS DISTINCT FROM w.cap";

/// Before the update: it waits where another replica inserts the same, and so holds no counter that requests know.
const INSERT: &str = "
INSERT INTO kernel.usage (workspace_id, key, cap)
SELECT w.workspace_id, w.key, w.cap
FROM unnest($1::uuid[], $2::text[], $3::bigint[]) w(workspace_id, key, cap) LEFT JOIN kernel.usage u USING (workspace_id, key)
WHERE u.key IS NULL ORDER BY w.workspace_id, w.key
ON CONFLICT (workspace_id, key) DO NOTHING";

const UPDATE: &str = "
WITH free AS MATERIALIZED (
    SELECT u.workspace_id, u.key, w.cap
    FROM unnest($1::uuid[], $2::text[], $3::bigint[]) w(workspace_id, key, cap) JOIN kernel.usage u USING (workspace_id, key)
    WHERE u.cap IS DISTINCT FROM w.cap FOR NO KEY UPDATE OF u SKIP LOCKED
)
UPDATE kernel.usage u SET cap = free.cap FROM free WHERE u.workspace_id = free.workspace_id AND u.key = free.key";

/// One counter, once it is free: one that requests always wait for is hardly ever found free by chance.
const UPDATE_IN_TURN: &str = "
WITH next AS MATERIALIZED (
    SELECT u.workspace_id, u.key, w.cap
    FROM unnest($1::uuid[], $2::text[], $3::bigint[]) w(workspace_id, key, cap) JOIN kernel.usage u USING (workspace_id, key)
    WHERE u.cap IS DISTINCT FROM w.cap ORDER BY u.workspace_id, u.key LIMIT 1 FOR NO KEY UPDATE OF u
)
UPDATE kernel.usage u SET cap = next.cap FROM next WHERE u.workspace_id = next.workspace_id AND u.key = next.key";

struct CatalogSync<'a> {
    pool: &'a PgPool,
    catalog: &'a Catalog,
    patience: Duration,
    /// What the setting `limits` says when all caps are those of the catalog, and until then.
    done: String,
    running: String,
}

impl<'a> CatalogSync<'a> {
    fn new(pool: &'a PgPool, catalog: &'a Catalog, patience: Duration) -> Self {
        let done = catalog.limits_fingerprint();
        let running = format!("being written: {done}");
        Self { pool, catalog, patience, done, running }
    }

    async fn run(&self) -> Result<bool, StoreError> {
        let stored: Option<String> = sqlx::query_scalar(STORED).fetch_optional(self.pool).await.store()?;
        if stored.as_ref() == Some(&self.done) {
            return Ok(false);
        }
        sqlx::query(ANNOUNCE).bind(&self.running).execute(self.pool).await.store()?;
        if let Some(left) = self.first_pass().await?
            && self.further_passes(left).await?
        {
            sqlx::query(FINISH).bind(&self.running).bind(&self.done).execute(self.pool).await.store()?;
        }
        Ok(true)
    }

    /// Goes through all workspaces and gives those that have to be tried again; `None` if another process took over.
    async fn first_pass(&self) -> Result<Option<Vec<Uuid>>, StoreError> {
        let (mut left, mut after) = (Vec::new(), Uuid::nil());
        loop {
            let next = sqlx::query_scalar(NEXT).bind(after).bind(i64::try_from(BATCH).unwrap_or(i64::MAX));
            let batch: Vec<Uuid> = next.fetch_all(self.pool).await.store()?;
            let Some(last) = batch.last() else { return Ok(Some(left)) };
            after = *last;
            let Some(locked) = self.batch(&batch, UPDATE).await? else { return Ok(None) };
            left.extend(locked);
        }
    }

    /// Tries those that are left until none is; `false` if another process took over.
    async fn further_passes(&self, mut left: Vec<Uuid>) -> Result<bool, StoreError> {
        let mut progress = Instant::now();
        while let Some(first) = left.first() {
            if self.batch(&[*first], UPDATE_IN_TURN).await?.is_none() {
                return Ok(false);
            }
            sleep(PAUSE).await;
            let mut still = Vec::new();
            for batch in left.chunks(BATCH) {
                let Some(locked) = self.batch(batch, UPDATE).await? else { return Ok(false) };
                still.extend(locked);
            }
            if still.len() < left.len() {
                progress = Instant::now();
            } else if progress.elapsed() >= self.patience {
                return Err(self.stays_locked(&still));
            }
            left = still;
            let turn = left.len().min(1);
            left.rotate_left(turn);
        }
        Ok(true)
    }

    /// Writes the caps of these workspaces where nobody else holds the rows, and gives the workspaces that still lack some.
    /// `None` if another process has written all of them or writes those of other plans.
    async fn batch(&self, workspaces: &[Uuid], update: &'static str) -> Result<Option<Vec<Uuid>>, StoreError> {
        match self.write(workspaces, update).await {
            Err(StoreError::Locked | StoreError::Serialization) => Ok(Some(workspaces.to_vec())),
            other => other,
        }
    }

    async fn write(&self, workspaces: &[Uuid], update: &'static str) -> Result<Option<Vec<Uuid>>, StoreError> {
        let mut tx = begin(self.pool.acquire().await.store()?, BEGIN.to_owned()).await?;
        let current = sqlx::query_scalar(IS_CURRENT).bind(&self.running).fetch_optional(&mut *tx).await.store()?;
        if current != Some(true) {
            tracing::info!("another process took over writing the plans' caps");
            return Ok(None);
        }
        let plans = sqlx::query_as(PLANS).bind(workspaces).fetch_all(&mut *tx).await.store()?;
        let differing = self.caps(plans).differing(&mut *tx).await?;
        if differing.is_empty() {
            return Ok(Some(differing));
        }
        let held: Vec<(Uuid, Option<String>)> =
            sqlx::query_as(LOCK).bind(&differing).fetch_all(&mut *tx).await.store()?;
        let skipped = differing.into_iter().filter(|id| held.iter().all(|(held, _)| held != id));
        let mut left: Vec<Uuid> = skipped.collect();
        let caps = self.caps(held);
        caps.bind(INSERT).execute(&mut *tx).await.store()?;
        caps.bind(update).execute(&mut *tx).await.store()?;
        tx.commit().await.store()?;
        left.extend(caps.differing(self.pool).await?);
        Ok(Some(left))
    }

    fn caps(&self, plans: Vec<(Uuid, Option<String>)>) -> Caps<'a> {
        let mut caps = Caps { workspaces: Vec::new(), keys: Vec::new(), caps: Vec::new() };
        for (workspace, plan) in plans {
            for (key, cap) in &self.catalog.plan_of(plan.as_deref()).limits {
                caps.workspaces.push(workspace);
                caps.keys.push(key);
                caps.caps.push(cap.stored());
            }
        }
        caps
    }

    fn stays_locked(&self, left: &[Uuid]) -> StoreError {
        let some = left.iter().take(3).map(Uuid::to_string).collect::<Vec<_>>().join(", ");
        StoreError::Unavailable(
            format!(
                "the caps of {} workspaces are not those of their plans yet, {some} among them: for {:?} other transactions \
                 have held their rows in kernel.usage or kernel.workspaces. Look for the oldest xact_start in \
                 pg_stat_activity, end it with pg_terminate_backend(pid), and start again",
                left.len(),
                self.patience
            )
            .into(),
        )
    }
}

/// What counters are to allow: workspace, key and cap of each, in three columns.
struct Caps<'a> {
    workspaces: Vec<Uuid>,
    keys: Vec<&'a str>,
    caps: Vec<Option<i64>>,
}

impl Caps<'_> {
    fn bind(&self, sql: &'static str) -> Query<'_, Postgres, PgArguments> {
        sqlx::query(sql).bind(&self.workspaces).bind(&self.keys).bind(&self.caps)
    }

    /// The workspaces of those that allow something else or are missing.
    async fn differing(&self, by: impl PgExecutor<'_>) -> Result<Vec<Uuid>, StoreError> {
        let rows = self.bind(DIFFERING).fetch_all(by).await.store()?;
        rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().store()
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use saas_kernel::BoxError;
    use saas_kernel::access::catalog::{Cap, Plan};
    use saas_kernel::error::Explained;
    use sqlx::Connection;

    use super::*;
    use crate::Migrations;
    use crate::testing::TestDb;

    const SEED: &str = "
    INSERT INTO kernel.workspaces (id, slug, name, created_by_type, created_by_id, created_at, updated_at)
    SELECT gen_random_uuid(), 'ws-' || n, 'W', 'user', gen_random_uuid(), now(), now() FROM generate_series(1, 3) n";
    const CAPS: &str = "SELECT cap FROM kernel.usage WHERE key = 'members' ORDER BY cap";

    fn catalog(members: u64) -> Result<Catalog, BoxError> {
        let limits = [("members".to_owned(), Cap::Finite(members))].into();
        let (key, name) = ("free".to_owned(), "Free".to_owned());
        let plan = Plan { key, name, prices: vec![], features: [].into(), limits };
        Catalog::new(vec![plan]).map_err(|problems| format!("{problems:?}").into())
    }

    #[tokio::test]
    async fn rows_that_stay_locked_are_an_error_and_the_rest_is_taken_up_again() -> Result<(), BoxError> {
        let db = TestDb::new(&Migrations::kernel()).await?;
        let (mut admin, mut other, system) = (db.admin().await?, db.admin().await?, db.system().await?);
        sqlx::raw_sql(SEED).execute(&mut admin).await?;
        let (before, after) = (catalog(3)?, catalog(7)?);
        assert!(system.sync_catalog(&before).await?);

        let mut held = other.begin().await?;
        let hold = "SELECT workspace_id::text FROM kernel.usage LIMIT 1 FOR UPDATE";
        let locked: String = sqlx::query_scalar(hold).fetch_one(&mut *held).await?;
        let error = CatalogSync::new(system.pool(), &after, Duration::ZERO).run().await.unwrap_err();
        let text = Explained(&error).to_string();
        assert!(matches!(error, StoreError::Unavailable(_)), "{text}");
        for part in ["caps of 1 workspaces", &locked, "kernel.usage", "pg_stat_activity", "start again"] {
            assert!(text.contains(part), "{part} is missing: {text}");
        }
        held.rollback().await?;
        assert_eq!(sqlx::query_scalar::<_, i64>(CAPS).fetch_all(&mut admin).await?, [3, 7, 7]);

        // Also by a process with the plans of before: the caps are no longer all its own.
        assert!(system.sync_catalog(&before).await?);
        assert_eq!(sqlx::query_scalar::<_, i64>(CAPS).fetch_all(&mut admin).await?, [3, 3, 3]);
        assert!(system.sync_catalog(&after).await?);
        assert_eq!(sqlx::query_scalar::<_, i64>(CAPS).fetch_all(&mut admin).await?, [7, 7, 7]);
        Ok(())
    }

    #[tokio::test]
    async fn of_two_processes_with_different_plans_the_last_to_begin_decides() -> Result<(), BoxError> {
        let db = TestDb::new(&Migrations::kernel()).await?;
        let (mut admin, system) = (db.admin().await?, db.system().await?);
        sqlx::raw_sql(SEED).execute(&mut admin).await?;
        let workspaces: Vec<Uuid> =
            sqlx::query_scalar("SELECT id FROM kernel.workspaces").fetch_all(&mut admin).await?;
        let (first, last) = (catalog(3)?, catalog(7)?);
        let overtaken = CatalogSync::new(system.pool(), &first, PATIENCE);
        sqlx::query(ANNOUNCE).bind(&overtaken.running).execute(system.pool()).await?;
        assert_eq!(overtaken.batch(&workspaces[..1], UPDATE).await?, Some(vec![]));

        assert!(system.sync_catalog(&last).await?);
        assert_eq!(overtaken.batch(&workspaces[1..], UPDATE).await?, None, "it stops");
        sqlx::query(FINISH).bind(&overtaken.running).bind(&overtaken.done).execute(system.pool()).await?;
        assert!(!system.sync_catalog(&last).await?, "and does not say that it has finished");
        assert_eq!(sqlx::query_scalar::<_, i64>(CAPS).fetch_all(&mut admin).await?, [7, 7, 7]);
        Ok(())
    }
}
