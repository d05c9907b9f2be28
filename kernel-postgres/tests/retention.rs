//! Months of records are dropped when they were kept long enough, by class, and not before.

mod fixtures;

use chrono::TimeDelta;
use fixtures::{Result, healthy};
use saas_kernel_postgres::doctor::Doctor;
use saas_kernel_postgres::testing::TestDb;
use saas_kernel_postgres::{DropReport, Retention};
use sqlx::{Connection, PgConnection};

/// Entries of both classes with their personal data, an event, and what a provider sent, all of `$1` days ago.
const RECORDS: [&str; 4] = [
    "INSERT INTO kernel.audit_log (subject_type, subject_id, at, id, retention, version, actor_type, actor_id, actor_label, action,
                                   target_type, target_id, meta, request_id)
     SELECT 'person', gen_random_uuid(), now() - make_interval(days => $1), gen_random_uuid(), class, 1, 'user', gen_random_uuid(), 'Ada',
            'x.done', 'x', 'x', '{}', 'req'
     FROM unnest(ARRAY['standard', 'security']) class",
    "INSERT INTO kernel.audit_personal (subject_type, subject_id, at, id, retention, actor_id, ip)
     SELECT 'person', gen_random_uuid(), now() - make_interval(days => $1), gen_random_uuid(), class, gen_random_uuid(), '192.0.2.1'
     FROM unnest(ARRAY['standard', 'security']) class",
    "INSERT INTO kernel.outbox (subject_type, subject_id, at, id, version, actor_type, actor_id, actor_label, subject, body, request_id)
     VALUES ('person', gen_random_uuid(), now() - make_interval(days => $1), gen_random_uuid(), 1, 'user', gen_random_uuid(), 'Ada', 'x',
             '{}', 'req')",
    "INSERT INTO kernel.webhook_inbox (provider, event_id, event_created, kind, payload, state, received_at)
     VALUES ('x', gen_random_uuid()::text, now() - make_interval(days => $1), 'x', '{}', 'PROCESSED', now())",
];

/// A database with the records of these days, each in its month's partition.
async fn with_records(days: &[i32]) -> Result<(TestDb, PgConnection)> {
    let (db, mut admin) = healthy().await?;
    for days in days {
        let add =
            "SELECT kernel.add_partition(parent, (now() AT TIME ZONE 'UTC')::date - $1) FROM kernel.monthly_tables()";
        sqlx::query(add).bind(days).execute(&mut admin).await?;
        for write in RECORDS {
            sqlx::query(write).bind(days).execute(&mut admin).await?;
        }
    }
    Ok((db, admin))
}

/// Partitions with rows, without their months.
async fn tables_with_rows(admin: &mut PgConnection) -> Result<Vec<String>> {
    let sql = "SELECT regexp_replace(r.tableoid::regclass::text, '^kernel\\.|_\\d{4}_\\d{2}$', '', 'g')
               FROM (SELECT tableoid FROM kernel.audit_log UNION ALL SELECT tableoid FROM kernel.audit_personal
                     UNION ALL SELECT tableoid FROM kernel.outbox UNION ALL SELECT tableoid FROM kernel.webhook_inbox) r ORDER BY 1";
    Ok(sqlx::query_scalar(sql).fetch_all(admin).await?)
}

fn dropped(report: &DropReport) -> Vec<&str> {
    report.dropped.iter().map(|partition| partition.parent.as_str()).collect()
}

const MINIMUM: Retention = Retention {
    audit_standard: TimeDelta::days(90),
    audit_security: TimeDelta::days(365),
    outbox: TimeDelta::days(30),
    webhook_inbox: TimeDelta::days(60),
};

#[tokio::test]
async fn each_class_is_dropped_when_its_time_is_over() -> Result {
    // A month ends up to 31 days later than the day in it.
    let (db, mut admin) = with_records(&[1, 130]).await?;
    let system = db.system().await?;
    assert_eq!(
        system
            .drop_expired_partitions(&Retention { outbox: TimeDelta::days(300), ..Retention::default() })
            .await?
            .dropped
            .len(),
        1
    );
    let report = system.drop_expired_partitions(&MINIMUM).await?;
    assert_eq!(dropped(&report), ["audit_personal_standard", "audit_log_standard", "outbox"], "{report:?}");
    let left = tables_with_rows(&mut admin).await?;
    let both = |name| [name, name];
    assert_eq!(
        left,
        [
            &both("audit_log_security")[..],
            &["audit_log_standard"],
            &both("audit_personal_security"),
            &["audit_personal_standard", "outbox", "webhook_inbox"],
        ]
        .concat()
    );
    assert_eq!(system.drop_expired_partitions(&MINIMUM).await?, DropReport::default());
    assert_eq!(Doctor::new().examine(&mut admin).await?, []);
    Ok(())
}

