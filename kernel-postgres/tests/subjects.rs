//! Whose records a request writes and reads, in each scope and whatever SQL it runs.

mod fixtures;

use fixtures::{Result, healthy};
use sqlx::{Connection, PgConnection};

const ADA: &str = "00000000-0000-7000-8000-000000000001";
const EVE: &str = "00000000-0000-7000-8000-000000000002";
const OWN: &str = "00000000-0000-7000-8000-00000000000a";
const OTHER: &str = "00000000-0000-7000-8000-00000000000b";
const NIL: &str = "00000000-0000-0000-0000-000000000000";

/// Subjects: type, id, workspace.
const SUBJECTS: [(&str, &str, Option<&str>); 5] = [
    ("workspace", OWN, Some(OWN)),
    ("workspace", OTHER, Some(OTHER)),
    ("person", ADA, None),
    ("person", EVE, None),
    ("platform", NIL, None),
];

/// Scopes: the workspace and the person, and the subjects that a request of that scope writes about and reads.
type Scope = (Option<&'static str>, Option<&'static str>, &'static [usize], &'static [usize]);
const SCOPES: [Scope; 4] = [
    (None, None, &[], &[]),
    (Some(OWN), None, &[0], &[0]),
    (None, Some(ADA), &[2], &[2]),
    // Whoever creates or joins a workspace writes about both, and a workspace's log does not show a person's entries even then.
    (Some(OWN), Some(ADA), &[0, 2], &[0]),
];

const INSERTS: [&str; 3] = [
    "INSERT INTO kernel.audit_log (subject_type, subject_id, workspace_id, id, retention, version, actor_type, actor_id, actor_label, action,
                                   target_type, target_id, meta, request_id)
     VALUES ($1, $2::uuid, $3::uuid, gen_random_uuid(), 'standard', 1, 'user', $2::uuid, 'x', 'x.done', 'x', 'x', '{}', 'req')",
    "INSERT INTO kernel.audit_personal (subject_type, subject_id, workspace_id, id, retention, actor_id, ip)
     VALUES ($1, $2::uuid, $3::uuid, gen_random_uuid(), 'standard', $2::uuid, '192.0.2.1')",
    "INSERT INTO kernel.outbox (subject_type, subject_id, workspace_id, id, version, actor_type, actor_id, actor_label, subject, body,
                                request_id)
     VALUES ($1, $2::uuid, $3::uuid, gen_random_uuid(), 1, 'user', $2::uuid, 'x', 'x.done', '{}', 'req')",
];
const READS: [&str; 2] = [
    "SELECT subject_id::text FROM kernel.audit_log ORDER BY 1",
    "SELECT subject_id::text FROM kernel.audit_personal ORDER BY 1",
];

/// Runs the insert and rolls it back; the SQLSTATE if it is refused.
async fn insert(
    login: &mut PgConnection,
    (workspace, person): (Option<&str>, Option<&str>),
    sql: &'static str,
    (kind, id, of): (&str, &str, Option<&str>),
) -> Result<std::result::Result<(), String>> {
    let mut tx = login.begin().await?;
    set_scope(&mut tx, workspace, person).await?;
    match sqlx::query(sql).bind(kind).bind(id).bind(of).execute(&mut *tx).await {
        Ok(_) => Ok(Ok(())),
        Err(sqlx::Error::Database(error)) => Ok(Err(error.code().unwrap_or_default().into_owned())),
        Err(error) => Err(error.into()),
    }
}

async fn set_scope(tx: &mut PgConnection, workspace: Option<&str>, person: Option<&str>) -> Result {
    let scope = "SELECT set_config('app.workspace_id', coalesce($1, ''), true), set_config('app.self_id', coalesce($2, ''), true)";
    sqlx::query(scope).bind(workspace).bind(person).execute(tx).await?;
    Ok(())
}

#[tokio::test]
async fn a_request_writes_about_its_own_workspace_and_person_only() -> Result {
    let (db, _admin) = healthy().await?;
    let (mut app, mut system) =
        (PgConnection::connect(&db.app_url()).await?, PgConnection::connect(&db.system_url()).await?);
    for (workspace, person, writes, _) in SCOPES {
        for sql in INSERTS {
            for (number, subject) in SUBJECTS.into_iter().enumerate() {
                let done = insert(&mut app, (workspace, person), sql, subject).await?;
                let expected = if writes.contains(&number) { Ok(()) } else { Err("42501".to_owned()) };
                assert_eq!(done, expected, "{subject:?} in the scope {workspace:?}, {person:?}: {sql}");
            }
        }
    }
    for sql in INSERTS {
        for subject in SUBJECTS {
            assert_eq!(insert(&mut system, (None, None), sql, subject).await?, Ok(()), "{subject:?}: {sql}");
        }
        // A record cannot be in one workspace's log and be another's, or be about nothing.
        for subject in [
            ("workspace", OTHER, Some(OWN)),
            ("workspace", OWN, None),
            ("person", OWN, Some(OWN)),
            ("platform", OWN, None),
            ("person", NIL, None),
            ("planet", OWN, None),
        ] {
            let done = insert(&mut system, (None, None), sql, subject).await?;
            assert_eq!(done, Err("23514".to_owned()), "{subject:?}: {sql}");
            assert!(insert(&mut app, (Some(OWN), Some(ADA)), sql, subject).await?.is_err(), "{subject:?}: {sql}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_workspaces_log_never_shows_a_persons_entries() -> Result {
    let (db, mut admin) = healthy().await?;
    for sql in INSERTS {
        for (kind, id, workspace) in SUBJECTS {
            sqlx::query(sql).bind(kind).bind(id).bind(workspace).execute(&mut admin).await?;
        }
    }
    let mut app = PgConnection::connect(&db.app_url()).await?;
    for (workspace, person, _, reads) in SCOPES {
        let expected: Vec<&str> = reads.iter().map(|number| SUBJECTS[*number].1).collect();
        for sql in READS {
            let mut tx = app.begin().await?;
            set_scope(&mut tx, workspace, person).await?;
            let seen: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut *tx).await?;
            assert_eq!(seen, expected, "in the scope {workspace:?}, {person:?}: {sql}");
            tx.rollback().await?;
        }
        // What is read is not changed or erased, and the outbox is not read at all.
        for change in [
            "DELETE FROM kernel.audit_personal",
            "UPDATE kernel.audit_personal SET ip = NULL",
            "DELETE FROM kernel.audit_log",
            "SELECT subject_id FROM kernel.outbox",
        ] {
            let mut tx = app.begin().await?;
            set_scope(&mut tx, workspace, person).await?;
            let refused = sqlx::query(change).execute(&mut *tx).await.unwrap_err();
            assert!(refused.to_string().contains("permission denied"), "{change}: {refused}");
            tx.rollback().await?;
        }
    }
    Ok(())
}
