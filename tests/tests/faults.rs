//! Clients that leave, a database that goes away, a pool that is empty.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use saas_kernel_postgres::testing::{LocalPostgres, LocalPostgresOptions, TestDb};
use saas_kernel_postgres::{Migrations, PgOptions};
use saas_kernel_tests::{TestApp, TestResult, eventually};
use sqlx::Connection;
use tokio::io::AsyncWriteExt;

const OPEN: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'kernel_app' AND xact_start IS NOT NULL";

/// The cookie that `caller` would send.
async fn cookie(app: &TestApp) -> Result<String, saas_kernel::BoxError> {
    let answer = app.caller().log_in("ada@example.com").await?;
    let set = answer.headers.get("set-cookie").and_then(|value| value.to_str().ok()).unwrap_or_default();
    Ok(set.split(';').next().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_leaves_no_open_transaction() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let cookie = cookie(&app).await?;
    // The counter is locked: creations stop in the middle of their transactions.
    let mut admin = app.db.admin().await?;
    let mut lock = admin.begin().await?;
    sqlx::query("SELECT 1 FROM kernel.usage FOR UPDATE").fetch_all(&mut *lock).await?;
    let body = r#"{"name":"Half"}"#;
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        ada.at("/projects"),
        body.len()
    );
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = tokio::net::TcpStream::connect(app.address).await?;
        client.write_all(request.as_bytes()).await?;
        clients.push(client);
    }
    eventually("four transactions wait", || async { Ok(app.count(OPEN).await? == 4) }).await?;
    drop(clients);
    // Dropped in the middle of a statement: the rollback follows as soon as the statement has ended.
    lock.rollback().await?;
    eventually("no transaction is open", || async { Ok(app.count(OPEN).await? == 0) }).await?;
    ada.get(&ada.at("/projects")).await?.expect(StatusCode::OK)?;
    assert_eq!(
        app.count("SELECT count(*) FROM tracker.projects").await?,
        app.count("SELECT used FROM kernel.usage WHERE key = 'projects'").await?
    );
    Ok(())
}

/// A handler is dropped at sixty moments of its work, 100 µs apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaving_at_any_moment_is_all_or_nothing() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let cookie = cookie(&app).await?;
    for step in 0..60u64 {
        let body = r#"{"name":"Maybe"}"#;
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            ada.at("/projects"),
            body.len()
        );
        let mut client = tokio::net::TcpStream::connect(app.address).await?;
        client.write_all(request.as_bytes()).await?;
        // Not a wait for something to be ready: the moment of leaving is what is varied.
        let leave = tokio::time::Instant::now() + Duration::from_micros(step * 100);
        tokio::time::timeout_at(leave, std::future::pending::<()>()).await.unwrap_or_default();
        drop(client);
    }
    eventually("no transaction is open", || async { Ok(app.count(OPEN).await? == 0) }).await?;
    let projects = app.count("SELECT count(*) FROM tracker.projects").await?;
    assert!((1..=5).contains(&projects));
    for (sql, expect) in [
        ("SELECT used FROM kernel.usage WHERE key = 'projects'", projects),
        ("SELECT count(*) FROM kernel.audit_log WHERE action = 'resource.create'", projects - 1),
        ("SELECT count(*) FROM kernel.outbox WHERE subject = 'project.created'", projects - 1),
    ] {
        assert_eq!(app.count(sql).await?, expect, "{sql}");
    }
    Ok(())
}

/// The worst moment: `BEGIN` is sent and its answer is not here yet. sqlx does not count such a transaction as open.
#[tokio::test]
async fn leaving_while_a_transaction_begins_leaves_none_behind() -> TestResult {
    let app = TestApp::start_with(|settings| settings.pool.max_connections = 1).await?;
    app.sign_up("Ada").await?;
    let (grant, _) = grant_of(&app, "ada@example.com").await?;
    for polls in 1..8 {
        let mut begin = std::pin::pin!(app.store.begin_tenant(&grant));
        for _ in 0..polls {
            if futures_util::poll!(&mut begin).is_ready() {
                break;
            }
        }
        let mut read = std::pin::pin!(app.store.read(&grant));
        for _ in 0..polls {
            if futures_util::poll!(&mut read).is_ready() {
                break;
            }
        }
    }
    eventually("no transaction is open", || async { Ok(app.count(OPEN).await? == 0) }).await?;
    // The same connection serves the next caller, in a scope of its own, at a time of its own.
    let mut next = app.store.begin_tenant(&grant).await?;
    let fresh: bool = sqlx::query_scalar("SELECT now() > clock_timestamp() - interval '1 second' AND nullif(current_setting('app.self_id', true), '') IS NULL")
        .fetch_one(next.conn())
        .await?;
    assert!(fresh);
    Ok(())
}

