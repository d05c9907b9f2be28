//! Monthly partitions are made while readers and writers go on, and a month without one keeps its rows.

mod fixtures;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fixtures::{Result, healthy};
use saas_kernel_postgres::PartitionReport;
use saas_kernel_postgres::doctor::Doctor;
use saas_kernel_postgres::testing::TestDb;
use sqlx::{Connection, PgConnection, raw_sql};

const PARENTS: [&str; 6] = [
    "audit_log_security",
    "audit_log_standard",
    "audit_personal_security",
    "audit_personal_standard",
    "outbox",
    "webhook_inbox",
];

/// One row for each partitioned table, in this month's partition.
const WRITES: [&str; 6] = [
    "INSERT INTO kernel.audit_log (subject_type, subject_id, id, retention, version, actor_type, actor_id, actor_label, action, target_type,
                                   target_id, meta, request_id)
     VALUES ('person', gen_random_uuid(), gen_random_uuid(), 'security', 1, 'user', gen_random_uuid(), 'Ada', 'x.done', 'x', 'x', '{}', 'req')",
    "INSERT INTO kernel.audit_log (subject_type, subject_id, id, retention, version, actor_type, actor_id, actor_label, action, target_type,
                                   target_id, meta, request_id)
     VALUES ('person', gen_random_uuid(), gen_random_uuid(), 'standard', 1, 'user', gen_random_uuid(), 'Ada', 'x.done', 'x', 'x', '{}', 'req')",
    "INSERT INTO kernel.audit_personal (subject_type, subject_id, id, retention, actor_id)
     VALUES ('person', gen_random_uuid(), gen_random_uuid(), 'security', gen_random_uuid())",
    "INSERT INTO kernel.audit_personal (subject_type, subject_id, id, retention, actor_id)
     VALUES ('person', gen_random_uuid(), gen_random_uuid(), 'standard', gen_random_uuid())",
    "INSERT INTO kernel.outbox (subject_type, subject_id, id, version, actor_type, actor_id, actor_label, subject, body, request_id)
     VALUES ('person', gen_random_uuid(), gen_random_uuid(), 1, 'user', gen_random_uuid(), 'Ada', 'x', '{}', 'req')",
    "INSERT INTO kernel.webhook_inbox (provider, event_id, event_created, kind, payload, received_at)
     VALUES ('x', gen_random_uuid()::text, now(), 'x', '{}', now())",
];

/// `outbox_2026_03`, so many months from now.
async fn partition(admin: &mut PgConnection, parent: &str, ahead: i32) -> Result<String> {
    let name =
        "SELECT $1 || to_char(date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => $2), '_YYYY_MM')";
    Ok(sqlx::query_scalar(name).bind(parent).bind(ahead).fetch_one(admin).await?)
}

/// Drops one month's partition of each parent and returns their names.
async fn drop_month(admin: &mut PgConnection, ahead: i32) -> Result<Vec<String>> {
    let mut dropped = Vec::new();
    for parent in PARENTS {
        let name = partition(admin, parent, ahead).await?;
        execute(admin, format!("DROP TABLE kernel.{name}")).await?;
        dropped.push(name);
    }
    Ok(dropped)
}

async fn execute(connection: &mut PgConnection, sql: String) -> Result {
    raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}

/// Those of `names` that are attached to a parent.
async fn attached(admin: &mut PgConnection, names: &[String]) -> Result<Vec<String>> {
    let sql = "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
               WHERE c.relnamespace = 'kernel'::regnamespace AND c.relname = ANY($1) ORDER BY 1";
    Ok(sqlx::query_scalar(sql).bind(names).fetch_all(admin).await?)
}

/// Where the rows of a table are.
async fn places(admin: &mut PgConnection, parent: &str) -> Result<Vec<(String, i64)>> {
    let sql = format!(
        "SELECT p.relname::text, count(*) FROM kernel.{parent} r JOIN pg_class p ON p.oid = r.tableoid GROUP BY 1 ORDER BY 1"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(admin).await?)
}

