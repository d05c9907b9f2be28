//! Each filter of the audit log reads what it finds and no more.

use saas_kernel::BoxError;
use saas_kernel::audit::AuditFilter;
use saas_kernel::id::WorkspaceId;
use saas_kernel::page::PageRequest;
use saas_kernel::store::AuditRepositories;
use saas_kernel_postgres::Migrations;
use saas_kernel_postgres::testing::TestDb;
use uuid::Uuid;

type Result = std::result::Result<(), BoxError>;

const LARGE: &str = "00000000-0000-7000-8000-00000000000a";

/// One workspace with 20,000 entries, the oldest ten of which are what the filters look for, and many with five: what is true of
/// workspaces on average is not of this one.
const FILL: &str = "
INSERT INTO kernel.audit_log (subject_type, subject_id, workspace_id, at, id, retention, version, actor_type, actor_id, actor_label, action,
                              target_type, target_id, meta, request_id)
SELECT 'workspace', '00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-00000000000a', now() - g * interval '1 second',
       gen_random_uuid(), CASE WHEN g % 2 = 0 THEN 'standard' ELSE 'security' END, 1, 'user',
       ('00000000-0000-7000-8000-00000000000' || CASE WHEN g > 19990 THEN 'b' ELSE 'c' END)::uuid, 'usr',
       CASE WHEN g > 19990 THEN 'rare' ELSE 'common' END, CASE WHEN g > 19990 THEN 'rare' ELSE 'common' END,
       CASE WHEN g > 19990 THEN 'rare' ELSE 'prj_' || g END, '{}', 'req'
FROM generate_series(1, 20000) g;
INSERT INTO kernel.audit_log (subject_type, subject_id, workspace_id, at, id, retention, version, actor_type, actor_id, actor_label, action,
                              target_type, target_id, meta, request_id)
SELECT 'workspace', w, w, now() - g * interval '1 minute', gen_random_uuid(), 'standard', 1, 'user', w, 'usr', 'common', 'common', 'prj_' || g,
       '{}', 'req'
FROM (SELECT gen_random_uuid() AS w FROM generate_series(1, 6000)) w, generate_series(1, 5) g;
INSERT INTO kernel.audit_personal (subject_type, subject_id, workspace_id, at, id, retention, actor_id, ip)
SELECT subject_type, subject_id, workspace_id, at, id, retention, actor_id, '192.0.2.1' FROM kernel.audit_log;
ANALYZE kernel.audit_log, kernel.audit_personal";

/// By this transaction, of all partitions.
const READ: &str = "
SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint FROM pg_stat_xact_user_tables
WHERE relname LIKE 'audit\\_%'";

#[tokio::test]
async fn a_filter_reads_little_in_the_largest_workspace_however_often_it_was_asked() -> Result {
    let db = TestDb::new(&Migrations::kernel()).await?;
    sqlx::raw_sql(FILL).execute(&mut db.admin().await?).await?;
    let workspace = WorkspaceId::from(LARGE.parse::<Uuid>()?);
    let rare = Some("rare".to_owned());
    let by_actor = Some("00000000-0000-7000-8000-00000000000b".parse()?);
    let any = AuditFilter::default();
    let filters = [
        ("none", any.clone(), 20),
        ("actor", AuditFilter { actor_type: Some("user".to_owned()), actor_id: by_actor, ..any.clone() }, 10),
        ("action", AuditFilter { action: rare.clone(), ..any.clone() }, 10),
        ("kind of target", AuditFilter { target_type: rare.clone(), ..any.clone() }, 10),
        ("target", AuditFilter { target_id: rare.clone(), ..any.clone() }, 10),
        ("target with its kind", AuditFilter { target_type: rare.clone(), target_id: rare, ..any.clone() }, 10),
        ("nothing that there is", AuditFilter { action: Some("never".to_owned()), ..any }, 0),
    ];
    let mut tx = db.system().await?.begin_system("test").await?;
    // After some executions Postgres may plan a prepared statement for the average workspace and any filter.
    for round in 1..=8 {
        for (name, filter, expect) in &filters {
            let before: i64 = sqlx::query_scalar(READ).fetch_one(tx.conn()).await?;
            let page = tx.audit_log().list(workspace.into(), filter, &PageRequest::first(20)).await?;
            let read = sqlx::query_scalar::<_, i64>(READ).fetch_one(tx.conn()).await? - before;
            assert_eq!(page.items.len(), *expect, "{name}");
            // Each entry and its personal data, and the next entry of each month of both classes.
            assert!(read <= 70, "{name}, round {round}: {read} rows were read for {expect}");
            assert!(page.items.iter().all(|entry| entry.ip.is_some()), "{name}");
        }
    }
    Ok(())
}
