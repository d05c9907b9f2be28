//! At a million rows over a thousand workspaces, under row-level security, the hot routes read by index and read little.
//! Counted by Postgres itself while the real routes are called, so that no query is forgotten or copied here.
#![expect(clippy::indexing_slicing, reason = "a test that indexes wrong fails, as it should")]

use std::collections::BTreeMap;

use reqwest::StatusCode;
use saas_kernel::BoxError;
use saas_kernel_tests::{Caller, TestApp, TestResult, eventually};
use serde_json::json;

const FILL: &str = "
SET session_replication_role = replica; -- the counters are filled below, not row by row
CREATE TEMP TABLE places AS
    SELECT n, gen_random_uuid() AS workspace, gen_random_uuid() AS person FROM generate_series(1, 999) n
    UNION ALL SELECT 0, workspace_id, user_id FROM kernel.memberships;
INSERT INTO kernel.users (id, email, email_lower, name, password_hash, created_at, updated_at)
    SELECT person, n || '@fill.example', n || '@fill.example', 'Person', 'x', now(), now() FROM places WHERE n > 0;
INSERT INTO kernel.workspaces (id, slug, name, created_by_type, created_by_id, created_at, updated_at)
    SELECT workspace, 'fill-' || n, 'Fill', 'user', person, now(), now() FROM places WHERE n > 0;
INSERT INTO kernel.slugs (slug, workspace_id, created_at) SELECT 'fill-' || n, workspace, now() FROM places WHERE n > 0;
INSERT INTO kernel.memberships (workspace_id, user_id, role, created_at, updated_at)
    SELECT workspace, person, 'owner', now(), now() FROM places WHERE n > 0;
INSERT INTO kernel.memberships (workspace_id, user_id, role, created_at, updated_at)
    SELECT a.workspace, b.person, 'member', now(), now() FROM places a, places b WHERE b.n > 0 AND (a.n + b.n) % 10 = 0
    ON CONFLICT DO NOTHING;
INSERT INTO kernel.usage (workspace_id, key, used) SELECT workspace, key, 1000 FROM places, unnest(ARRAY['projects', 'members']) key
    ON CONFLICT (workspace_id, key) DO UPDATE SET cap = NULL;
INSERT INTO tracker.projects (workspace_id, id, name, created_by_type, created_by_id, created_at, updated_at)
    SELECT workspace, gen_random_uuid(), 'Project', 'user', person, now() - g * interval '1 minute', now()
    FROM generate_series(1, 1000) g, places;
INSERT INTO kernel.audit_log (workspace_id, at, id, actor_type, actor_id, actor_label, action, target_type, target_id, meta, request_id)
    SELECT workspace, now() - g * interval '1 minute', gen_random_uuid(), 'user', person, 'usr', 'resource.create', 'project', 'prj', '{}', 'req'
    FROM generate_series(1, 1000) g, places;
SET session_replication_role = origin;
ANALYZE;";

/// Scanned one by one, and read in all, by table.
const READ: &str = "
SELECT relname::text, seq_scan, coalesce(idx_tup_fetch, 0) + seq_tup_read FROM pg_stat_user_tables
WHERE n_live_tup > 50000 OR relname IN ('projects', 'memberships')";

type Reads = BTreeMap<String, (i64, i64)>;

/// What `calls` read, by table. The app's connections are ended, as Postgres counts what a connection did when it ends.
async fn reads(app: &TestApp, calls: impl AsyncFnOnce() -> TestResult) -> Result<Reads, BoxError> {
    let counted = async || -> Result<Reads, BoxError> {
        let mut admin = app.db.admin().await?;
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'kernel_app'";
        sqlx::query(end).execute(&mut admin).await?;
        eventually("the app's connections have ended", || async {
            let left =
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'kernel_app'";
            Ok(app.count(left).await? == 0)
        })
        .await?;
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(READ).fetch_all(&mut app.db.admin().await?).await?;
        Ok(rows.into_iter().map(|(table, scans, rows)| (table, (scans, rows))).collect())
    };
    let before = counted().await?;
    // The pool notices that its connections are gone.
    eventually("the app answers again", || async { Ok(app.caller().get("/readyz").await?.status.is_success()) })
        .await?;
    calls().await?;
    let after = counted().await?;
    let since = |table: &String| before.get(table).copied().unwrap_or_default();
    Ok(after
        .iter()
        .map(|(table, (scans, rows))| (table.clone(), (scans - since(table).0, rows - since(table).1)))
        .collect())
}

/// Every call reads a page, or a row: nothing that grows with the workspace.
async fn hot_routes(ada: &Caller) -> TestResult {
    let first = ada.get(&ada.at("/projects")).await?.expect(StatusCode::OK)?;
    let next = first["next_cursor"].as_str().ok_or("a second page")?;
    ada.get(&ada.at(&format!("/projects?cursor={next}"))).await?.expect(StatusCode::OK)?;
    ada.get(&ada.at(&format!("/projects/{}", first["items"][0]["id"].as_str().unwrap_or_default())))
        .await?
        .expect(StatusCode::OK)?;
    ada.create_project("One more").await?.expect(StatusCode::CREATED)?;
    let key = json!({ "name": "key", "scopes": ["project.read"] });
    ada.post(&ada.at("/api-keys"), &key).await?.expect(StatusCode::CREATED)?;
    for below in [
        "",
        "/audit",
        "/audit?action=resource.create",
        "/members",
        "/invites",
        "/api-keys",
        "/entitlements",
        "/permissions",
    ] {
        ada.get(&ada.at(below)).await?.expect(StatusCode::OK)?;
    }
    for path in ["/api/v1/me", "/api/v1/me/permissions", "/api/v1/workspaces"] {
        ada.get(path).await?.expect(StatusCode::OK)?;
    }
    Ok(())
}

#[tokio::test]
async fn hot_routes_read_by_index_and_read_little() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    sqlx::raw_sql(FILL).execute(&mut app.db.admin().await?).await?;
    assert!(app.count("SELECT count(*) FROM tracker.projects").await? >= 1_000_000);

    let read = reads(&app, async || hot_routes(&ada).await).await?;
    assert!(read.keys().any(|table| table.starts_with("audit_log")) && read.contains_key("projects"), "{read:?}");
    for (table, (scans, rows)) in &read {
        assert!(*scans == 0 && *rows < 1_500, "{table}: {scans} scans of the whole table, {rows} rows read; {read:?}");
    }
    assert!(read["projects"].1 > 40, "what is read is counted: {read:?}");

    // Without its index a route reads the whole workspace, and this test would see it.
    let drop = "DROP INDEX tracker.projects_list";
    sqlx::raw_sql(drop).execute(&mut app.db.admin().await?).await?;
    let read = reads(&app, async || ada.get(&ada.at("/projects")).await?.expect(StatusCode::OK).map(drop_body)).await?;
    assert!(read["projects"].0 > 0 || read["projects"].1 >= 1_000, "{read:?}");
    Ok(())
}

fn drop_body(_: serde_json::Value) {}