fn added(report: &PartitionReport) -> Vec<String> {
    report.added.iter().map(|added| format!("{}{}", added.parent, added.month.format("_%Y_%m"))).collect()
}

fn missing(report: &PartitionReport) -> Vec<String> {
    let names = report.missing.iter().map(|missing| &missing.partition);
    names.map(|missing| format!("{}{}", missing.parent, missing.month.format("_%Y_%m"))).collect()
}

async fn as_system(db: &TestDb) -> Result<PgConnection> {
    Ok(PgConnection::connect(&db.system_url()).await?)
}

#[tokio::test]
async fn a_long_reader_neither_holds_up_writers_nor_other_tables() -> Result {
    let (db, mut admin) = healthy().await?;
    let names = drop_month(&mut admin, 3).await?;
    let system = db.system().await?;
    let (mut long, mut writer, mut reader) = (as_system(&db).await?, as_system(&db).await?, as_system(&db).await?);
    let mut long_read = long.begin().await?;
    sqlx::query("SELECT count(*) FROM kernel.audit_log").execute(&mut *long_read).await?;
    // Nobody who writes has to wait at all; who reads the same table waits for one attempt at most.
    sqlx::query("SET lock_timeout = '100ms'").execute(&mut writer).await?;
    sqlx::query("SET lock_timeout = '1s'").execute(&mut reader).await?;

    let making = {
        let system = system.clone();
        tokio::spawn(async move { system.ensure_partitions().await })
    };
    let mut rounds = 0;
    while rounds == 0 || !making.is_finished() {
        for write in WRITES {
            sqlx::query(write)
                .execute(&mut writer)
                .await
                .map_err(|error| format!("round {rounds}: {write}: {error}"))?;
        }
        sqlx::query("SELECT count(*) FROM kernel.audit_log").execute(&mut reader).await?;
        rounds += 1;
    }
    let report = making.await??;
    assert_eq!((added(&report), missing(&report)), (names[2..].to_vec(), names[..2].to_vec()), "{report:?}");
    assert!(report.missing[0].reason.contains("kernel.audit_log_security_default is in use"), "{report:?}");
    assert_eq!(attached(&mut admin, &names).await?, names[2..], "the audit log is read, the others are not");

    long_read.rollback().await?;
    let report = system.ensure_partitions().await?;
    assert_eq!((added(&report), missing(&report)), (names[..2].to_vec(), vec![]));
    assert_eq!(attached(&mut admin, &names).await?, names);
    assert_eq!(system.ensure_partitions().await?, PartitionReport::default());
    assert_eq!(Doctor::new().examine(&mut admin).await?, []);
    Ok(())
}

#[tokio::test]
async fn rows_of_a_missing_month_are_kept_and_readable_and_move_to_its_partition() -> Result {
    let (db, mut admin) = healthy().await?;
    let names = drop_month(&mut admin, 0).await?;
    let mut writer = as_system(&db).await?;
    for (write, parent) in WRITES.into_iter().zip(PARENTS) {
        sqlx::query(write).execute(&mut writer).await?;
        assert_eq!(places(&mut admin, parent).await?, [(format!("{parent}_default"), 1)]);
    }
    let before: String = sqlx::query_scalar("SELECT json_agg(a ORDER BY a.seq)::text FROM kernel.audit_log a")
        .fetch_one(&mut writer)
        .await?;

    let report = db.system().await?.ensure_partitions().await?;
    assert_eq!((added(&report), missing(&report)), (names.clone(), vec![]));
    for (name, parent) in names.into_iter().zip(PARENTS) {
        assert_eq!(places(&mut admin, parent).await?, [(name, 1)]);
    }
    let after: String = sqlx::query_scalar("SELECT json_agg(a ORDER BY a.seq)::text FROM kernel.audit_log a")
        .fetch_one(&mut writer)
        .await?;
    assert_eq!(after, before);
    // As append-only and as closed as the others are.
    for change in
        ["UPDATE kernel.audit_log SET action = 'y'", "DELETE FROM kernel.audit_log", "TRUNCATE kernel.audit_log"]
    {
        let refused = sqlx::query(change).execute(&mut admin).await.unwrap_err();
        assert!(refused.to_string().contains("is append-only"), "{change}: {refused}");
    }
    assert_eq!(Doctor::new().examine(&mut admin).await?, []);
    Ok(())
}

