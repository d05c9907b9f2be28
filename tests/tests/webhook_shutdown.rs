//! The reference app as a process that ends while its billing processor works: in order, and by force.
#![expect(clippy::indexing_slicing, reason = "a test that indexes wrong fails, as it should")]

use std::process::Stdio;
use std::time::Duration;

use reqwest::StatusCode;
use saas_kernel::BoxError;
use saas_kernel::clock::{Clock, SystemClock};
use saas_kernel_postgres::testing::TestDb;
use saas_kernel_tests::{
    Caller, PASSWORD, TestApp, TestResult, WEBHOOK_SECRET, eventually, subscription_event, test_db,
};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The app on `db`, and somebody who has signed up in it.
async fn serve(db: &TestDb) -> Result<(Child, Caller), BoxError> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_reference-under-test"))
        .arg("serve")
        .env("DATABASE_URL", db.app_url())
        .env("SYSTEM_DATABASE_URL", db.system_url())
        .env("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET)
        .env("APP_URL", "http://127.0.0.1")
        .env("KERNEL_SECRETS", "0123456789abcdef0123456789abcdef")
        .env("APP_ADDR", "127.0.0.1:0")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("its output")?).lines();
    let base = loop {
        let line = lines.next_line().await?.ok_or("an address")?;
        if let Some((_, at)) = line.split_once("is running at ") {
            break at.trim().to_owned();
        }
    };
    let mut ada = Caller::of(base);
    let account = json!({ "email": "ada@example.com", "password": PASSWORD, "name": "Ada" });
    ada.post("/api/v1/auth/register", &account).await?.expect(StatusCode::CREATED)?;
    ada.log_in("ada@example.com").await?.expect(StatusCode::OK)?;
    let workspaces = ada.get("/api/v1/workspaces").await?.expect(StatusCode::OK)?;
    workspaces["items"][0]["id"].as_str().ok_or("an id")?.clone_into(&mut ada.workspace_id);
    Ok((child, ada))
}

/// Has the app claim two events of Ada's workspace at once, the first of which waits for a lock that `admin` holds.
async fn claim_two(db: &TestDb, ada: &Caller, admin: &mut PgConnection) -> TestResult {
    sqlx::query("SELECT 1 FROM kernel.workspaces FOR UPDATE").fetch_all(admin).await?;
    let id = &ada.workspace_id;
    let events = [
        subscription_event("evt_1", "created", id, "price_starter_month", "active", -5),
        subscription_event("evt_2", "updated", id, "price_professional_month", "active", 0),
    ];
    let mut inbox = db.admin().await?;
    let mut tx = inbox.begin().await?;
    for event in &events {
        sqlx::query(
            "INSERT INTO kernel.webhook_inbox (provider, event_id, event_created, kind, payload, received_at, due_at)
             VALUES ('stripe', $1, to_timestamp($2), $3, $4, now(), now() - interval '1 minute')",
        )
        .bind(event["id"].as_str())
        .bind(event["created"].as_f64())
        .bind(event["type"].as_str())
        .bind(event)
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    // An event that arrives wakes the processor.
    let now = SystemClock.now();
    let wake = json!({
        "id": "evt_wake", "object": "event", "created": now.timestamp(), "livemode": false, "type": "customer.created",
        "data": { "object": {} }
    });
    let (body, url) = (wake.to_string(), format!("{}/webhooks/stripe", ada.base));
    let signature = saas_kernel_stripe::sign(WEBHOOK_SECRET, now, body.as_bytes());
    ada.client.post(url).header("stripe-signature", signature).body(body).send().await?.error_for_status()?;
    eventually("the first event waits for the lock", || async {
        let waits = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND usename = 'kernel_system' AND wait_event_type = 'Lock'";
        let waits: i64 = sqlx::query_scalar(waits).fetch_one(&mut db.admin().await?).await?;
        Ok(waits == 1 && states(db).await?[..2] == ["evt_1 PROCESSING 1", "evt_2 PROCESSING 1"])
    })
    .await
}

/// A database whose processor waits for a lock as long as the test holds it.
async fn patient_db() -> Result<TestDb, BoxError> {
    let db = test_db().await?;
    let longer = "DO $$ BEGIN
        EXECUTE format('ALTER ROLE kernel_system IN DATABASE %I SET lock_timeout = ''60s''', current_database());
    END $$";
    sqlx::raw_sql(longer).execute(&mut db.admin().await?).await?;
    Ok(db)
}

async fn states(db: &TestDb) -> Result<Vec<String>, BoxError> {
    let sql = "SELECT concat_ws(' ', event_id, state, attempts) FROM kernel.webhook_inbox ORDER BY event_id";
    Ok(sqlx::query_scalar(sql).fetch_all(&mut db.admin().await?).await?)
}

#[tokio::test]
async fn sigterm_releases_claims_that_were_not_begun_and_finishes_the_one_in_progress() -> TestResult {
    let db = patient_db().await?;
    let (mut child, ada) = serve(&db).await?;
    let mut admin = db.admin().await?;
    let mut lock = admin.begin().await?;
    claim_two(&db, &ada, &mut lock).await?;
    let pid = child.id().ok_or("a running process")?.to_string();
    Command::new("kill").args(["-TERM", &pid]).status().await?;
    eventually("the second event is released", || async { Ok(states(&db).await?[1] == "evt_2 RECEIVED 0") }).await?;
    let due = "SELECT due_at <= now() FROM kernel.webhook_inbox WHERE event_id = 'evt_2'";
    assert!(sqlx::query_scalar::<_, bool>(due).fetch_one(&mut db.admin().await?).await?, "due at once");
    assert!(child.try_wait()?.is_none(), "it waits for the first event");
    lock.rollback().await?;
    let ended = tokio::time::timeout(Duration::from_secs(20), child.wait()).await??;
    assert!(ended.success(), "{ended}");
    assert_eq!(states(&db).await?[..2], ["evt_1 PROCESSED 1", "evt_2 RECEIVED 0"]);
    Ok(())
}

#[tokio::test]
async fn claims_of_a_killed_process_are_taken_over_after_thirty_seconds_and_applied_once() -> TestResult {
    let db = patient_db().await?;
    let (mut child, ada) = serve(&db).await?;
    let mut admin = db.admin().await?;
    let mut lock = admin.begin().await?;
    claim_two(&db, &ada, &mut lock).await?;
    child.kill().await?;
    lock.rollback().await?;
    // As it is thirty seconds later.
    let passed = "UPDATE kernel.webhook_inbox SET due_at = due_at - interval '30 seconds'";
    sqlx::query(passed).execute(&mut admin).await?;
    let app = TestApp::start_on(db, |_| {}).await?;
    eventually("all three are processed", || async {
        Ok(app.count("SELECT count(*) FROM kernel.webhook_inbox WHERE state = 'PROCESSED'").await? == 3)
    })
    .await?;
    assert_eq!(states(&app.db).await?[..2], ["evt_1 PROCESSED 2", "evt_2 PROCESSED 2"]);
    assert_eq!(app.count("SELECT count(*) FROM kernel.subscriptions WHERE plan = 'professional'").await?, 1);
    assert_eq!(app.count("SELECT count(*) FROM kernel.audit_log WHERE action LIKE 'billing.%'").await?, 2);
    Ok(())
}
