//! API keys: how many there are, never above their maker, and when their use is noted.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::StatusCode;
use saas_kernel::BoxError;
use saas_kernel::clock::{Clock, SystemClock};
use saas_kernel_tests::programs::{ask_for_key, get_with, key, token};
use saas_kernel_tests::teammates::join;
use saas_kernel_tests::{TestApp, TestResult, eventually};
use serde_json::json;
use sqlx::Connection;

/// 99 that are in force, one that was revoked and one that has expired: those do not count.
const NEARLY_FULL: &str = "
INSERT INTO kernel.api_keys (workspace_id, id, name, prefix, token_hash, scopes, created_by, created_at, expires_at, revoked_at)
SELECT m.workspace_id, gen_random_uuid(), 'Fill', 'sk_', sha256(n::text::bytea), '{project.read}', m.user_id,
       now() - interval '1 day', CASE n WHEN 100 THEN now() WHEN 1 THEN now() + interval '1 day' END, CASE n WHEN 101 THEN now() END
FROM kernel.memberships m, generate_series(1, 101) n";

#[tokio::test]
async fn a_hundred_keys_are_in_force_at_most() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    sqlx::raw_sql(NEARLY_FULL).execute(&mut app.db.admin().await?).await?;
    let last = ask_for_key(&ada, &["project.read"]).await?.expect(StatusCode::CREATED)?;
    let before = app.count("SELECT count(*) FROM kernel.audit_log").await?;

    let refused = ask_for_key(&ada, &["project.read"]).await?;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "too_many_keys"), "{}", refused.text);
    assert_eq!(app.count("SELECT count(*) FROM kernel.api_keys").await?, 102, "nothing is kept");
    assert_eq!(app.count("SELECT count(*) FROM kernel.audit_log").await?, before, "nor noted");

    // As the message says: with one revoked, there is room.
    let address = ada.at(&format!("/api-keys/{}", last["id"].as_str().unwrap_or_default()));
    ada.delete(&address).await?.expect(StatusCode::NO_CONTENT)?;
    ask_for_key(&ada, &["project.read"]).await?.expect(StatusCode::CREATED)?;
    Ok(())
}

/// In the reference only owners make keys, and they hold everything; here an admin may.
#[tokio::test]
async fn a_key_holds_nothing_that_its_maker_does_not() -> TestResult {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("product.config.yaml");
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/reference/product.config.yaml"))?;
    std::fs::write(&file, text.replace("project.delete, audit.read]", "project.delete, audit.read, api_key.create]"))?;
    let app = TestApp::start_with(|settings| settings.config.clone_from(&file)).await?;
    let ada = app.sign_up("Ada").await?;
    let grace = join(&app, &ada, "Grace", "admin").await?;

    for (scopes, wrong) in [
        (vec!["billing.manage"], vec!["scopes[0]"]),
        (vec!["billing.manage", "project.read", "workspace.delete"], vec!["scopes[0]", "scopes[2]"]),
        (vec!["project.read", "api_key.create", "api_key.delete"], vec!["scopes[2]"]),
    ] {
        let refused = ask_for_key(&grace, &scopes).await?;
        assert_eq!((refused.status.as_u16(), refused.code()), (422, "validation_failed"), "{}", refused.text);
        let fields = refused.body["error"]["fields"].as_array().ok_or("fields")?;
        assert_eq!(fields.iter().map(|field| &field["field"]).collect::<Vec<_>>(), wrong, "{}", refused.text);
        for field in fields {
            assert!(field["message"].as_str().is_some_and(|text| text.contains("do not have")), "{field}");
        }
    }
    assert_eq!(app.count("SELECT count(*) FROM kernel.api_keys").await?, 0);

    let made = ask_for_key(&grace, &["project.read", "audit.read"]).await?.expect(StatusCode::CREATED)?;
    assert_eq!(made["scopes"], json!(["audit.read", "project.read"]));
    get_with(&app, &token(&made)?, &ada.at("/audit")).await?.expect(StatusCode::OK)?;
    // The owner is asked nothing of the kind.
    ask_for_key(&ada, &["billing.manage"]).await?.expect(StatusCode::CREATED)?;
    Ok(())
}

/// When the workspace's only key was used last, as it is stored.
async fn used(app: &TestApp) -> Result<Option<DateTime<Utc>>, BoxError> {
    let used = sqlx::query_scalar("SELECT last_used_at FROM kernel.api_keys");
    Ok(used.fetch_one(&mut app.db.admin().await?).await?)
}

/// Says that it was used so many minutes ago, and gives that time as it is stored.
async fn set_back(app: &TestApp, minutes: i64) -> Result<Option<DateTime<Utc>>, BoxError> {
    let set = sqlx::query("UPDATE kernel.api_keys SET last_used_at = $1");
    set.bind(SystemClock.now() - TimeDelta::minutes(minutes)).execute(&mut app.db.admin().await?).await?;
    used(app).await
}

/// With one connection in all, what a call leaves behind is done before the next call is answered.
#[tokio::test]
async fn use_is_noted_once_in_five_minutes() -> TestResult {
    let app = TestApp::start_with(|settings| settings.pool.max_connections = 1).await?;
    let ada = app.sign_up("Ada").await?;
    let key = key(&ada, &["project.read"]).await?;
    let twice = async || -> TestResult {
        for _ in 0..2 {
            get_with(&app, &key, &ada.at("/projects")).await?.expect(StatusCode::OK)?;
        }
        Ok(())
    };
    assert_eq!(used(&app).await?, None);
    twice().await?;
    let first = used(&app).await?;
    assert!(first.is_some(), "the first use is noted");
    twice().await?;
    assert_eq!(used(&app).await?, first);
    let recently = set_back(&app, 4).await?;
    twice().await?;
    assert_eq!(used(&app).await?, recently);
    set_back(&app, 6).await?;
    twice().await?;
    assert!(used(&app).await? > first, "{:?}", used(&app).await?);
    Ok(())
}

/// Somebody holds the key's row: the call is answered while the note still waits for it.
#[tokio::test]
async fn no_call_waits_until_its_use_is_noted() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let key = key(&ada, &["project.read"]).await?;
    let stale = set_back(&app, 6).await?;
    let mut holder = app.db.admin().await?;
    let mut held = holder.begin().await?;
    sqlx::query("SELECT FROM kernel.api_keys FOR UPDATE").execute(&mut *held).await?;
    get_with(&app, &key, &ada.at("/projects")).await?.expect(StatusCode::OK)?;
    eventually("the note waits for the row, after the answer", || async {
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                       AND query LIKE '%UPDATE kernel.api_keys SET last_used_at%'";
        Ok(app.count(waiting).await? == 1)
    })
    .await?;
    assert_eq!(used(&app).await?, stale);
    held.commit().await?;
    eventually("the use is noted", || async {
        get_with(&app, &key, &ada.at("/projects")).await?.expect(StatusCode::OK)?;
        Ok(used(&app).await? > stale)
    })
    .await
}