#[tokio::test]
async fn no_write_fails_while_its_own_month_gets_a_partition() -> Result {
    let (db, mut admin) = healthy().await?;
    let names = drop_month(&mut admin, 0).await?;
    let done = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for _ in 0..4 {
        let (mut writer, done) = (as_system(&db).await?, done.clone());
        writers.push(tokio::spawn(async move {
            let mut written = 0;
            while !done.load(Ordering::Relaxed) && written < 200 {
                sqlx::query(WRITES[4]).execute(&mut writer).await?;
                written += 1;
            }
            Ok::<_, sqlx::Error>(written)
        }));
    }
    let report = db.system().await?.ensure_partitions().await?;
    done.store(true, Ordering::Relaxed);
    let mut written = 0;
    for writer in writers {
        written += writer.await??;
    }
    assert_eq!((added(&report), missing(&report)), (names.clone(), vec![]), "{report:?}");
    assert_eq!(places(&mut admin, "outbox").await?, [(names[4].clone(), written)]);
    Ok(())
}

#[tokio::test]
async fn many_rows_in_a_default_partition_stay_there_and_the_month_is_reported() -> Result {
    let (db, mut admin) = healthy().await?;
    let names = drop_month(&mut admin, 3).await?;
    let fill = "INSERT INTO kernel.webhook_inbox (provider, event_id, event_created, kind, payload, received_at)
                SELECT 'x', n::text, date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + interval '3 months 2 days', 'x', '{}', now()
                FROM generate_series(1, 5001) n";
    sqlx::query(fill).execute(&mut admin).await?;
    let system = db.system().await?;
    for other_months in [names[..5].to_vec(), vec![]] {
        let report = system.ensure_partitions().await?;
        assert_eq!((added(&report), missing(&report)), (other_months, names[5..].to_vec()), "{report:?}");
    }
    assert_eq!(places(&mut admin, "webhook_inbox").await?, [("webhook_inbox_default".to_owned(), 5001)]);

    // The reason is the way out, for somebody who knows that others may wait.
    let reason = system.ensure_partitions().await?.missing[0].reason.clone();
    let (_, mend) = reason.split_once("when they may: ").ok_or(reason.clone())?;
    execute(&mut as_system(&db).await?, mend.to_owned()).await?;
    assert_eq!(places(&mut admin, "webhook_inbox").await?, [(names[5].clone(), 5001)]);
    assert_eq!(system.ensure_partitions().await?, PartitionReport::default());
    Ok(())
}

#[tokio::test]
async fn a_large_default_partition_is_not_read_while_others_wait() -> Result {
    let (db, mut admin) = healthy().await?;
    let names = drop_month(&mut admin, 3).await?;
    let fill = "INSERT INTO kernel.webhook_inbox (provider, event_id, event_created, kind, payload, received_at)
                SELECT 'x', n::text, '2001-01-01', repeat('x', 1900), '{}', now() FROM generate_series(1, 9000) n";
    sqlx::query(fill).execute(&mut admin).await?;
    let report = db.system().await?.ensure_partitions().await?;
    assert_eq!((added(&report), missing(&report)), (names[..5].to_vec(), names[5..].to_vec()), "{report:?}");
    assert!(report.missing[0].reason.contains("kernel.webhook_inbox_default has "), "{report:?}");
    Ok(())
}

