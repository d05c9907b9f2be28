//! Workspaces do not see each other: over HTTP, and as the application's own login.

use reqwest::{Method, StatusCode};
use saas_kernel::id::WorkspaceId;
use saas_kernel_postgres::testing::assert_tenant_isolation;
use saas_kernel_tests::{Answer, TestApp, TestResult};
use serde_json::{Value, json};
use sqlx::Connection;

#[tokio::test]
async fn a_stranger_and_a_missing_workspace_look_alike() -> TestResult {
    let app = TestApp::start().await?;
    let (ada, eve) = (app.sign_up("Ada").await?, app.sign_up("Eve").await?);
    let project = ada.get(&ada.at("/projects")).await?.body["items"][0]["id"].as_str().ok_or("a project")?.to_owned();
    let routes = [
        (Method::GET, String::new(), Value::Null),
        (Method::PATCH, String::new(), json!({ "name": "Mine" })),
        (Method::GET, "/entitlements".to_owned(), Value::Null),
        (Method::GET, "/subscription".to_owned(), Value::Null),
        (Method::GET, "/audit".to_owned(), Value::Null),
        (Method::GET, "/projects".to_owned(), Value::Null),
        (Method::POST, "/projects".to_owned(), json!({ "name": "Mine" })),
        (Method::GET, format!("/projects/{project}"), Value::Null),
        (Method::PATCH, format!("/projects/{project}"), json!({ "name": "Mine" })),
        (Method::DELETE, format!("/projects/{project}"), Value::Null),
    ];
    for (method, below, body) in routes {
        let mut answers = Vec::new();
        for workspace in
            [&*ada.workspace, &*ada.workspace_id, "no-such-workspace", "ws_01h455vb4pex5vsknk084sn02q", "not a slug!"]
        {
            let request = eve.request(method.clone(), &format!("/api/v1/workspaces/{workspace}{below}"));
            let request = if body.is_null() { request } else { request.json(&body) };
            answers.push(Answer::of(request).await?);
        }
        for answer in &answers {
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {below}: {}", answer.text);
            assert_eq!(answer.without_request_id(), answers[0].without_request_id(), "{method} {below}");
            let (mut headers, mut first) = (answer.headers.clone(), answers[0].headers.clone());
            for varying in ["x-request-id", "date"] {
                headers.remove(varying);
                first.remove(varying);
            }
            assert_eq!(headers, first, "{method} {below}");
        }
        // The bad input of a stranger must not tell them apart either.
        if method == Method::POST || method == Method::PATCH {
            let request = eve
                .request(method.clone(), &format!("/api/v1/workspaces/{}{below}", ada.workspace))
                .json(&json!({ "x": 1 }));
            assert_eq!(Answer::of(request).await?.status, StatusCode::NOT_FOUND);
        }
        // The project of another workspace is not found in one's own.
        if below.contains("prj_") {
            let request = eve.request(method.clone(), &eve.at(&below));
            let request = if body.is_null() { request } else { request.json(&body) };
            assert_eq!(Answer::of(request).await?.code(), "not_found");
        }
    }
    assert_eq!(ada.get(&ada.at(&format!("/projects/{project}"))).await?.body["name"], "First project");
    Ok(())
}

/// Every table that the catalog has, also those that nobody thought of here.
#[tokio::test]
async fn no_table_lets_another_workspace_in() -> TestResult {
    let app = TestApp::start().await?;
    app.sign_up("Ada").await?;
    assert_tenant_isolation(&app.db).await?;
    Ok(())
}