/// A grant as a request gets it, and the caller it belongs to.
async fn grant_of(
    app: &TestApp,
    email: &str,
) -> Result<(std::sync::Arc<saas_kernel::Grant>, saas_kernel_tests::Caller), saas_kernel::BoxError> {
    use saas_kernel::Call;
    use saas_kernel::identity::authenticate::Keep;
    use saas_kernel::identity::credential::Credential;
    let caller = app.caller();
    let set = caller.log_in(email).await?;
    let set = set.headers.get("set-cookie").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = saas_kernel::secret::Token::presented(set.split([';', '=']).nth(1).unwrap_or_default());
    let workspaces = caller.get("/api/v1/workspaces").await?.body;
    let workspace = workspaces.pointer("/items/0/id").and_then(|id| id.as_str()).unwrap_or_default().parse()?;
    let ctx = saas_kernel::Ctx::at(app.kernel.now());
    let credential = Credential::Session(token);
    let found = app.kernel.authenticate(&Call::new(ctx), &credential, Some(&workspace), Keep::No).await?;
    Ok((found.ok_or("a caller")?.member()?.clone(), caller))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_pool_is_said_quickly() -> TestResult {
    let app = TestApp::start_with(|settings| {
        settings.pool = PgOptions::app().max_connections(2).share(2).acquire_timeout(Duration::from_millis(300));
    })
    .await?;
    let ada = app.sign_up("Ada").await?;
    let mut admin = app.db.admin().await?;
    let mut lock = admin.begin().await?;
    sqlx::query("SELECT 1 FROM kernel.usage FOR UPDATE").fetch_all(&mut *lock).await?;
    let stuck: Vec<_> = (0..2)
        .map(|_| {
            let ada = ada.clone();
            tokio::spawn(async move { ada.create_project("Waits").await })
        })
        .collect();
    eventually("both connections are taken", || async { Ok(app.count(OPEN).await? == 2) }).await?;
    let began = Instant::now();
    let answer = ada.get(&ada.at("/projects")).await?;
    assert_eq!((answer.status, answer.code()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"), "{}", answer.text);
    assert!(
        answer.headers.contains_key("retry-after") && began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    lock.rollback().await?;
    for call in stuck {
        call.await??.expect(StatusCode::CREATED)?;
    }
    ada.get(&ada.at("/projects")).await?.expect(StatusCode::OK)?;
    Ok(())
}

/// Its own cluster, because it is stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_going_away_is_said_and_survived() -> TestResult {
    let directory = tempfile::tempdir()?;
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let data_dir = directory.path().join("data");
    let options = |port| {
        let mut options = LocalPostgresOptions::default().data_dir(&data_dir);
        options.port = port;
        options
    };
    let postgres = LocalPostgres::start(options(None)).await?;
    let port = postgres.port();
    let migrations = Migrations::kernel().product(&reference::PRODUCT_MIGRATIONS);
    let db = TestDb::on(&postgres.superuser_url("postgres"), &migrations).await?;
    let app = TestApp::start_on(db, |_| {}).await?;
    let ada = app.sign_up("Ada").await?;
    postgres.stop().await?;
    let began = Instant::now();
    for path in [ada.at("/projects"), "/readyz".to_owned(), "/api/v1/me".to_owned()] {
        let answer = ada.get(&path).await?;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {}", answer.text);
        assert!(answer.headers.contains_key("retry-after"), "{path}");
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    ada.get("/healthz").await?.expect(StatusCode::OK)?;
    let postgres = LocalPostgres::start(options(Some(port))).await?;
    eventually("the app recovers by itself", || async {
        Ok(ada.get(&ada.at("/projects")).await?.status == StatusCode::OK)
    })
    .await?;
    ada.create_project("After").await?.expect(StatusCode::CREATED)?;
    postgres.stop().await?;
    Ok(())
}