#[tokio::test]
async fn security_entries_are_dropped_after_their_own_time() -> Result {
    let (db, mut admin) = with_records(&[400]).await?;
    let report = db.system().await?.drop_expired_partitions(&MINIMUM).await?;
    assert_eq!((report.dropped.len(), &report.kept[..]), (6, &[][..]), "{report:?}");
    assert_eq!(tables_with_rows(&mut admin).await?, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn a_retention_below_the_minimum_drops_nothing() -> Result {
    let (db, mut admin) = with_records(&[4000]).await?;
    let before = tables_with_rows(&mut admin).await?;
    let short = |days| TimeDelta::days(days);
    for retention in [
        Retention { audit_standard: short(89), ..MINIMUM },
        Retention { audit_security: short(364), ..MINIMUM },
        Retention { outbox: short(29), ..MINIMUM },
        Retention { webhook_inbox: short(-1), ..MINIMUM },
    ] {
        let refused = db.system().await?.drop_expired_partitions(&retention).await.unwrap_err();
        assert!(format!("{refused:?}").contains("pass a longer retention"), "{refused:?}");
    }
    // Nor by SQL: each call is checked by itself.
    let mut system = PgConnection::connect(&db.system_url()).await?;
    for (call, says) in [
        ("SELECT kernel.drop_partition('audit_log_security', '2015-01-01', 10)", "pass a longer retention"),
        ("SELECT kernel.drop_partition('outbox', '2015-01-01', NULL)", "pass a longer retention"),
        ("SELECT kernel.drop_partition('users', '2015-01-01', 4000)", "not one of the partitioned tables"),
        ("SELECT kernel.drop_partition('audit_log', '2015-01-01', 4000)", "not one of the partitioned tables"),
        ("DROP TABLE kernel.outbox_default", "must be owner"),
    ] {
        let refused = sqlx::query(call).execute(&mut system).await.unwrap_err().to_string();
        assert!(refused.contains(says), "{call}: {refused}");
    }
    // A month that is not over for so long is not dropped by its name, nor one that is not there.
    for month in ["now()", "now() - interval '2 years'"] {
        let call = format!("SELECT kernel.drop_partition('outbox', ({month})::date, 30)");
        let gone: bool = sqlx::query_scalar(sqlx::AssertSqlSafe(call)).fetch_one(&mut system).await?;
        assert!(!gone, "{month}");
    }
    let mut app = PgConnection::connect(&db.app_url()).await?;
    for call in [
        "SELECT kernel.drop_partition('outbox', '2015-01-01', 400)",
        "SELECT * FROM kernel.expired_partitions('outbox', 400)",
    ] {
        let refused = sqlx::query(call).execute(&mut app).await.unwrap_err().to_string();
        assert!(refused.contains("permission denied"), "{call}: {refused}");
    }
    assert_eq!(tables_with_rows(&mut admin).await?, before);
    Ok(())
}

#[tokio::test]
async fn what_is_still_needed_is_kept_and_reported() -> Result {
    let (db, mut admin) = with_records(&[400]).await?;
    let due = "UPDATE kernel.webhook_inbox SET state = 'FAILED', due_at = now()";
    sqlx::query(due).execute(&mut admin).await?;
    // A reader of the outbox, such as a backup.
    let mut long = PgConnection::connect(&db.system_url()).await?;
    let mut long_read = long.begin().await?;
    sqlx::query("SELECT count(*) FROM kernel.outbox").execute(&mut *long_read).await?;
    let system = db.system().await?;
    let report = system.drop_expired_partitions(&MINIMUM).await?;
    assert_eq!(dropped(&report).len(), 4, "{report:?}");
    let kept: Vec<_> = report.kept.iter().map(|kept| (&*kept.partition.parent, &*kept.reason)).collect();
    assert_eq!(
        kept[0],
        ("outbox", "kernel.outbox or kernel.outbox_default is in use by a long transaction; try again later")
    );
    assert!(kept[1].0 == "webhook_inbox" && kept[1].1.contains("still to be processed"), "{kept:?}");
    assert_eq!(tables_with_rows(&mut admin).await?, ["outbox", "webhook_inbox"]);

    long_read.rollback().await?;
    sqlx::query("UPDATE kernel.webhook_inbox SET state = 'PROCESSED', due_at = NULL").execute(&mut admin).await?;
    let report = system.drop_expired_partitions(&MINIMUM).await?;
    assert_eq!(dropped(&report), ["outbox", "webhook_inbox"], "{report:?}");
    Ok(())
}

#[tokio::test]
async fn entries_are_not_dropped_before_their_personal_data() -> Result {
    let (db, _admin) = with_records(&[400]).await?;
    let mut system = PgConnection::connect(&db.system_url()).await?;
    let call = "SELECT kernel.drop_partition('audit_log_security', (now() AT TIME ZONE 'UTC')::date - 400, 365)";
    let refused = sqlx::query(call).execute(&mut system).await.unwrap_err().to_string();
    assert!(refused.contains("has the personal data of these entries; drop that first"), "{refused}");
    Ok(())
}
