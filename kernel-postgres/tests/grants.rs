//! What a request's database role cannot do within its own workspace either, whatever SQL it runs.

mod fixtures;

use std::collections::BTreeSet;

use fixtures::{Result, healthy};
use saas_kernel_postgres::Migrations;
use saas_kernel_postgres::testing::TestDb;
use sqlx::{Connection, PgConnection};

const WORKSPACE: &str = "00000000-0000-7000-8000-00000000000a";
const ADA: &str = "00000000-0000-7000-8000-000000000001";
const VICTIM: &str = "00000000-0000-7000-8000-000000000002";

/// Ada's workspace with an open and an ended key and invites, and somebody who does not belong to it.
const SEED: &str = "
INSERT INTO kernel.users (id, email, email_lower, name, password_hash, created_at, updated_at)
SELECT ('00000000-0000-7000-8000-00000000000' || n)::uuid, n || '@x.example', n || '@x.example', 'P', 'x', now(), now()
FROM generate_series(1, 2) n;
INSERT INTO kernel.sessions (id, user_id, token_hash, created_at, seen_at, expires_at)
SELECT id, id, sha256(email::bytea), now(), now(), now() + interval '1 day' FROM kernel.users;
INSERT INTO kernel.catalogs (number, fingerprint, plans)
VALUES (1, 'test', '[{\"plan\": \"free\", \"name\": \"Free\", \"features\": [], \"limits\": {\"members\": \"unlimited\", \"projects\": \"unlimited\"}}]');
INSERT INTO kernel.workspaces (id, slug, name, created_by_type, created_by_id, created_at, updated_at)
VALUES ('00000000-0000-7000-8000-00000000000a', 'a', 'A', 'user', '00000000-0000-7000-8000-000000000001', now(), now());
INSERT INTO kernel.memberships (workspace_id, user_id, role, created_at, updated_at)
SELECT id, created_by_id, 'owner', now(), now() FROM kernel.workspaces;
INSERT INTO kernel.api_keys (workspace_id, id, name, prefix, token_hash, scopes, created_by, created_at, revoked_at)
SELECT w.id, gen_random_uuid(), k.name, 'sk', sha256(k.name::bytea), '{}', created_by_id, now(), revoked_at
FROM kernel.workspaces w, (VALUES ('open', NULL), ('revoked', now())) k(name, revoked_at);
INSERT INTO kernel.invites (workspace_id, id, email, email_lower, role, token_hash, invited_by, created_at, expires_at, accepted_at, revoked_at)
SELECT w.id, gen_random_uuid(), i.name, i.name, 'member', sha256(i.name::bytea), created_by_id, now(), now() + interval '1 day',
       accepted_at, revoked_at
FROM kernel.workspaces w, (VALUES ('open', NULL, NULL), ('accepted', now(), NULL), ('revoked', NULL, now())) i(name, accepted_at, revoked_at);
INSERT INTO kernel.idempotency_keys (scope_id, actor_type, actor_id, key, fingerprint, expires_at)
SELECT id, 'user', created_by_id, 'k', '', now() + interval '1 day' FROM kernel.workspaces";

async fn seeded() -> Result<(TestDb, PgConnection, PgConnection)> {
    let db = TestDb::new(&Migrations::kernel()).await?;
    let mut admin = db.admin().await?;
    sqlx::raw_sql(SEED).execute(&mut admin).await?;
    let app = PgConnection::connect(&db.app_url()).await?;
    Ok((db, admin, app))
}

/// Runs `sql` as a request of Ada's in her workspace and commits; rows changed, or the SQLSTATE of the refusal.
async fn as_request(app: &mut PgConnection, sql: &'static str) -> Result<std::result::Result<u64, String>> {
    let mut tx = app.begin().await?;
    let scope = "SELECT set_config('app.workspace_id', $1, true), set_config('app.self_id', $2, true)";
    sqlx::query(scope).bind(WORKSPACE).bind(ADA).execute(&mut *tx).await?;
    match sqlx::query(sql).execute(&mut *tx).await {
        Ok(done) => {
            tx.commit().await?;
            Ok(Ok(done.rows_affected()))
        }
        Err(sqlx::Error::Database(error)) => Ok(Err(error.code().unwrap_or_default().into_owned())),
        Err(error) => Err(error.into()),
    }
}

