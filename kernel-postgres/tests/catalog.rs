//! Telling the database what the plans allow disturbs no request and leaves every cap as its workspace's plan has it.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use saas_kernel::access::catalog::{Access, Cap, Catalog, Plan};
use saas_kernel::billing::entitlements::set_plan;
use saas_kernel::clock::{Clock, SystemClock};
use saas_kernel::id::WorkspaceId;
use saas_kernel::{BoxError, Tx};
use saas_kernel_postgres::CatalogOutcome::{Applied, Replaced, Unchanged};
use saas_kernel_postgres::testing::TestDb;
use saas_kernel_postgres::{Migrations, PgSystem};
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
UPDATE kernel.usage SET used = 1";

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
    assert_eq!(db.system().await?.sync_catalog(&catalog(&[("free", 5)])?).await?, Applied { number: 1 });
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
    assert_eq!(sync.await??, Applied { number: 2 });
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
    assert_eq!(sync.await??, Applied { number: 2 });
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
    assert_eq!(sync.await??, Applied { number: 2 });
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
        DELETE FROM kernel.usage WHERE key = 'projects'";
    sqlx::raw_sql(more).execute(&mut admin).await?;
    let changed = catalog(&[("free", 8), ("pro", 50)])?;
    let (one, two) = (db.system().await?, db.system().await?);
    let (first, second) = tokio::join!(one.sync_catalog(&changed), two.sync_catalog(&changed));
    for outcome in [first?, second?] {
        assert!([Applied { number: 2 }, Unchanged].contains(&outcome), "{outcome:?}");
    }
    assert_eq!(one.sync_catalog(&changed).await?, Unchanged, "it is done");
    let pro =
        "SELECT count(*) FROM kernel.workspaces w JOIN kernel.usage u ON u.workspace_id = w.id AND u.key = 'projects'
               WHERE u.cap IS DISTINCT FROM CASE w.plan WHEN 'pro' THEN 50 ELSE 8 END";
    assert_eq!(sqlx::query_scalar::<_, i64>(pro).fetch_one(&mut admin).await?, 0);
    all_are_of_the_catalog_in_force(&mut admin).await
}

/// Every workspace has the entitlements and the caps of its plan in the newest catalog, which is finished.
async fn all_are_of_the_catalog_in_force(admin: &mut PgConnection) -> Result {
    let wrong = "
        WITH newest AS (SELECT * FROM kernel.catalogs ORDER BY number DESC LIMIT 1)
        SELECT count(*) FILTER (WHERE n.finished_at IS NULL OR w.entitlements <> e.terms OR EXISTS (
                   SELECT FROM jsonb_each_text(e.terms -> 'limits') l LEFT JOIN kernel.usage u ON u.workspace_id = w.id AND u.key = l.key
                   WHERE u.key IS NULL OR u.cap IS DISTINCT FROM nullif(l.value, 'unlimited')::bigint)),
               count(*)
        FROM kernel.workspaces w CROSS JOIN newest n CROSS JOIN LATERAL (
            SELECT p AS terms FROM jsonb_array_elements(n.plans) WITH ORDINALITY t(p, nth)
            WHERE nth = 1 OR p ->> 'plan' = w.plan ORDER BY nth DESC LIMIT 1) e";
    let (wrong, all): (i64, i64) = sqlx::query_as(wrong).fetch_one(admin).await?;
    assert!(all > 0 && wrong == 0, "{wrong} of {all} workspaces");
    Ok(())
}

