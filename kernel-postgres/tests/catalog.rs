//! Telling the database what the plans allow disturbs no request and leaves every cap as its workspace's plan has it.

use std::collections::BTreeSet;
use std::time::Duration;

use saas_kernel::BoxError;
use saas_kernel::access::catalog::{Cap, Catalog, Plan};
use saas_kernel_postgres::Migrations;
use saas_kernel_postgres::testing::TestDb;
use sqlx::{Connection, PgConnection};

type Result<T = ()> = std::result::Result<T, BoxError>;

/// Three workspaces, in the order of their ids; the second is also held or changed by others.
const FIRST: &str = "00000000-0000-7000-8000-000000000001";
const SECOND: &str = "00000000-0000-7000-8000-000000000002";
const THIRD: &str = "00000000-0000-7000-8000-000000000003";

const SEED: &str = "
INSERT INTO kernel.workspaces (id, slug, name, created_by_type, created_by_id, created_at, updated_at)
SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'ws-' || n, 'W', 'user', gen_random_uuid(), now(), now()
FROM generate_series(1, 3) n;
INSERT INTO kernel.usage (workspace_id, key, used, cap)
SELECT id, key, 1, 5 FROM kernel.workspaces, unnest(ARRAY['members', 'projects']) key";

const RESERVE: &str = "
UPDATE kernel.usage SET used = used + 1
WHERE workspace_id = kernel.ws() AND key = 'projects' AND (cap IS NULL OR used + 1 <= cap)";

fn catalog(plans: &[(&str, u64)]) -> Result<Catalog> {
    let plan = |(key, projects): &(&str, u64)| Plan {
        key: (*key).to_owned(),
        name: (*key).to_owned(),
        prices: Vec::new(),
        features: BTreeSet::new(),
        limits: [("members".to_owned(), Cap::Unlimited), ("projects".to_owned(), Cap::Finite(*projects))].into(),
    };
    Catalog::new(plans.iter().map(plan).collect()).map_err(|problems| format!("{problems:?}").into())
}

async fn seeded() -> Result<(TestDb, PgConnection)> {
    let db = TestDb::new(&Migrations::kernel()).await?;
    let mut admin = db.admin().await?;
    sqlx::raw_sql(SEED).execute(&mut admin).await?;
    Ok((db, admin))
}

/// Takes a place of `projects` in `workspace`, as a request does, in a transaction that is left open.
async fn reserve<'c>(app: &'c mut PgConnection, workspace: &str) -> Result<sqlx::Transaction<'c, sqlx::Postgres>> {
    let mut tx = app.begin().await?;
    sqlx::query("SELECT set_config('app.workspace_id', $1, true)").bind(workspace).execute(&mut *tx).await?;
    let reserved = sqlx::query(RESERVE).execute(&mut *tx).await?;
    assert_eq!(reserved.rows_affected(), 1, "there is a place in {workspace}");
    Ok(tx)
}

/// `workspace`, `members`, `projects` of each, in order; -1 is unlimited.
async fn caps(admin: &mut PgConnection) -> Result<Vec<(String, i64, i64)>> {
    let caps = "SELECT workspace_id::text, max(coalesce(cap, -1)) FILTER (WHERE key = 'members'),
                       max(coalesce(cap, -1)) FILTER (WHERE key = 'projects')
                FROM kernel.usage GROUP BY 1 ORDER BY 1";
    Ok(sqlx::query_as(caps).fetch_all(admin).await?)
}

fn all(first: i64, second: i64, third: i64) -> Vec<(String, i64, i64)> {
    [(FIRST, first), (SECOND, second), (THIRD, third)].map(|(id, cap)| (id.to_owned(), -1, cap)).to_vec()
}

/// The first and third workspace have the new cap.
const OTHERS_ARE_WRITTEN: &str = "SELECT count(*) >= 2 FROM kernel.usage WHERE key = 'projects' AND cap = 8";

const SYNC_WAITS: &str = "
SELECT EXISTS (SELECT FROM pg_stat_activity
               WHERE datname = current_database() AND usename = 'kernel_system' AND wait_event_type = 'Lock')";

async fn until(what: &str, is_true: &'static str, admin: &mut PgConnection) -> Result {
    let mut every = tokio::time::interval(Duration::from_millis(10));
    for _ in 0..1000 {
        every.tick().await;
        if sqlx::query_scalar(is_true).fetch_one(&mut *admin).await? {
            return Ok(());
        }
    }
    Err(format!("not within ten seconds: {what}").into())
}

