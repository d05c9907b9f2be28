//! At a million rows over a thousand workspaces, under row-level security, the hot routes read by index and read little.
//! Counted by Postgres itself while the real routes are called, so that no query is forgotten or copied here.
#![expect(clippy::indexing_slicing, reason = "a test that indexes wrong fails, as it should")]

use std::collections::BTreeMap;

use reqwest::StatusCode;
use saas_kernel::BoxError;
use saas_kernel::clock::{Clock, SystemClock};
use saas_kernel_tests::programs::{get_with, key};
use saas_kernel_tests::teammates::{accept, invite, token};
use saas_kernel_tests::{Caller, TestApp, TestResult, eventually};
use serde_json::json;

const FILL: &str = "
SET session_replication_role = replica; -- the counters are filled below, not row by row
CREATE TEMP TABLE places AS
    SELECT n, gen_random_uuid() AS workspace, gen_random_uuid() AS person FROM generate_series(1, 999) n
    UNION ALL SELECT 0, workspace_id, user_id FROM kernel.memberships;
INSERT INTO kernel.users (id, email, email_lower, name, password_hash, created_at, updated_at)
    SELECT person, n || '@fill.example', n || '@fill.example', 'Person', 'x', now(), now() FROM places WHERE n > 0;
INSERT INTO kernel.workspaces (id, slug, name, entitlements, created_by_type, created_by_id, created_at, updated_at)
    SELECT workspace, 'fill-' || n, 'Fill', plans -> 0, 'user', person, now(), now() FROM places, kernel.catalogs WHERE n > 0;
INSERT INTO kernel.slugs (slug, workspace_id, created_at) SELECT 'fill-' || n, workspace, now() FROM places WHERE n > 0;
INSERT INTO kernel.memberships (workspace_id, user_id, role, created_at, updated_at)
    SELECT workspace, person, 'owner', now(), now() FROM places WHERE n > 0;
INSERT INTO kernel.memberships (workspace_id, user_id, role, created_at, updated_at)
    SELECT a.workspace, b.person, 'member', now(), now() FROM places a, places b WHERE b.n > 0 AND (a.n + b.n) % 10 = 0
    ON CONFLICT DO NOTHING;
INSERT INTO kernel.usage (workspace_id, key, used, cap) SELECT workspace, key, 1000, NULL FROM places, unnest(ARRAY['projects', 'members']) key
    ON CONFLICT (workspace_id, key) DO UPDATE SET cap = NULL;
-- Indexes are built when the rows are there: a third of the time.
CREATE TEMP TABLE later AS
    SELECT 'ALTER TABLE tracker.projects ADD ' || pg_get_constraintdef(oid) AS made FROM pg_constraint WHERE conname = 'projects_pkey'
    UNION ALL SELECT pg_get_indexdef('tracker.projects_list'::regclass);
ALTER TABLE tracker.projects DROP CONSTRAINT projects_pkey;
DROP INDEX tracker.projects_list;
INSERT INTO tracker.projects (workspace_id, id, name, created_by_type, created_by_id, created_at, updated_at)
    SELECT workspace, gen_random_uuid(), 'Project', 'user', person, now() - g * interval '1 minute', now()
    FROM generate_series(1, 1000) g, places;
DO $$ BEGIN EXECUTE (SELECT string_agg(made, ';') FROM later); END $$;
INSERT INTO kernel.audit_log (subject_type, subject_id, workspace_id, at, id, retention, version, actor_type, actor_id, actor_label, action,
                              target_type, target_id, meta, request_id)
    SELECT 'workspace', workspace, workspace, now() - g * interval '1 minute', gen_random_uuid(), 'standard', 1, 'user', person, 'usr',
           'resource.create', 'project', 'prj', '{}', 'req'
    FROM generate_series(1, 1000) g, places;
INSERT INTO kernel.audit_personal (subject_type, subject_id, workspace_id, at, id, retention, actor_id, ip)
    SELECT subject_type, subject_id, workspace_id, at, id, retention, actor_id, '192.0.2.1' FROM kernel.audit_log ON CONFLICT DO NOTHING;
-- What is looked up by a secret, or waits to be worked off: in each workspace as much as there can be.
INSERT INTO kernel.users (id, email, email_lower, name, password_hash, created_at, updated_at)
    SELECT gen_random_uuid(), n || '@more.example', n || '@more.example', 'Person', 'x', now(), now() FROM generate_series(1, 60000) n;
INSERT INTO kernel.sessions (id, user_id, token_hash, created_at, seen_at, expires_at)
    SELECT gen_random_uuid(), person, sha256(('session' || g || person)::bytea), now(), now(), now() + interval '1 day'
    FROM generate_series(1, 60) g, places;
