//! Writes the entitlements and caps of one catalog into all workspaces, batch by batch.

use std::time::Duration;

use saas_kernel::StoreError;
use saas_kernel::access::catalog::Access;
use saas_kernel::access::entitlements::{PlanTerms, Terms, resolve};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor, Postgres, Row, SqlStr};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{BEGIN, PAUSE, SHARE};
use crate::begin::begin;
use crate::error::{PgResult, bad_row};
use crate::names::Names;
use crate::system::PgSystem;

/// Workspaces of one transaction: no reservation waits for more, some tens of milliseconds.
const BATCH: usize = 200;

const IN_FORCE: &str = "
SELECT finished_at IS NULL AND NOT EXISTS (SELECT FROM kernel.catalogs n WHERE n.number > c.number)
FROM kernel.catalogs c WHERE number = $1";

const NEXT: &str = "SELECT id FROM kernel.workspaces WHERE id > $1 ORDER BY id LIMIT $2";

const PLANS: &str = "SELECT id, plan, access FROM kernel.workspaces WHERE id = ANY($1)";

/// A workspace whose plan is changed at this moment, or in which a call is committing, is left for later; the others' plans stay until
/// the commit.
const LOCK: &str = "
WITH free AS MATERIALIZED (
    SELECT id, plan, access FROM kernel.workspaces WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
)
SELECT id, plan, access FROM free WHERE pg_try_advisory_xact_lock(kernel.standing_queue(id, id))";

/// One workspace, once it is free.
const LOCK_IN_TURN: &str = "SELECT id, plan, access FROM kernel.workspaces WHERE id = ANY($1) FOR NO KEY UPDATE";

const OTHER_CAPS: &str = "
SELECT DISTINCT w.workspace_id
FROM unnest($1::uuid[], $2::text[], $3::bigint[]) w(workspace_id, key, cap) LEFT JOIN kernel.usage u USING (workspace_id, key)
WHERE u.key IS NULL OR u.cap IS DISTINCT FROM w.cap";

const OTHER_ENTITLEMENTS: &str = "
SELECT w.id FROM unnest($1::uuid[], $2::jsonb[]) n(id, entitlements) JOIN kernel.workspaces w USING (id)
WHERE w.entitlements <> n.entitlements";

/// Before any lock: it waits where others make the same counter.
const INSERT: &str = "
INSERT INTO kernel.usage (workspace_id, key, cap)
SELECT w.workspace_id, w.key, w.cap
FROM unnest($1::uuid[], $2::text[], $3::bigint[]) w(workspace_id, key, cap) LEFT JOIN kernel.usage u USING (workspace_id, key)
WHERE u.key IS NULL ORDER BY w.workspace_id, w.key
ON CONFLICT (workspace_id, key) DO NOTHING";

const GIVE: &str = "
UPDATE kernel.workspaces w SET entitlements = n.entitlements
FROM unnest($1::uuid[], $2::jsonb[]) n(id, entitlements) WHERE w.id = n.id AND w.entitlements <> n.entitlements";

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

/// What to do about rows that others hold.
#[derive(Clone, Copy)]
pub(super) enum Wait {
    /// Leave them for later.
    No,
    /// Wait for them, for at most half a second. For one workspace.
    InTurn,
}

/// The catalog to be written.
pub(super) struct Batches<'a> {
    pub(super) system: &'a PgSystem,
    pub(super) plans: &'a PlanTerms,
    /// Its number.
    pub(super) number: i64,
    /// How long the passes may go on without success.
    pub(super) patience: Duration,
}

