//! What a violated foreign key is told as, to a request's database role: it is not told the columns.

mod fixtures;

use fixtures::{Result, healthy};
use saas_kernel::StoreError;
use saas_kernel_postgres::PgResult;
use sqlx::{Connection, PgConnection};

const OWN: &str = "00000000-0000-7000-8000-00000000000a";

/// A project in each of two workspaces; that of the other one has the id …2.
const SEED: &str = "
INSERT INTO kernel.catalogs (number, fingerprint, plans)
VALUES (1, 'test', '[{\"plan\": \"free\", \"name\": \"Free\", \"features\": [], \"limits\": {\"members\": \"unlimited\", \"projects\": \"unlimited\"}}]');
INSERT INTO kernel.workspaces (id, slug, name, created_by_type, created_by_id, created_at, updated_at)
SELECT ('00000000-0000-7000-8000-00000000000' || n)::uuid, 'w' || n, 'W', 'user', gen_random_uuid(), now(), now()
FROM unnest(ARRAY['a', 'b']) n;
INSERT INTO app.projects (workspace_id, id, name, state)
VALUES ('00000000-0000-7000-8000-00000000000a', '00000000-0000-7000-8000-000000000001', 'Ours', 'open'),
       ('00000000-0000-7000-8000-00000000000b', '00000000-0000-7000-8000-000000000002', 'Theirs', 'open')";

const TASK: &str = "INSERT INTO app.tasks (workspace_id, id, project_id, title, country)
                    VALUES (kernel.ws(), gen_random_uuid(), $1::uuid, 'T', 'DE')";
const OURS: &str = "00000000-0000-7000-8000-000000000001";
const THEIRS: &str = "00000000-0000-7000-8000-000000000002";
const NOBODYS: &str = "00000000-0000-7000-8000-000000000003";
const DELETE: &str = "DELETE FROM app.projects WHERE id = $1::uuid";

/// As Postgres names it, and without the fixture's ON DELETE CASCADE.
const PLAIN: &str = "ALTER TABLE app.tasks DROP CONSTRAINT tasks_project,
                     ADD FOREIGN KEY (workspace_id, project_id) REFERENCES app.projects";

/// Runs `sql` in the own workspace, commits, and gives table, field and `in_use` of the reference that refused it.
async fn refused(app: &mut PgConnection, sql: &'static str, id: &str) -> Result<Option<(String, String, bool)>> {
    let mut tx = app.begin().await?;
    sqlx::query("SELECT set_config('app.workspace_id', $1, true)").bind(OWN).execute(&mut *tx).await?;
    let done = match sqlx::query(sql).bind(id).execute(&mut *tx).await.store() {
        Ok(_) => tx.commit().await.store(),
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => Ok(None),
        Err(StoreError::Reference { table, field, in_use }) => Ok(Some((table, field, in_use))),
        Err(error) => Err(error.into()),
    }
}

fn reference(field: &str, in_use: bool) -> Option<(String, String, bool)> {
    Some(("tasks".to_owned(), field.to_owned(), in_use))
}

#[tokio::test]
async fn a_reference_is_named_by_its_field() -> Result {
    let (db, mut admin) = healthy().await?;
    sqlx::raw_sql(SEED).execute(&mut admin).await?;
    let mut app = PgConnection::connect(&db.app_url()).await?;
    // The fixture's constraint has a name of its own.
    assert_eq!(refused(&mut app, TASK, NOBODYS).await?, reference("tasks_project", false));

    sqlx::raw_sql(PLAIN).execute(&mut admin).await?;
    assert_eq!(refused(&mut app, TASK, NOBODYS).await?, reference("project_id", false));
    assert_eq!(refused(&mut app, TASK, THEIRS).await?, reference("project_id", false), "it does not exist here");
    assert_eq!(refused(&mut app, TASK, OURS).await?, None);
    assert_eq!(refused(&mut app, DELETE, OURS).await?, reference("project_id", true));
    let restricted = "ALTER TABLE app.tasks DROP CONSTRAINT tasks_workspace_id_project_id_fkey,
                      ADD FOREIGN KEY (workspace_id, project_id) REFERENCES app.projects ON DELETE RESTRICT";
    sqlx::raw_sql(restricted).execute(&mut admin).await?;
    assert_eq!(refused(&mut app, DELETE, OURS).await?, reference("project_id", true));

    // One that is checked by the commit; a second one of the same columns, which Postgres numbers.
    let numbered = "ALTER TABLE app.tasks ADD FOREIGN KEY (workspace_id, project_id) REFERENCES app.projects DEFERRABLE INITIALLY DEFERRED;
                    ALTER TABLE app.tasks DROP CONSTRAINT tasks_workspace_id_project_id_fkey;
                    ALTER TABLE app.tasks VALIDATE CONSTRAINT tasks_workspace_id_project_id_fkey1";
    sqlx::raw_sql(numbered).execute(&mut admin).await?;
    assert_eq!(refused(&mut app, TASK, NOBODYS).await?, reference("project_id", false));
    assert_eq!(refused(&mut app, DELETE, OURS).await?, reference("project_id", true));
    Ok(())
}