#[tokio::test]
async fn a_request_that_holds_its_counter_delays_no_other_workspace() -> Result {
    let (db, mut admin) = seeded().await?;
    let (system, changed) = (db.system().await?, catalog(&[("free", 8)])?);
    let mut slow = PgConnection::connect(&db.app_url()).await?;
    let held = reserve(&mut slow, SECOND).await?;

    let sync = tokio::spawn(async move { system.sync_catalog(&changed).await });
    until("the other workspaces have their caps", OTHERS_ARE_WRITTEN, &mut admin).await?;
    let mut other = PgConnection::connect(&db.app_url()).await?;
    for workspace in [FIRST, THIRD] {
        let reserved = reserve(&mut other, workspace).await;
        reserved.map_err(|error| format!("a reservation in {workspace} meanwhile: {error}"))?.commit().await?;
    }
    held.commit().await?;
    assert!(sync.await??);
    assert_eq!(caps(&mut admin).await?, all(8, 8, 8));
    let used: Vec<i64> =
        sqlx::query_scalar("SELECT used FROM kernel.usage WHERE key = 'projects' ORDER BY workspace_id")
            .fetch_all(&mut admin)
            .await?;
    assert_eq!(used, [2, 2, 2], "no count is lost");
    Ok(())
}

/// Requests that hold it one after the other would otherwise hold it at every single look.
#[tokio::test]
async fn a_counter_that_is_always_in_use_is_waited_for_in_turn() -> Result {
    let (db, mut admin) = seeded().await?;
    let (system, changed) = (db.system().await?, catalog(&[("free", 8)])?);
    let mut slow = PgConnection::connect(&db.app_url()).await?;
    let held = reserve(&mut slow, SECOND).await?;
    let sync = tokio::spawn(async move { system.sync_catalog(&changed).await });
    until("the sync waits in the row's queue", SYNC_WAITS, &mut admin).await?;
    held.commit().await?;
    assert!(sync.await??);
    assert_eq!(caps(&mut admin).await?, all(8, 8, 8));
    Ok(())
}

#[tokio::test]
async fn a_plan_that_changes_meanwhile_ends_with_its_own_caps() -> Result {
    let (db, mut admin) = seeded().await?;
    let (system, changed) = (db.system().await?, catalog(&[("free", 8), ("pro", 50)])?);
    let mut processor = db.admin().await?;
    let mut change = processor.begin().await?;
    let set = "UPDATE kernel.workspaces SET plan = 'pro' WHERE id = $1::uuid";
    sqlx::query(set).bind(SECOND).execute(&mut *change).await?;

    let sync = tokio::spawn(async move { system.sync_catalog(&changed).await });
    until("the other workspaces have their caps", OTHERS_ARE_WRITTEN, &mut admin).await?;
    change.commit().await?;
    assert!(sync.await??);
    assert_eq!(caps(&mut admin).await?, all(8, 50, 8));
    Ok(())
}

/// More workspaces than one batch has, a counter that is missing everywhere, and a plan that is no longer offered.
#[tokio::test]
async fn replicas_that_start_at_once_do_not_disturb_each_other() -> Result {
    let (db, mut admin) = seeded().await?;
    let more = "
        INSERT INTO kernel.workspaces (id, slug, name, plan, created_by_type, created_by_id, created_at, updated_at)
        SELECT gen_random_uuid(), 'more-' || n, 'W', CASE n % 3 WHEN 0 THEN 'pro' WHEN 1 THEN 'gone' END, 'user',
               gen_random_uuid(), now(), now() FROM generate_series(1, 1000) n;
        INSERT INTO kernel.usage (workspace_id, key, cap) SELECT id, 'members', 5 FROM kernel.workspaces WHERE slug LIKE 'more-%'";
    sqlx::raw_sql(more).execute(&mut admin).await?;
    let changed = catalog(&[("free", 8), ("pro", 50)])?;
    let (one, two) = (db.system().await?, db.system().await?);
    let (first, second) = tokio::join!(one.sync_catalog(&changed), two.sync_catalog(&changed));
    assert!(first? || second?);
    assert!(!one.sync_catalog(&changed).await?, "it is done");
    let wrong: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM kernel.workspaces w CROSS JOIN unnest(ARRAY['members', 'projects']) key
         LEFT JOIN kernel.usage u ON u.workspace_id = w.id AND u.key = key.key
         WHERE u.key IS NULL OR u.cap IS DISTINCT FROM CASE WHEN key.key = 'projects' THEN CASE plan WHEN 'pro' THEN 50 ELSE 8 END END",
    )
    .fetch_one(&mut admin)
    .await?;
    assert_eq!(wrong, 0);
    Ok(())
}
