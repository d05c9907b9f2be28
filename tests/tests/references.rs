//! A reference that leads nowhere, or that is still there, is the caller's to mend and answered as such.

use axum::routing::post;
use reqwest::StatusCode;
use saas_kernel_axum::{ApiError, HttpSettings, OpenApiRouter, View};
use saas_kernel_postgres::{PgResult, PgSystem};
use saas_kernel_tests::{TestApp, TestResult};
use serde_json::json;

const TASKS: &str = "
CREATE TABLE tracker.tasks (
    workspace_id uuid NOT NULL, id uuid NOT NULL DEFAULT gen_random_uuid(), project_id uuid NOT NULL,
    PRIMARY KEY (workspace_id, id), FOREIGN KEY (workspace_id, project_id) REFERENCES tracker.projects
);
ALTER TABLE tracker.tasks OWNER TO kernel_owner;
SELECT kernel.protect('tracker.tasks')";
const OF_NOTHING: &str =
    "INSERT INTO tracker.tasks (workspace_id, project_id) SELECT workspace_id, gen_random_uuid() FROM tracker.projects";
const OF_A_PROJECT: &str =
    "INSERT INTO tracker.tasks (workspace_id, project_id) SELECT workspace_id, id FROM tracker.projects";
const DELETE: &str = "DELETE FROM tracker.projects";

/// A product's handler that runs `sql`.
async fn run(system: PgSystem, sql: &'static str) -> Result<View<()>, ApiError> {
    let mut tx = system.begin_system("test").await?;
    sqlx::query(sql).execute(tx.conn()).await.store()?;
    tx.commit().await?;
    Ok(View(()))
}

#[tokio::test]
async fn a_broken_reference_names_the_field_and_one_in_use_the_table() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    sqlx::raw_sql(TASKS).execute(&mut app.db.admin().await?).await?;
    let mut routes = OpenApiRouter::new();
    for (path, sql) in [("/of-nothing", OF_NOTHING), ("/of-a-project", OF_A_PROJECT), ("/delete", DELETE)] {
        let system = app.system.clone();
        routes = routes.route(path, post(move || run(system.clone(), sql)));
    }
    let router = saas_kernel_axum::app(&app.kernel, HttpSettings::new("http://127.0.0.1")?).workspace_routes(routes);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let server = tokio::spawn(async move { axum::serve(listener, router.into_router()).await });
    let product = ada.at_base(base);
    let call = async |path: &str| product.post(&product.at(path), &json!({})).await;

    let refused = call("/of-nothing").await?.expect(StatusCode::UNPROCESSABLE_ENTITY)?;
    let message = "refers to something that does not exist in this workspace";
    assert_eq!(refused["error"]["code"], "validation_failed");
    assert_eq!(refused["error"]["fields"], json!([{ "field": "project_id", "message": message }]));

    call("/of-a-project").await?.expect(StatusCode::OK)?;
    let refused = call("/delete").await?.expect(StatusCode::CONFLICT)?;
    assert_eq!(refused["error"]["code"], "conflict");
    let message = refused["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("`tasks`") && message.contains("`project_id`"), "{message}");
    assert_eq!(app.count("SELECT count(*) FROM tracker.projects").await?, 1);
    server.abort();
    Ok(())
}
