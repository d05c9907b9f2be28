//! What happens in one workspace is not felt in another.

use futures_util::future::join_all;
use reqwest::StatusCode;
use saas_kernel_tests::{TestApp, TestResult, eventually};
use serde_json::json;
use sqlx::Connection;

/// Callers of one workspace wait for each other in Postgres and hold a connection each, but not all there are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_that_is_stuck_leaves_connections_to_the_others() -> TestResult {
    let app = TestApp::start_with(|settings| settings.pool.max_connections = 4).await?;
    let (ada, eve) = (app.sign_up("Ada").await?, app.sign_up("Eve").await?);
    let mut admin = app.db.admin().await?;
    let mut held = admin.begin().await?;
    sqlx::query("SELECT FROM kernel.workspaces WHERE slug = 'ada' FOR UPDATE").execute(&mut *held).await?;

    let (name, at) = (json!({ "name": "Renamed" }), ada.at(""));
    let renames = tokio::spawn({
        let ada = ada.clone();
        async move { join_all((0..12).map(|_| ada.patch(&at, &name))).await }
    });
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    eventually("Ada's share is in use", || async { Ok(app.count(waiting).await? == 2) }).await?;
    for _ in 0..5 {
        eve.get(&eve.at("/projects")).await?.expect(StatusCode::OK)?;
        eve.patch(&eve.at(""), &json!({ "name": "Not stuck" })).await?.expect(StatusCode::OK)?;
    }
    assert_eq!(app.count(waiting).await?, 2, "the others wait outside of Postgres");
    held.rollback().await?;
    for answer in renames.await? {
        answer?.expect(StatusCode::OK)?;
    }
    Ok(())
}