impl Batches<'_> {
    /// Goes through all workspaces until each has the entitlements of its plan; `false` if another process has done that, or
    /// another catalog is in force.
    pub(super) async fn write_all(&self) -> Result<bool, StoreError> {
        match self.first_pass().await? {
            Some(left) => self.further_passes(left).await,
            None => Ok(false),
        }
    }

    /// Goes through all workspaces and gives those that have to be tried again; `None` if another process took over.
    async fn first_pass(&self) -> Result<Option<Vec<Uuid>>, StoreError> {
        let (mut left, mut after) = (Vec::new(), Uuid::nil());
        loop {
            let next =
                sqlx::query_scalar(self.system.sql(NEXT)).bind(after).bind(i64::try_from(BATCH).unwrap_or(i64::MAX));
            let batch: Vec<Uuid> = next.fetch_all(self.system.pool()).await.store()?;
            let Some(last) = batch.last() else { return Ok(Some(left)) };
            after = *last;
            let Some(locked) = self.batch(&batch, Wait::No).await? else { return Ok(None) };
            left.extend(locked);
        }
    }

    /// Tries those that are left until none is; `false` if another process took over.
    async fn further_passes(&self, mut left: Vec<Uuid>) -> Result<bool, StoreError> {
        let mut progress = Instant::now();
        while let Some(first) = left.first() {
            if self.batch(&[*first], Wait::InTurn).await?.is_none() {
                return Ok(false);
            }
            sleep(PAUSE).await;
            let mut still = Vec::new();
            for batch in left.chunks(BATCH) {
                let Some(locked) = self.batch(batch, Wait::No).await? else { return Ok(false) };
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

    /// Writes entitlements and caps of these workspaces where nobody else holds the rows, and gives the workspaces that still lack
    /// some. `None` if another process has written all of them, or another catalog is in force.
    pub(super) async fn batch(&self, workspaces: &[Uuid], wait: Wait) -> Result<Option<Vec<Uuid>>, StoreError> {
        match self.write(workspaces, wait).await {
            Err(StoreError::Locked | StoreError::Serialization) => Ok(Some(workspaces.to_vec())),
            other => other,
        }
    }

    async fn write(&self, workspaces: &[Uuid], wait: Wait) -> Result<Option<Vec<Uuid>>, StoreError> {
        let (lock, update) = match wait {
            Wait::No => (LOCK, UPDATE),
            Wait::InTurn => (LOCK_IN_TURN, UPDATE_IN_TURN),
        };
        let mut tx = begin(self.system.pool().acquire().await.store()?, BEGIN.to_owned()).await?;
        sqlx::query(self.system.sql(SHARE)).execute(&mut *tx).await.store()?;
        let in_force =
            sqlx::query_scalar(self.system.sql(IN_FORCE)).bind(self.number).fetch_optional(&mut *tx).await.store()?;
        if in_force != Some(true) {
            tracing::info!(number = self.number, "another process took over applying the plans");
            return Ok(None);
        }
        let expected = self.expected(PLANS, workspaces, &mut tx).await?;
        let differing = expected.differing(self.system.names(), &mut tx).await?;
        if differing.is_empty() {
            return Ok(Some(differing));
        }
        expected.caps(self.system.sql(INSERT)).execute(&mut *tx).await.store()?;
        let held = self.expected(lock, &differing, &mut tx).await?;
        // The caps first: whoever holds a counter may wait, in its commit, for whoever changes the workspace.
        held.caps(self.system.sql(update)).execute(&mut *tx).await.store()?;
        held.entitlements(self.system.sql(GIVE)).execute(&mut *tx).await.store()?;
        tx.commit().await.store()?;
        let mut left: Vec<Uuid> = differing.into_iter().filter(|id| !held.workspaces.contains(id)).collect();
        left.extend(held.differing(self.system.names(), &mut *self.system.pool().acquire().await.store()?).await?);
        Ok(Some(left))
    }

    /// What workspaces, as `sql` selects them, are to have.
    async fn expected(&self, sql: &'static str, ids: &[Uuid], by: &mut PgConnection) -> Result<Expected, StoreError> {
        let rows: Vec<(Uuid, Option<String>, String)> =
            sqlx::query_as(self.system.sql(sql)).bind(ids).fetch_all(by).await.store()?;
        let mut expected = Expected::default();
        for (workspace, plan, access) in rows {
            let access = Access::from_stored(&access).ok_or_else(|| bad_row("workspaces", "access", &access))?;
            let terms = resolve(self.plans, plan.as_deref(), access).terms;
            for (key, cap) in &terms.limits {
                expected.counters.0.push(workspace);
                expected.counters.1.push(key.clone());
                expected.counters.2.push(cap.stored());
            }
            expected.workspaces.push(workspace);
            expected.terms.push(Json(terms));
        }
        Ok(expected)
    }

    fn stays_locked(&self, left: &[Uuid]) -> StoreError {
        let some = left.iter().take(3).map(Uuid::to_string).collect::<Vec<_>>().join(", ");
        let text = format!(
            "the entitlements and caps of {} workspaces are not those of their plans yet, {some} among them: for {:?} other \
             transactions have held their rows in kernel.usage or kernel.workspaces. Look for the oldest xact_start in \
             pg_stat_activity, end it with pg_terminate_backend(pid), and start again",
            left.len(),
            self.patience
        );
        StoreError::Unavailable(self.system.names().text(&text).into())
    }
}

/// What workspaces are to have, in columns.
#[derive(Default)]
struct Expected {
    workspaces: Vec<Uuid>,
    terms: Vec<Json<Terms>>,
    /// Workspace, key and cap.
    counters: (Vec<Uuid>, Vec<String>, Vec<Option<i64>>),
}

impl Expected {
    fn entitlements(&self, named: SqlStr) -> Query<'_, Postgres, PgArguments> {
        sqlx::query(named).bind(&self.workspaces).bind(&self.terms)
    }

    fn caps(&self, named: SqlStr) -> Query<'_, Postgres, PgArguments> {
        let (workspaces, keys, caps) = &self.counters;
        sqlx::query(named).bind(workspaces).bind(keys).bind(caps)
    }

    /// The workspaces that have something else.
    async fn differing(&self, names: &Names, by: &mut PgConnection) -> Result<Vec<Uuid>, StoreError> {
        let mut differing = ids(self.entitlements(names.sql(OTHER_ENTITLEMENTS)), &mut *by).await?;
        let caps = ids(self.caps(names.sql(OTHER_CAPS)), by).await?;
        differing.extend(caps);
        differing.sort_unstable();
        differing.dedup();
        Ok(differing)
    }
}

async fn ids(query: Query<'_, Postgres, PgArguments>, by: impl PgExecutor<'_>) -> Result<Vec<Uuid>, StoreError> {
    let rows = query.fetch_all(by).await.store()?;
    rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().store()
}