/// The old version restarts, and works on: it creates workspaces and processes what is paid for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_deploy_ends_in_the_newer_plans_whoever_starts_when() -> Result {
    let (old, new) = (catalog(&[("free", 5), ("pro", 50)])?, catalog(&[("free", 8), ("team", 20), ("pro", 60)])?);
    for round in 0..10 {
        let db = TestDb::new(&Migrations::kernel()).await?;
        let (mut admin, system) = (db.admin().await?, db.system().await?);
        assert_eq!(system.sync_catalog(&old).await?, Applied { number: 1 });
        sqlx::raw_sql(SEED).execute(&mut admin).await?;
        let starts = join_all((0..8).map(|n| {
            let (system, catalog) = (system.clone(), if (n + round) % 2 == 0 { old.clone() } else { new.clone() });
            async move { system.sync_catalog(&catalog).await }
        }));
        let (starts, created, paid) = tokio::join!(starts, create_workspaces(&db, round), pay(&system));
        created?;
        paid?;
        for (n, outcome) in starts.into_iter().enumerate() {
            let is_old = (n + round) % 2 == 0;
            let expected =
                if is_old { [Replaced { number: 1, by: 2 }, Unchanged] } else { [Applied { number: 2 }, Unchanged] };
            let outcome = outcome?;
            assert!(expected.contains(&outcome), "round {round}: {outcome:?} of the old version: {is_old}");
        }
        all_are_of_the_catalog_in_force(&mut admin).await?;
        // However often the old one restarts.
        for _ in 0..2 {
            assert_eq!(system.sync_catalog(&old).await?, Replaced { number: 1, by: 2 });
            assert_eq!(system.sync_catalog(&new).await?, Unchanged);
        }
        all_are_of_the_catalog_in_force(&mut admin).await?;
        assert_eq!(caps(&mut admin).await?.into_iter().find(|(id, ..)| id == FIRST).ok_or("it is there")?.2, 60);
    }
    Ok(())
}

/// As requests do.
async fn create_workspaces(db: &TestDb, round: usize) -> Result {
    for n in 0..10 {
        let mut app = PgConnection::connect(&db.app_url()).await?;
        let mut tx = app.begin().await?;
        sqlx::query("SELECT set_config('app.workspace_id', gen_random_uuid()::text, true)").execute(&mut *tx).await?;
        let create =
            "INSERT INTO kernel.workspaces (id, slug, name, created_by_type, created_by_id, created_at, updated_at)
                      VALUES (kernel.ws(), $1, 'W', 'user', gen_random_uuid(), now(), now())";
        sqlx::query(create).bind(format!("new-{round}-{n}")).execute(&mut *tx).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// As a processor does.
async fn pay(system: &PgSystem) -> Result {
    for plan in [None, Some("pro"), None, Some("pro"), Some("gone"), Some("pro")] {
        for workspace in [FIRST, SECOND] {
            let id = WorkspaceId::from(workspace.parse::<saas_kernel::Uuid>()?);
            let mut tx: Box<dyn Tx> = Box::new(system.begin_system("test").await?);
            tx.workspaces().lock(id).await?;
            set_plan(&mut *tx, id, plan, Access::Full, SystemClock.now()).await?;
            tx.commit().await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn going_back_is_an_explicit_act_and_lasts_too() -> Result {
    let (db, mut admin) = seeded().await?;
    let (system, old, new) = (db.system().await?, catalog(&[("free", 5)])?, catalog(&[("free", 8)])?);
    assert_eq!(system.sync_catalog(&new).await?, Applied { number: 2 });
    assert_eq!(system.reapply_catalog(&new).await?, Unchanged);
    assert_eq!(system.sync_catalog(&old).await?, Replaced { number: 1, by: 2 });
    assert_eq!(caps(&mut admin).await?, all(8, 8, 8));
    assert_eq!(system.reapply_catalog(&old).await?, Applied { number: 3 });
    assert_eq!(caps(&mut admin).await?, all(5, 5, 5));
    assert_eq!(system.sync_catalog(&old).await?, Unchanged);
    assert_eq!(system.sync_catalog(&new).await?, Replaced { number: 2, by: 3 });
    assert_eq!(caps(&mut admin).await?, all(5, 5, 5));
    all_are_of_the_catalog_in_force(&mut admin).await
}