INSERT INTO kernel.api_keys (workspace_id, id, name, prefix, token_hash, scopes, created_by, created_at)
    SELECT workspace, gen_random_uuid(), 'Key', 'sk_', sha256(('key' || g || workspace)::bytea), '{project.read}', person, now()
    FROM generate_series(1, 60) g, places;
INSERT INTO kernel.invites (workspace_id, id, email, email_lower, role, token_hash, invited_by, created_at, expires_at)
    SELECT workspace, gen_random_uuid(), g || '@new.example', g || '@new.example', 'member', sha256(('invite' || g || workspace)::bytea),
           person, now(), now() + interval '1 day'
    FROM generate_series(1, 60) g, places;
INSERT INTO kernel.webhook_inbox (provider, event_id, event_created, kind, payload, state, received_at, finished_at)
    SELECT 'stripe', 'evt_' || n, now(), 'customer.subscription.updated', '{}', 'PROCESSED', now(), now() FROM generate_series(1, 60000) n;
SET session_replication_role = origin;
ANALYZE;";

/// Each filter of the audit log, asking for what is not among the workspace's thousand entries, and the index that serves it.
const AUDIT_FILTERS: [(&str, &str); 4] = [
    ("/audit?actor=usr_01h455vb4pex5vsknk084sn02q", "DROP INDEX kernel.audit_log_actor"),
    ("/audit?action=resource.vanish", "DROP INDEX kernel.audit_log_action"),
    ("/audit?target_id=prj_01h455vb4pex5vsknk084sn02q", "DROP INDEX kernel.audit_log_target"),
    ("/audit?target_type=nothing", "DROP INDEX kernel.audit_log_target_type"),
];

/// Scanned one by one, and read in all, by table.
const READ: &str = "
SELECT relname::text, seq_scan, coalesce(idx_tup_fetch, 0) + seq_tup_read FROM pg_stat_user_tables
WHERE n_live_tup > 50000 OR relname IN ('projects', 'memberships')";

type Reads = BTreeMap<String, (i64, i64)>;

/// What `calls` read, by table. The app's and the processor's connections are ended, as Postgres counts what a connection did
/// when it ends.
async fn reads(app: &TestApp, calls: impl AsyncFnOnce() -> TestResult) -> Result<Reads, BoxError> {
    let counted = async || -> Result<Reads, BoxError> {
        // Again and again: the processor looks for work by itself.
        eventually("the connections have ended", || async {
            let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                       WHERE datname = current_database() AND usename IN ('kernel_app', 'kernel_system')";
            Ok(app.count(end).await? == 0)
        })
        .await?;
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(READ).fetch_all(&mut app.db.admin().await?).await?;
        Ok(rows.into_iter().map(|(table, scans, rows)| (table, (scans, rows))).collect())
    };
    let before = counted().await?;
    // The pools hand their connections out in turn: each that is gone has been noticed, and nobody else comes upon it.
    let caller = app.caller();
    eventually("the app and its processor have live connections", || async {
        for _ in 0..8 {
            if !caller.get("/readyz").await?.status.is_success() || app.system.begin_system("test").await.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    })
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
        "/subscription",
        "/permissions",
    ] {
        ada.get(&ada.at(below)).await?.expect(StatusCode::OK)?;
    }
    for (below, _) in AUDIT_FILTERS {
        ada.get(&ada.at(below)).await?.expect(StatusCode::OK)?;
    }
    let of_one =
        format!("/audit?action=resource.create&target_id={}", first["items"][1]["id"].as_str().unwrap_or_default());
    ada.get(&ada.at(&of_one)).await?.expect(StatusCode::OK)?;
    let page = ada.get(&ada.at("/audit?action=resource.create")).await?.expect(StatusCode::OK)?;
    let next = page["next_cursor"].as_str().ok_or("a second page")?;
    ada.get(&ada.at(&format!("/audit?action=resource.create&cursor={next}"))).await?.expect(StatusCode::OK)?;
    for path in ["/api/v1/me", "/api/v1/me/permissions", "/api/v1/workspaces"] {
        ada.get(path).await?.expect(StatusCode::OK)?;
    }
    Ok(())
}

/// A program reads with its key.
async fn by_key(app: &TestApp, ada: &Caller) -> TestResult {
    let key = key(ada, &["project.read"]).await?;
    get_with(app, &key, &ada.at("/projects")).await?.expect(StatusCode::OK).map(drop)
}

/// Somebody accepts an invite.
async fn by_invite(app: &TestApp, ada: &Caller, guest: &Caller, email: &str) -> TestResult {
    invite(ada, email, "member").await?.expect(StatusCode::CREATED)?;
    accept(guest, &token(app, email)?).await?.expect(StatusCode::OK).map(drop)
}

