//! What happens in one workspace is not felt in another.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use saas_kernel::BoxError;
use saas_kernel_postgres::PgOptions;
use saas_kernel_tests::{Answer, Caller, PASSWORD, TestApp, TestResult, eventually, patient_db};
use serde_json::json;
use sqlx::{Connection, PgConnection, Postgres, Transaction};
use tokio::task::JoinHandle;

const WAITING: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";

/// Four connections, of which a workspace has two.
async fn app(patience: Duration) -> Result<TestApp, BoxError> {
    let pool = PgOptions::app().max_connections(4).acquire_timeout(patience);
    TestApp::start_on(patient_db().await?, |settings| settings.pool = pool).await
}

/// Whoever changes Ada's workspace waits until it is dropped.
async fn stuck(admin: &mut PgConnection) -> Result<Transaction<'_, Postgres>, BoxError> {
    let mut held = admin.begin().await?;
    sqlx::query("SELECT FROM kernel.workspaces WHERE slug = 'ada' FOR UPDATE").execute(&mut *held).await?;
    Ok(held)
}

/// Twelve changes of the workspace at once.
fn renames(by: &Caller) -> JoinHandle<Vec<Result<Answer, BoxError>>> {
    let by = by.clone();
    tokio::spawn(async move {
        let (at, name) = (by.at(""), json!({ "name": "Renamed" }));
        join_all((0..12).map(|_| by.patch(&at, &name))).await
    })
}

async fn works(caller: &Caller) -> TestResult {
    for _ in 0..3 {
        caller.get(&caller.at("/projects")).await?.expect(StatusCode::OK)?;
        caller.patch(&caller.at(""), &json!({ "name": "Not stuck" })).await?.expect(StatusCode::OK)?;
    }
    Ok(())
}

/// Callers of one workspace wait for each other in Postgres and hold a connection each, but not all there are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_that_is_stuck_leaves_connections_to_the_others() -> TestResult {
    let app = app(Duration::from_secs(60)).await?;
    let (ada, eve) = (app.sign_up("Ada").await?, app.sign_up("Eve").await?);
    let mut admin = app.db.admin().await?;
    let held = stuck(&mut admin).await?;
    let renames = renames(&ada);
    eventually("Ada's share is in use", || async { Ok(app.count(WAITING).await? == 2) }).await?;
    works(&eve).await?;
    assert_eq!(app.count(WAITING).await?, 2, "the others wait outside of Postgres");
    held.rollback().await?;
    for answer in renames.await? {
        answer?.expect(StatusCode::OK)?;
    }
    Ok(())
}

/// Those who leave while they wait do not make room for more of the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_who_leave_keep_their_workspaces_share_until_their_connections_are_free() -> TestResult {
    let app = app(Duration::from_secs(60)).await?;
    let (ada, eve) = (app.sign_up("Ada").await?, app.sign_up("Eve").await?);
    let mut admin = app.db.admin().await?;
    let held = stuck(&mut admin).await?;
    let first = renames(&ada);
    eventually("Ada's share is in use", || async { Ok(app.count(WAITING).await? == 2) }).await?;
    first.abort();
    let second = renames(&ada);
    works(&eve).await?;
    assert_eq!(app.count(WAITING).await?, 2, "their connections still wait, and no more do");
    held.rollback().await?;
    for answer in second.await? {
        answer?.expect(StatusCode::OK)?;
    }
    Ok(())
}

