//! The doctor finds nothing in a healthy database, each planted defect in a sick one, and what it tells to run mends it.

mod defects;
mod fixtures;

use defects::{DEFECTS, Defect, ROLE_DEFECTS};
use fixtures::{Result, healthy};
use saas_kernel_postgres::doctor::{Doctor, DoctorError, Finding};
use saas_kernel_postgres::testing::{LocalPostgres, LocalPostgresOptions};
use saas_kernel_postgres::{Migrations, create_roles};
use sqlx::{Connection, PgConnection, raw_sql};

#[tokio::test]
async fn a_healthy_database_has_no_findings_whoever_looks() -> Result {
    let (db, mut admin) = healthy().await?;
    assert_eq!(Doctor::new().examine(&mut admin).await?, []);
    // Everybody can read the catalog; also with a search path that hides how names are printed.
    sqlx::query("SET search_path = app, kernel, public").execute(&mut admin).await?;
    assert_eq!(Doctor::new().examine(&mut admin).await?, []);
    assert_eq!(Doctor::new().examine_url(&db.app_url()).await?, []);
    Ok(())
}

#[tokio::test]
async fn every_defect_is_found_and_mended() -> Result {
    let (_db, mut admin) = healthy().await?;
    prove_all(&mut admin, DEFECTS).await?;
    assert_eq!(Doctor::new().examine(&mut admin).await?, [], "each defect was rolled back");
    Ok(())
}

/// Roles belong to the cluster: on one of its own, so that no other test meets them.
#[tokio::test]
async fn every_defect_of_a_role_is_found_and_mended() -> Result {
    let postgres = LocalPostgres::start(LocalPostgresOptions::default()).await?;
    let url = postgres.superuser_url("postgres");
    create_roles(&url).await?;
    Migrations::kernel().run(&url).await?;
    let mut admin = PgConnection::connect(&url).await?;
    assert_eq!(Doctor::new().examine(&mut admin).await?, []);
    prove_all(&mut admin, ROLE_DEFECTS).await?;
    admin.close().await?;
    postgres.stop().await?;
    Ok(())
}

/// A check that nothing was planted for may find nothing at all.
#[test]
fn every_check_has_a_defect() {
    let planted = |check: &&str| DEFECTS.iter().chain(ROLE_DEFECTS).any(|defect| defect.check == *check);
    let unproven: Vec<_> = Doctor::checks().filter(|check| !planted(check)).collect();
    assert_eq!(unproven, Vec::<&str>::new());
}

/// Tells of all that went wrong, not of the first alone.
async fn prove_all(admin: &mut PgConnection, defects: &[Defect]) -> Result {
    let mut unproven = Vec::new();
    for defect in defects {
        if let Err(error) = prove(admin, defect).await {
            unproven.push(format!("{} on {} ({}): {error}", defect.check, defect.object, defect.plant));
        }
    }
    assert!(unproven.is_empty(), "{} unproven:\n{}", unproven.len(), unproven.join("\n"));
    Ok(())
}

/// In a transaction that is rolled back.
async fn prove(admin: &mut PgConnection, defect: &Defect) -> Result {
    let Defect { check, object, plant, mended } = defect;
    let mut tx = admin.begin().await?;
    raw_sql(*plant).execute(&mut *tx).await?;
    let findings = Doctor::new().examine(&mut tx).await?;
    let found = findings.iter().find(|finding| finding.check == *check && finding.object == *object);
    let Some(found) = found else { return Err(format!("not found, but {findings:#?}").into()) };
    if *mended {
        // What comes with it has its own mending; all of them together leave nothing.
        for Finding { fix, .. } in &findings {
            let sql = sqlx::AssertSqlSafe(fix.clone());
            raw_sql(sql).execute(&mut *tx).await.map_err(|error| format!("{fix}: {error}"))?;
        }
        let left = Doctor::new().examine(&mut tx).await?;
        if !left.is_empty() {
            return Err(format!("left: {left:#?}").into());
        }
    } else if !found.fix.starts_with("-- ") {
        return Err(format!("a person has to decide, and is not told: {}", found.fix).into());
    }
    tx.rollback().await?;
    Ok(())
}

/// The names follow the calendar: next month's is dropped, the one after is detached.
#[tokio::test]
async fn a_missing_month_is_found_and_mended() -> Result {
    let (_db, mut admin) = healthy().await?;
    let month = "SELECT 'kernel.audit_log_security' || to_char(date_trunc('month', now() AT TIME ZONE 'UTC') + $1 * interval '1 month', '_YYYY_MM')";
    let mut tx = admin.begin().await?;
    let mut parts = Vec::new();
    for ahead in [1.0, 2.0] {
        parts.push(sqlx::query_scalar::<_, String>(month).bind(ahead).fetch_one(&mut *tx).await?);
    }
    let plant = format!("DROP TABLE {}; ALTER TABLE kernel.audit_log_security DETACH PARTITION {}", parts[0], parts[1]);
    raw_sql(sqlx::AssertSqlSafe(plant)).execute(&mut *tx).await?;
    let findings = Doctor::new().examine(&mut tx).await?;
    let missing: Vec<_> = findings.iter().filter(|finding| finding.check == "partition_missing").collect();
    assert_eq!(missing.iter().map(|finding| finding.object.clone()).collect::<Vec<_>>(), parts, "{findings:#?}");
    for finding in missing {
        raw_sql(sqlx::AssertSqlSafe(finding.fix.clone())).execute(&mut *tx).await?;
    }
    assert_eq!(Doctor::new().examine(&mut tx).await?, []);
    Ok(())
}

#[tokio::test]
async fn an_accepted_finding_is_left_out_until_it_is_stale() -> Result {
    let (_db, mut admin) = healthy().await?;
    let doctor = Doctor::new().accept("reachable_without_rls", "app.countries", "the same for everybody");
    let stale = doctor.examine(&mut admin).await?;
    assert_eq!(stale.iter().map(|finding| finding.check).collect::<Vec<_>>(), ["stale_exception"]);
    raw_sql("CREATE TABLE app.countries (code text PRIMARY KEY); GRANT SELECT ON app.countries TO kernel_app")
        .execute(&mut admin)
        .await?;
    assert_eq!(doctor.examine(&mut admin).await?, []);
    let findings = Doctor::new().examine(&mut admin).await?;
    let text = findings.iter().map(ToString::to_string).collect::<String>();
    assert!(
        text.starts_with("reachable_without_rls: app.countries: ") && text.contains("\n    SELECT kernel."),
        "{text}"
    );
    Ok(())
}

#[tokio::test]
async fn it_says_why_it_could_not_look() -> Result {
    let (db, mut admin) = healthy().await?;
    assert!(matches!(Doctor::new().examine_url("not a url").await, Err(DoctorError::Connect(_))));
    let mut tx = admin.begin().await?;
    raw_sql("DROP SCHEMA app, kernel CASCADE").execute(&mut *tx).await?;
    let error = Doctor::new().examine(&mut tx).await.unwrap_err();
    assert!(matches!(error, DoctorError::NotMigrated) && error.to_string().contains("run `migrate`"), "{error}");
    tx.rollback().await?;
    // It writes nothing, and leaves the connection as it was.
    let read_only: String = sqlx::query_scalar("SHOW transaction_read_only").fetch_one(&mut admin).await?;
    assert_eq!(read_only, "off");
    drop(db);
    Ok(())
}