/// Somebody signs in.
async fn by_password(app: &TestApp) -> TestResult {
    app.caller().log_in("ada@example.com").await?.expect(StatusCode::OK).map(drop)
}

/// Stripe sends an event and the processor takes it.
async fn by_webhook(app: &TestApp, id: &str) -> TestResult {
    let event = json!({
        "id": id, "object": "event", "created": SystemClock.now().timestamp(), "livemode": false, "type": "customer.created",
        "data": { "object": {} }
    });
    app.stripe(&event).await?.expect(StatusCode::OK)?;
    // Asked by its key: what this test reads is counted too.
    eventually("the event is processed", || async {
        let state = "SELECT state FROM kernel.webhook_inbox WHERE provider = 'stripe' AND event_id = $1";
        let state: String = sqlx::query_scalar(state).bind(id).fetch_one(&mut app.db.admin().await?).await?;
        Ok(state == "PROCESSED")
    })
    .await
}

/// Drops an index and tells whether `calls` then read the whole of `table`, which has many rows.
async fn missed(app: &TestApp, drop: &'static str, table: &str, calls: impl AsyncFnOnce() -> TestResult) -> TestResult {
    sqlx::raw_sql(drop).execute(&mut app.db.admin().await?).await?;
    let read = reads(app, calls).await?;
    let (scans, rows) = whole(&read, table);
    if scans > 0 || rows >= 1_000 {
        return Ok(());
    }
    Err(format!("{drop}: nobody would notice: {scans} scans of {table}, {rows} rows read; {read:?}").into())
}

/// With its partitions.
fn whole(read: &Reads, table: &str) -> (i64, i64) {
    let parts = read.iter().filter(|(name, _)| name.starts_with(table));
    parts.fold((0, 0), |(scans, rows), (_, part)| (scans + part.0, rows + part.1))
}

#[tokio::test]
async fn hot_routes_read_by_index_and_read_little() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    sqlx::raw_sql(FILL).execute(&mut app.db.admin().await?).await?;
    assert!(app.count("SELECT count(*) FROM tracker.projects").await? >= 1_000_000);

    let (guests, list) = (["grace", "eve"], ada.at("/projects"));
    let (grace, eve) = (app.sign_up(guests[0]).await?, app.sign_up(guests[1]).await?);
    let [grace_email, eve_email] = guests.map(|name| format!("{name}@example.com"));

    let read = reads(&app, async || {
        hot_routes(&ada).await?;
        by_key(&app, &ada).await?;
        by_invite(&app, &ada, &grace, &grace_email).await?;
        by_password(&app).await?;
        by_webhook(&app, "evt_first").await
    })
    .await?;
    for (table, (scans, rows)) in &read {
        assert!(*scans == 0 && *rows < 1_500, "{table}: {scans} scans of the whole table, {rows} rows read; {read:?}");
    }
    // What is read is counted, and no table is left out.
    for table in
        ["projects", "audit_log", "audit_personal", "sessions", "users", "api_keys", "invites", "webhook_inbox"]
    {
        assert!(whole(&read, table).1 > if table == "projects" { 40 } else { 0 }, "{table}: {read:?}");
    }

    // Without its index each of them reads the whole workspace, or everybody's, and this test would see it.
    let get = async || ada.get(&list).await?.expect(StatusCode::OK).map(drop);
    missed(&app, "DROP INDEX tracker.projects_list", "projects", get).await?;
    for (below, without) in AUDIT_FILTERS {
        // Twice: at the beginning of a month a part of the thousand is in a partition that is not counted.
        let asks = async || {
            ada.get(&ada.at(below)).await?.expect(StatusCode::OK)?;
            ada.get(&ada.at(below)).await?.expect(StatusCode::OK).map(drop)
        };
        missed(&app, without, "audit_log", asks).await?;
    }
    missed(&app, "DROP INDEX kernel.sessions_token", "sessions", get).await?;
    missed(&app, "DROP INDEX kernel.api_keys_token", "api_keys", async || by_key(&app, &ada).await).await?;
    let joins = async || by_invite(&app, &ada, &eve, &eve_email).await;
    missed(&app, "DROP INDEX kernel.invites_token", "invites", joins).await?;
    let by_email = "ALTER TABLE kernel.users DROP CONSTRAINT users_email_lower_key";
    missed(&app, by_email, "users", async || by_password(&app).await).await?;
    let claims = async || by_webhook(&app, "evt_second").await;
    missed(&app, "DROP INDEX kernel.webhook_inbox_due", "webhook_inbox", claims).await
}