/// What a forgotten filter or a wrong id would do: nothing.
#[tokio::test]
async fn the_applications_login_reaches_one_workspace_at_a_time() -> TestResult {
    let app = TestApp::start().await?;
    let (ada, eve) = (app.sign_up("Ada").await?, app.sign_up("Eve").await?);
    let uuid = |id: &str| id.parse::<WorkspaceId>().map(|id| id.uuid());
    let (of_ada, of_eve) = (uuid(&ada.workspace_id)?, uuid(&eve.workspace_id)?);
    let mut login = sqlx::PgConnection::connect(&app.db.app_url()).await?;
    let tables = [
        "tracker.projects",
        "kernel.memberships",
        "kernel.audit_log",
        "kernel.audit_personal",
        "kernel.usage",
        "kernel.subscriptions",
        "kernel.slugs",
    ];
    // Without a scope: no rows, no inserts.
    for table in
        tables.iter().chain(&["kernel.users", "kernel.sessions", "kernel.workspaces", "kernel.idempotency_keys"])
    {
        let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM (SELECT 1 FROM {table}) t"));
        assert_eq!(sqlx::query_scalar::<_, i64>(count).fetch_one(&mut login).await?, 0, "{table}");
    }
    let insert =
        "INSERT INTO tracker.projects (workspace_id, id, name, created_by_type, created_by_id, created_at, updated_at)
                  VALUES ($1, gen_random_uuid(), 'Mine', 'user', $1, now(), now())";
    let refused = sqlx::query(insert).bind(of_ada).execute(&mut login).await.expect_err("no scope");
    assert_eq!(refused.into_database_error().ok_or("a database error")?.code().as_deref(), Some("42501"));

    for (statement, expect) in [
        ("SELECT count(*) FROM tracker.projects WHERE workspace_id = $1", Ok(0)),
        ("UPDATE tracker.projects SET name = 'Mine' WHERE workspace_id = $1", Ok(0)),
        ("DELETE FROM tracker.projects WHERE workspace_id = $1", Ok(0)),
        ("UPDATE tracker.projects SET workspace_id = $1", Err("42501")),
        ("INSERT INTO kernel.memberships (workspace_id, user_id, role, created_at, updated_at)
          SELECT $1, user_id, 'owner', now(), now() FROM kernel.memberships LIMIT 1", Err("42501")),
        ("INSERT INTO kernel.outbox (subject_type, subject_id, workspace_id, id, version, actor_type, actor_id, actor_label, subject, body, request_id)
          VALUES ('workspace', $1, $1, gen_random_uuid(), 1, 'user', $1, 'x', 'x', '{}', 'x')", Err("42501")),
        // Within the own workspace too: a request cannot raise its own plan, nor its limits, nor read hashes.
        ("UPDATE kernel.workspaces SET plan = 'enterprise' WHERE id <> $1", Err("42501")),
        ("UPDATE kernel.workspaces SET entitlements = '{}' WHERE id <> $1", Err("42501")),
        ("UPDATE kernel.usage SET cap = NULL WHERE workspace_id <> $1", Err("42501")),
        ("INSERT INTO kernel.usage (workspace_id, key, cap) SELECT kernel.ws(), 'boards', NULL WHERE $1 IS NOT NULL", Err("42501")),
        ("INSERT INTO kernel.usage (workspace_id, key) VALUES ($1, 'projects')", Err("42501")),
        ("SELECT count(*) FROM kernel.catalogs WHERE $1 IS NOT NULL", Err("42501")),
        ("UPDATE kernel.subscriptions SET plan = 'enterprise' WHERE workspace_id <> $1", Err("42501")),
        ("SELECT count(password_hash) FROM kernel.users WHERE id <> $1", Err("42501")),
        ("SELECT count(*) FROM kernel.webhook_inbox WHERE $1 IS NOT NULL", Err("42501")),
        ("SELECT count(*) FROM kernel.outbox WHERE workspace_id <> $1", Err("42501")),
        // The log is append-only and stamped by the database.
        ("UPDATE kernel.audit_log SET action = 'x' WHERE workspace_id <> $1", Err("42501")),
        ("DELETE FROM kernel.audit_log WHERE workspace_id <> $1", Err("42501")),
        ("INSERT INTO kernel.audit_log (subject_type, subject_id, workspace_id, at, id, retention, version, actor_type, actor_id, actor_label, action,
                                       target_type, target_id, meta, request_id)
          VALUES ('workspace', kernel.ws(), kernel.ws(), '2020-01-01', $1, 'standard', 1, 'user', $1, 'x', 'x', 'x', 'x', '{}', 'x')", Err("42501")),
        // Nor does a request see the numbers of the records, or erase what is personal in them.
        ("SELECT max(seq) FROM kernel.audit_log WHERE workspace_id <> $1", Err("42501")),
        ("SELECT last_value FROM kernel.audit_seq WHERE $1 IS NOT NULL", Err("42501")),
        ("DELETE FROM kernel.audit_personal WHERE workspace_id <> $1", Err("42501")),
        ("INSERT INTO kernel.users (id, email, email_lower, name, password_hash, email_verified_at, created_at, updated_at)
          VALUES ($1, 'x', 'x', 'x', 'x', now(), now(), now())", Err("42501")),
        ("TRUNCATE tracker.projects", Err("42501")),
    ] {
        let mut tx = login.begin().await?;
        sqlx::query("SELECT set_config('app.workspace_id', $1, true)").bind(of_eve.to_string()).execute(&mut *tx).await?;
        let query = sqlx::query(statement);
        let query = if statement.contains("$1") { query.bind(of_ada) } else { query };
        let done = query.fetch_all(&mut *tx).await.map(|rows| rows.first().map_or(0, |row| sqlx::Row::get::<i64, _>(row, 0)));
        let done = done.map_err(|error| error.into_database_error().and_then(|e| e.code().map(|code| code.into_owned())).unwrap_or_default());
        assert_eq!(done, expect.map_err(str::to_owned), "{statement}");
        tx.rollback().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_audit_log_cannot_be_changed_even_by_its_owner() -> TestResult {
    let app = TestApp::start().await?;
    app.sign_up("Ada").await?;
    let mut admin = app.db.admin().await?;
    for statement in [
        "UPDATE kernel.audit_log SET action = 'x'",
        "DELETE FROM kernel.audit_log",
        "TRUNCATE kernel.audit_log",
        "TRUNCATE kernel.audit_log_security",
        "TRUNCATE kernel.audit_log_standard_default",
    ] {
        let error = sqlx::query(statement).execute(&mut admin).await.expect_err(statement);
        assert!(error.to_string().contains("append-only"), "{statement}: {error}");
    }
    Ok(())
}

/// Column by column, a migration fills what it added: the owner sees the rows, though nobody logs in as the owner.
#[tokio::test]
async fn migrations_reach_the_rows_they_have_to_fill() -> TestResult {
    let app = TestApp::start().await?;
    app.sign_up("Ada").await?;
    let mut admin = app.db.admin().await?;
    sqlx::query("SET ROLE kernel_owner").execute(&mut admin).await?;
    for (statement, rows) in [
        ("UPDATE tracker.projects SET status = 'active'", 1),
        ("UPDATE kernel.workspaces SET name = name", 1),
        ("UPDATE kernel.users SET name = name", 1),
    ] {
        assert_eq!(sqlx::query(statement).execute(&mut admin).await?.rows_affected(), rows, "{statement}");
    }
    Ok(())
}

#[tokio::test]
async fn roles_are_held_over_http() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let bob = app.sign_up("Bob").await?;
    let mut admin = app.db.admin().await?;
    let (ws, bob_id) = (ada.workspace_id.parse::<WorkspaceId>()?, bob.get("/api/v1/me").await?.body["id"].clone());
    let bob_id = bob_id.as_str().ok_or("an id")?.parse::<saas_kernel::id::UserId>()?;
    sqlx::query("INSERT INTO kernel.memberships (workspace_id, user_id, role, created_at, updated_at) VALUES ($1, $2, 'viewer', now(), now())")
        .bind(ws.uuid())
        .bind(bob_id.uuid())
        .execute(&mut admin)
        .await?;
    for (role, read, create, audit, rename) in [
        ("viewer", 200, 403, 403, 403),
        ("member", 200, 201, 403, 403),
        ("admin", 200, 201, 200, 200),
        ("owner", 200, 201, 200, 200),
        ("superking", 403, 403, 403, 403),
    ] {
        sqlx::query("UPDATE kernel.memberships SET role = $1 WHERE user_id = $2 AND workspace_id = $3")
            .bind(role)
            .bind(bob_id.uuid())
            .bind(ws.uuid())
            .execute(&mut admin)
            .await?;
        let at = |path: &str| ada.at(path);
        let seen = [
            bob.get(&at("/projects")).await?.status.as_u16(),
            bob.post(&at("/projects"), &json!({ "name": "Of Bob" })).await?.status.as_u16(),
            bob.get(&at("/audit")).await?.status.as_u16(),
            bob.patch(&at(""), &json!({ "name": "Renamed" })).await?.status.as_u16(),
        ];
        assert_eq!(seen, [read, create, audit, rename], "{role}");
    }
    let refused = bob.get(&ada.at("/projects")).await?;
    assert!(
        refused.body["error"]["message"].as_str().is_some_and(|text| text.contains("project.read")),
        "{}",
        refused.text
    );
    // From the next call on, a removed member is a stranger.
    sqlx::query("DELETE FROM kernel.memberships WHERE user_id = $1 AND workspace_id = $2")
        .bind(bob_id.uuid())
        .bind(ws.uuid())
        .execute(&mut admin)
        .await?;
    assert_eq!(bob.get(&ada.at("/projects")).await?.status, StatusCode::NOT_FOUND);
    Ok(())
}
