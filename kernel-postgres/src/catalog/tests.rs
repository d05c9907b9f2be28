//! What happens when a process cannot go on, or another one goes on instead.

use std::time::Duration;

use saas_kernel::access::catalog::{Cap, Catalog, Plan};
use saas_kernel::error::Explained;
use saas_kernel::{BoxError, StoreError};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::batches::{Batches, Wait};
use super::{ANNOUNCE, Apply, CatalogOutcome, FINISH, Json, PATIENCE};
use crate::Migrations;
use crate::testing::TestDb;

const SEED: &str = "
INSERT INTO kernel.workspaces (id, slug, name, created_by_type, created_by_id, created_at, updated_at)
SELECT gen_random_uuid(), 'ws-' || n, 'W', 'user', gen_random_uuid(), now(), now() FROM generate_series(1, 3) n";
const CAPS: &str = "SELECT cap FROM kernel.usage WHERE key = 'members' ORDER BY cap";
const ENTITLED: &str = "SELECT (entitlements -> 'limits' ->> 'members')::bigint FROM kernel.workspaces ORDER BY 1";

fn catalog(members: u64) -> Result<Catalog, BoxError> {
    let limits = [("members".to_owned(), Cap::Finite(members))].into();
    let (key, name) = ("free".to_owned(), "Free".to_owned());
    let plan = Plan { key, name, prices: vec![], features: [].into(), limits };
    Catalog::new(vec![plan]).map_err(|problems| format!("{problems:?}").into())
}

async fn caps(admin: &mut PgConnection) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(CAPS).fetch_all(&mut *admin).await
}

#[tokio::test]
async fn rows_that_stay_locked_are_an_error_and_the_rest_is_taken_up_again() -> Result<(), BoxError> {
    let db = TestDb::new(&Migrations::kernel()).await?;
    let (mut admin, mut other, system) = (db.admin().await?, db.admin().await?, db.system().await?);
    let (before, after) = (catalog(3)?, catalog(7)?);
    assert_eq!(system.sync_catalog(&before).await?, CatalogOutcome::Applied { number: 1 });
    sqlx::raw_sql(SEED).execute(&mut admin).await?;

    let mut held = other.begin().await?;
    let hold = "SELECT workspace_id::text FROM kernel.usage LIMIT 1 FOR UPDATE";
    let locked: String = sqlx::query_scalar(hold).fetch_one(&mut *held).await?;
    let error = Apply::new(&system, &after, Duration::ZERO).run(false).await.unwrap_err();
    let text = Explained(&error).to_string();
    assert!(matches!(error, StoreError::Unavailable(_)), "{text}");
    for part in ["caps of 1 workspaces", &locked, "kernel.usage", "pg_stat_activity", "start again"] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    held.rollback().await?;
    assert_eq!(caps(&mut admin).await?, [3, 7, 7]);

    // A process with the plans of before does not stop it.
    assert_eq!(system.sync_catalog(&before).await?, CatalogOutcome::Replaced { number: 1, by: 2 });
    assert_eq!(caps(&mut admin).await?, [3, 7, 7]);
    assert_eq!(system.sync_catalog(&after).await?, CatalogOutcome::Applied { number: 2 }, "it goes on");
    assert_eq!(caps(&mut admin).await?, [7, 7, 7]);
    assert_eq!(system.sync_catalog(&after).await?, CatalogOutcome::Unchanged);
    Ok(())
}

/// The new workspace would be overlooked: it is not visible yet, and has the entitlements of before.
#[tokio::test]
async fn a_workspace_that_is_being_created_is_waited_for() -> Result<(), BoxError> {
    let db = TestDb::new(&Migrations::kernel()).await?;
    let (mut admin, mut other, system) = (db.admin().await?, db.admin().await?, db.system().await?);
    let (before, after) = (catalog(3)?, catalog(7)?);
    system.sync_catalog(&before).await?;
    let mut creating = other.begin().await?;
    sqlx::raw_sql(SEED).execute(&mut *creating).await?;
    let error = Apply::new(&system, &after, Duration::ZERO).run(false).await.unwrap_err();
    assert!(Explained(&error).to_string().contains("creates a workspace"), "{}", Explained(&error));
    creating.commit().await?;
    assert_eq!(system.sync_catalog(&after).await?, CatalogOutcome::Applied { number: 2 });
    assert_eq!(caps(&mut admin).await?, [7, 7, 7]);
    assert_eq!(sqlx::query_scalar::<_, i64>(ENTITLED).fetch_all(&mut admin).await?, [7, 7, 7]);
    Ok(())
}

#[tokio::test]
async fn a_process_that_is_overtaken_stops_and_does_not_say_that_it_has_finished() -> Result<(), BoxError> {
    let db = TestDb::new(&Migrations::kernel()).await?;
    let (mut admin, system) = (db.admin().await?, db.system().await?);
    system.sync_catalog(&catalog(1)?).await?;
    sqlx::raw_sql(SEED).execute(&mut admin).await?;
    let workspaces: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM kernel.workspaces").fetch_all(&mut admin).await?;
    let (first, last) = (catalog(3)?, catalog(7)?);
    let overtaken = Apply::new(&system, &first, PATIENCE);
    let announce = sqlx::query(ANNOUNCE).bind(2_i64).bind(&overtaken.fingerprint).bind(Json(&overtaken.plans));
    announce.execute(system.pool()).await?;
    let batches = Batches { system: &system, plans: &overtaken.plans, number: 2, patience: PATIENCE };
    assert_eq!(batches.batch(&workspaces[..1], Wait::No).await?, Some(vec![]));

    assert_eq!(system.sync_catalog(&last).await?, CatalogOutcome::Applied { number: 3 });
    assert_eq!(batches.batch(&workspaces[1..], Wait::No).await?, None, "it stops");
    assert_eq!(sqlx::query(FINISH).bind(2_i64).execute(system.pool()).await?.rows_affected(), 0);
    assert_eq!(overtaken.run(false).await?, CatalogOutcome::Replaced { number: 2, by: 3 });
    assert_eq!(system.sync_catalog(&last).await?, CatalogOutcome::Unchanged);
    assert_eq!(caps(&mut admin).await?, [7, 7, 7]);
    Ok(())
}