#[tokio::test]
async fn tables_left_by_an_interrupted_build_or_a_detach_are_attached() -> Result {
    let (db, mut admin) = healthy().await?;
    let names = drop_month(&mut admin, 3).await?;
    execute(
        &mut admin,
        format!(
            "CREATE TABLE kernel.{} (LIKE kernel.audit_log INCLUDING CONSTRAINTS); ALTER TABLE kernel.{0} OWNER TO kernel_owner",
            names[0]
        ),
    )
    .await?;
    // With a row that a query by its owner does not show.
    sqlx::query(WRITES[0]).execute(&mut admin).await?;
    let this_month = partition(&mut admin, "audit_log_security", 0).await?;
    execute(&mut admin, format!("ALTER TABLE kernel.audit_log_security DETACH PARTITION kernel.{this_month}")).await?;

    let report = db.system().await?.ensure_partitions().await?;
    let (mut all, mut expected) = (added(&report), [vec![this_month.clone()], names].concat());
    all.sort();
    expected.sort();
    assert_eq!(all, expected, "{report:?}");
    assert_eq!(places(&mut admin, "audit_log_security").await?, [(this_month, 1)]);
    assert_eq!(Doctor::new().examine(&mut admin).await?, []);
    Ok(())
}

#[tokio::test]
async fn copies_of_the_app_that_start_at_once_add_each_partition_once() -> Result {
    let (db, mut admin) = healthy().await?;
    let mut names = Vec::new();
    for ahead in 1..=3 {
        names.extend(drop_month(&mut admin, ahead).await?);
    }
    let system = db.system().await?;
    let (a, b, c) = tokio::join!(system.ensure_partitions(), system.ensure_partitions(), system.ensure_partitions());
    let reports = [a?, b?, c?];
    let mut all: Vec<_> = reports.iter().flat_map(added).collect();
    all.sort();
    names.sort();
    assert_eq!(all, names);
    assert!(reports.iter().all(|report| report.missing.is_empty()), "{reports:?}");
    Ok(())
}

#[tokio::test]
async fn the_systems_role_adds_months_to_the_partitioned_tables_and_nothing_else() -> Result {
    let (db, mut admin) = healthy().await?;
    let mut system = as_system(&db).await?;
    for (call, says) in [
        ("SELECT kernel.add_partition('users', '2030-01-01')", "not one of the partitioned tables"),
        ("SELECT kernel.add_partition('audit_log', '2030-01-01')", "not one of the partitioned tables"),
        ("SELECT kernel.move_rows('outbox', 'outbox_default', 'true')", "permission denied"),
        ("SELECT kernel.build_partition('outbox', 'x')", "permission denied"),
        ("SELECT kernel.close_partition('outbox', 'outbox_default')", "permission denied"),
        ("SELECT kernel.add_default_partition('outbox')", "permission denied"),
    ] {
        let refused = sqlx::query(call).execute(&mut system).await.unwrap_err().to_string();
        assert!(refused.contains(says), "{call}: {refused}");
    }
    let mut app = PgConnection::connect(&db.app_url()).await?;
    let refused =
        sqlx::query("SELECT kernel.add_partition('outbox', '2030-01-01')").execute(&mut app).await.unwrap_err();
    assert!(refused.to_string().contains("permission denied"), "{refused}");

    // The bounds are in UTC, whoever calls it and however they write dates.
    execute(&mut system, "SET timezone = 'America/New_York'; SET datestyle = 'SQL, DMY'".to_owned()).await?;
    let call = "SELECT kernel.add_partition('outbox', '2030-02-17')";
    for made in [true, false] {
        assert_eq!(sqlx::query_scalar::<_, bool>(call).fetch_one(&mut system).await?, made);
    }
    let bounds = "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = 'kernel.outbox_2030_02'::regclass";
    let bounds: String = sqlx::query_scalar(bounds).fetch_one(&mut admin).await?;
    assert_eq!(bounds, "FOR VALUES FROM ('2030-02-01 00:00:00+00') TO ('2030-03-01 00:00:00+00')");
    Ok(())
}