/// Calls that have no workspace yet, or make one, count in the share of their caller.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_whose_own_calls_are_stuck_leaves_connections_to_the_others() -> TestResult {
    let app = app(Duration::from_secs(60)).await?;
    let (ada, eve) = (app.sign_up("Ada").await?, app.sign_up("Eve").await?);
    let mut admin = app.db.admin().await?;
    // Somebody claims the slug and does not commit: whoever wants it waits.
    let mut held = admin.begin().await?;
    let claim = "WITH w AS (SELECT workspace_id FROM kernel.slugs WHERE slug = 'eve')
                 INSERT INTO kernel.slugs (slug, workspace_id, created_at) SELECT 'wanted', workspace_id, now() FROM w";
    sqlx::query(claim).execute(&mut *held).await?;
    let creations = tokio::spawn({
        let ada = ada.clone();
        async move {
            let new = json!({ "name": "Wanted", "slug": "wanted" });
            join_all((0..12).map(|_| ada.post("/api/v1/workspaces", &new))).await
        }
    });
    eventually("Ada's share is in use", || async { Ok(app.count(WAITING).await? == 2) }).await?;
    works(&eve).await?;
    assert_eq!(app.count(WAITING).await?, 2, "the others wait outside of Postgres");
    held.rollback().await?;
    let made = creations.await?.into_iter().collect::<Result<Vec<_>, _>>()?;
    assert_eq!(made.iter().filter(|answer| answer.status == StatusCode::CREATED).count(), 1);
    assert_eq!(made.iter().filter(|answer| answer.code() == "slug_taken").count(), 11);
    Ok(())
}

/// Before anybody is known, calls count in the share of their address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_whose_sign_ups_are_stuck_leaves_connections_to_the_others() -> TestResult {
    let pool = PgOptions::app().max_connections(4).acquire_timeout(Duration::from_secs(60));
    let app = TestApp::start_on(patient_db().await?, |settings| {
        settings.pool = pool;
        settings.trusted_proxies = "127.0.0.1/32".to_owned();
    })
    .await?;
    let eve = app.sign_up("Eve").await?;
    let mut admin = app.db.admin().await?;
    // Somebody signs up with the address and does not commit: whoever wants it waits.
    let mut held = admin.begin().await?;
    let claim = "INSERT INTO kernel.users (id, email, email_lower, name, password_hash, created_at, updated_at)
                 VALUES (gen_random_uuid(), 'twin@example.com', 'twin@example.com', 'Twin', 'x', now(), now())";
    sqlx::query(claim).execute(&mut *held).await?;
    let sign_up = |from: &'static str| {
        let account = json!({ "email": "twin@example.com", "password": PASSWORD, "name": "Twin" });
        let request = app.caller().request(Method::POST, "/api/v1/auth/register").json(&account);
        tokio::spawn(Answer::of(request.header("x-forwarded-for", from)))
    };
    let stuck: Vec<_> = (0..6).map(|_| sign_up("198.51.100.7")).collect();
    eventually("the address's share is in use", || async { Ok(app.count(WAITING).await? == 2) }).await?;
    works(&eve).await?;
    let elsewhere = sign_up("198.51.100.8");
    eventually("another address has its own share", || async { Ok(app.count(WAITING).await? == 3) }).await?;
    held.rollback().await?;
    for answer in stuck.into_iter().chain([elsewhere]) {
        answer.await??.expect(StatusCode::CREATED)?;
    }
    assert_eq!(app.count("SELECT count(*) FROM kernel.users WHERE email_lower = 'twin@example.com'").await?, 1);
    Ok(())
}

/// Whoever has waited for long enough is told so, and not that the database is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_share_is_a_clear_refusal() -> TestResult {
    let app = app(Duration::from_millis(300)).await?;
    let ada = app.sign_up("Ada").await?;
    let mut admin = app.db.admin().await?;
    let held = stuck(&mut admin).await?;
    let renames = renames(&ada);
    eventually("Ada's share is in use", || async { Ok(app.count(WAITING).await? == 2) }).await?;
    let refused = ada.patch(&ada.at(""), &json!({ "name": "One more" })).await?;
    assert_eq!((refused.status, refused.code()), (StatusCode::SERVICE_UNAVAILABLE, "busy"));
    assert!(refused.headers.contains_key("retry-after") && refused.text.contains("run at once"), "{}", refused.text);
    held.rollback().await?;
    let answers = renames.await?.into_iter().collect::<Result<Vec<_>, _>>()?;
    let kept = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
    let refused = answers.iter().filter(|answer| answer.code() == "busy").count();
    assert_eq!((kept, refused), (2, 10));
    Ok(())
}