#[tokio::test]
async fn a_membership_cannot_be_moved_to_another_person() -> Result {
    let (_db, mut admin, mut app) = seeded().await?;
    let moved = as_request(&mut app, "UPDATE kernel.memberships SET user_id = '00000000-0000-7000-8000-000000000002'");
    assert_eq!(moved.await?, Err("42501".to_owned()));
    // A member's address would be shown to the workspace.
    let mut tx = app.begin().await?;
    sqlx::query("SELECT set_config('app.workspace_id', $1, true)").bind(WORKSPACE).execute(&mut *tx).await?;
    let seen: Vec<String> = sqlx::query_scalar("SELECT id::text FROM kernel.users").fetch_all(&mut *tx).await?;
    assert_eq!(seen, [ADA], "{VICTIM} is a stranger");
    tx.rollback().await?;
    assert_eq!(as_request(&mut app, "UPDATE kernel.memberships SET role = 'admin', updated_at = now()").await?, Ok(1));
    let role: String = sqlx::query_scalar("SELECT role FROM kernel.memberships").fetch_one(&mut admin).await?;
    assert_eq!(role, "admin");
    Ok(())
}

#[tokio::test]
async fn a_revoked_key_stays_revoked() -> Result {
    let (_db, mut admin, mut app) = seeded().await?;
    let open =
        "SELECT coalesce(string_agg(name, ', ' ORDER BY name), 'none') FROM kernel.api_keys WHERE revoked_at IS NULL";
    as_request(&mut app, "UPDATE kernel.api_keys SET revoked_at = NULL")
        .await?
        .map_err(|code| format!("the open one is not hidden: {code}"))?;
    assert_eq!(sqlx::query_scalar::<_, String>(open).fetch_one(&mut admin).await?, "open");
    assert_eq!(
        as_request(&mut app, "UPDATE kernel.api_keys SET revoked_at = now(), last_used_at = now()").await?,
        Ok(1)
    );
    assert_eq!(sqlx::query_scalar::<_, String>(open).fetch_one(&mut admin).await?, "none");
    assert_eq!(as_request(&mut app, "UPDATE kernel.api_keys SET revoked_at = NULL").await?, Ok(0));
    Ok(())
}

#[tokio::test]
async fn an_ended_invite_stays_ended() -> Result {
    let (_db, mut admin, mut app) = seeded().await?;
    let open = "SELECT coalesce(string_agg(email, ', ' ORDER BY email), 'none') FROM kernel.invites WHERE accepted_at IS NULL AND revoked_at IS NULL";
    for reopen in [
        "UPDATE kernel.invites SET accepted_at = NULL, revoked_at = NULL",
        "UPDATE kernel.invites SET expires_at = now() + interval '1 year', role = 'owner'",
        "UPDATE kernel.invites SET token_hash = sha256('mine')",
    ] {
        assert_eq!(as_request(&mut app, reopen).await?, Ok(1), "the open one only: {reopen}");
    }
    assert_eq!(sqlx::query_scalar::<_, String>(open).fetch_one(&mut admin).await?, "open");
    assert_eq!(as_request(&mut app, "UPDATE kernel.invites SET accepted_at = now()").await?, Ok(1));
    assert_eq!(sqlx::query_scalar::<_, String>(open).fetch_one(&mut admin).await?, "none");
    Ok(())
}

/// Whose a row is, what it is found by, and whatever no route changes.
#[tokio::test]
async fn what_no_request_has_to_change_cannot_be_changed() -> Result {
    let (_db, _admin, mut app) = seeded().await?;
    for change in [
        "UPDATE kernel.memberships SET status = 'suspended'",
        "UPDATE kernel.memberships SET created_at = now()",
        "UPDATE kernel.invites SET id = gen_random_uuid()",
        "UPDATE kernel.invites SET email_lower = 'x'",
        "UPDATE kernel.idempotency_keys SET key = 'x'",
        "UPDATE kernel.idempotency_keys SET actor_id = gen_random_uuid()",
        "UPDATE kernel.sessions SET token_hash = sha256('x')",
        "UPDATE kernel.sessions SET created_at = now()",
        "DELETE FROM kernel.sessions",
        "UPDATE kernel.users SET email = 'x'",
        "UPDATE kernel.users SET name = 'x'",
        "UPDATE kernel.slugs SET slug = 'xyz'",
        "UPDATE kernel.workspaces SET status = 'active'",
        "UPDATE kernel.workspaces SET entitlements = '{}'",
        "INSERT INTO kernel.workspaces (id, slug, name, entitlements, created_by_type, created_by_id, created_at, updated_at)
         VALUES (kernel.ws(), 'b', 'B', '{}', 'user', kernel.me(), now(), now())",
        "UPDATE kernel.usage SET cap = NULL",
        "INSERT INTO kernel.usage (workspace_id, key, cap) VALUES (kernel.ws(), 'boards', NULL)",
        "INSERT INTO kernel.usage (workspace_id, key, used) VALUES (kernel.ws(), 'boards', 0)",
        "SELECT FROM kernel.catalogs",
        "INSERT INTO kernel.catalogs (number, fingerprint, plans) VALUES (2, 'mine', '[]')",
    ] {
        assert_eq!(as_request(&mut app, change).await?, Err("42501".to_owned()), "{change}");
    }
    for change in [
        "UPDATE kernel.sessions SET seen_at = now(), expires_at = now() + interval '2 days'",
        "UPDATE kernel.idempotency_keys SET fingerprint = 'x', status = 200, headers = '[]', body = 'x', expires_at = now()",
        "UPDATE kernel.workspaces SET slug = 'b', name = 'B', updated_at = now()",
        "UPDATE kernel.usage SET used = used + 1 WHERE key = 'members'",
    ] {
        assert_eq!(as_request(&mut app, change).await?, Ok(1), "{change}");
    }
    Ok(())
}

/// Every grant on a table, a column or a schema.
const GRANTS: &str = "
SELECT concat_ws(' ', o.name, g.grantee::regrole, g.privilege_type)
FROM (SELECT oid::regclass::text AS name, relacl AS acl FROM pg_class WHERE relnamespace IN ('kernel'::regnamespace, 'app'::regnamespace)
      UNION ALL SELECT attrelid::regclass || '.' || attname, attacl FROM pg_attribute
      UNION ALL SELECT nspname, nspacl FROM pg_namespace WHERE nspname IN ('kernel', 'app')) o
CROSS JOIN LATERAL aclexplode(o.acl) g";

#[tokio::test]
async fn protecting_a_table_again_changes_no_grant() -> Result {
    let (_db, mut admin) = healthy().await?;
    let narrowed =
        "REVOKE DELETE, UPDATE ON app.tasks FROM kernel_app; GRANT UPDATE (title) ON app.tasks TO kernel_app;
                    REVOKE INSERT ON app.tasks FROM kernel_system; REVOKE USAGE ON SCHEMA app FROM kernel_system";
    sqlx::raw_sql(narrowed).execute(&mut admin).await?;
    let before: BTreeSet<String> = sqlx::query_scalar(GRANTS).fetch_all(&mut admin).await?.into_iter().collect();
    assert!(before.contains("app.tasks.title kernel_app UPDATE"), "{before:#?}");
    let again = "SELECT kernel.protect(polrelid) FROM pg_policy JOIN pg_attribute ON attrelid = polrelid AND attname = 'workspace_id'
                 WHERE polname = 'owner' AND polrelid <> 'kernel.slugs'::regclass AND attnotnull";
    assert!(sqlx::query(again).execute(&mut admin).await?.rows_affected() >= 8);
    let after: BTreeSet<String> = sqlx::query_scalar(GRANTS).fetch_all(&mut admin).await?.into_iter().collect();
    assert_eq!(after.symmetric_difference(&before).collect::<Vec<_>>(), Vec::<&String>::new());
    Ok(())
}
