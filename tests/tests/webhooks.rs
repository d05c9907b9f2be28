//! Stripe's events: verified, kept once, applied once, in any order.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use reqwest::StatusCode;
use saas_kernel::clock::{Clock, SystemClock};
use saas_kernel_tests::teammates::{join, user_id};
use saas_kernel_tests::{Answer, TestApp, TestResult, WEBHOOK_SECRET, eventually, subscription_event};
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

const KEPT: &str = "SELECT count(*) FROM kernel.webhook_inbox";
const WAITING: &str = "SELECT count(*) FROM kernel.webhook_inbox WHERE state IN ('RECEIVED', 'PROCESSING')";

async fn settled(app: &TestApp) -> TestResult {
    eventually("the inbox is worked off", || async { Ok(app.count(WAITING).await? == 0) }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_event_delivered_twenty_times_at_once_changes_state_once() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let event = subscription_event("evt_same", "created", &ada.workspace_id, "price_professional_month", "active", 0);
    for answer in join_all((0..20).map(|_| app.stripe(&event))).await {
        assert_eq!(answer?.expect(StatusCode::OK)?["received"], true);
    }
    settled(&app).await?;
    assert_eq!(app.count(KEPT).await?, 1);
    assert_eq!(app.count("SELECT count(*) FROM kernel.subscriptions").await?, 1);
    assert_eq!(app.count("SELECT count(*) FROM kernel.audit_log WHERE action LIKE 'billing.%'").await?, 1);
    assert_eq!(app.count("SELECT count(*) FROM kernel.outbox WHERE subject = 'subscription.changed'").await?, 1);
    assert_eq!(app.count("SELECT attempts::bigint FROM kernel.webhook_inbox").await?, 1);
    assert_eq!(ada.get(&ada.at("")).await?.body["plan"], "professional");
    // And once more, much later: still answered, still once.
    app.stripe(&event).await?.expect(StatusCode::OK)?;
    assert_eq!(app.count(KEPT).await?, 1);
    Ok(())
}

#[tokio::test]
async fn the_shape_before_2025_03_31_is_read_too() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let mut event = subscription_event("evt_old", "updated", &ada.workspace_id, "price_starter_year", "past_due", 0);
    event["api_version"] = "2024-06-20".into();
    let object = &mut event["data"]["object"];
    let item = object["items"]["data"][0].as_object_mut().ok_or("an item")?;
    let (start, end) = (item.remove("current_period_start"), item.remove("current_period_end"));
    object["current_period_start"] = start.unwrap_or_default();
    object["current_period_end"] = end.unwrap_or_default();
    app.stripe(&event).await?.expect(StatusCode::OK)?;
    settled(&app).await?;
    let workspace = ada.get(&ada.at("")).await?.expect(StatusCode::OK)?;
    assert_eq!((&workspace["plan"], &workspace["access"]), (&"starter".into(), &"grace".into()));
    Ok(())
}

#[tokio::test]
async fn updated_before_created_ends_in_the_later_state() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let id = &ada.workspace_id;
    app.stripe(&subscription_event("evt_2", "updated", id, "price_professional_month", "active", 0))
        .await?
        .expect(StatusCode::OK)?;
    settled(&app).await?;
    app.stripe(&subscription_event("evt_1", "created", id, "price_starter_month", "incomplete", -5))
        .await?
        .expect(StatusCode::OK)?;
    settled(&app).await?;
    assert_eq!(ada.get(&ada.at("")).await?.body["plan"], "professional");
    assert_eq!(app.count("SELECT count(*) FROM kernel.webhook_inbox WHERE state = 'PROCESSED'").await?, 2);
    Ok(())
}

#[tokio::test]
async fn a_settled_subscription_is_writable_again_and_an_unpaid_one_is_read_only() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let id = &ada.workspace_id;
    let grace = join(&app, &ada, "Grace", "admin").await?;
    let (invite, key) = (
        json!({ "email": "eve@example.com", "role": "viewer" }),
        json!({ "name": "CI", "scopes": ["project.create"] }),
    );
    let invited = ada.post(&ada.at("/invites"), &invite).await?.expect(StatusCode::CREATED)?;
    let made = ada.post(&ada.at("/api-keys"), &key).await?.expect(StatusCode::CREATED)?;
    app.stripe(&subscription_event("evt_1", "updated", id, "price_starter_month", "unpaid", -5))
        .await?
        .expect(StatusCode::OK)?;
    settled(&app).await?;
    // Whom and what it lets in can be seen and taken away, and nothing added.
    for (path, new) in [("/invites", &invite), ("/api-keys", &key)] {
        assert_eq!(ada.get(&ada.at(path)).await?.expect(StatusCode::OK)?["items"].as_array().map(Vec::len), Some(1));
        assert_eq!(ada.post(&ada.at(path), new).await?.code(), "workspace_read_only", "{path}");
    }
    let (invited, made) = (invited["id"].as_str().unwrap_or_default(), made["id"].as_str().unwrap_or_default());
    let grace = user_id(&grace).await?;
    for path in [format!("/invites/{invited}"), format!("/api-keys/{made}"), format!("/members/{grace}")] {
        ada.delete(&ada.at(&path)).await?.expect(StatusCode::NO_CONTENT)?;
    }
    let refused = ada.create_project("No").await?;
    assert_eq!((refused.status, refused.code()), (StatusCode::PAYMENT_REQUIRED, "workspace_read_only"));
    ada.get(&ada.at("/projects")).await?.expect(StatusCode::OK)?;
    app.stripe(&subscription_event("evt_2", "updated", id, "price_starter_month", "active", 0))
        .await?
        .expect(StatusCode::OK)?;
    settled(&app).await?;
    ada.create_project("Yes").await?.expect(StatusCode::CREATED)?;
    Ok(())
}

#[tokio::test]
async fn within_one_second_created_does_not_undo_updated() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let id = &ada.workspace_id;
    let updated = subscription_event("evt_2", "updated", id, "price_starter_month", "active", 0);
    let mut created = subscription_event("evt_1", "created", id, "price_starter_month", "incomplete", 0);
    created["created"] = updated["created"].clone();
    for event in [updated, created] {
        app.stripe(&event).await?.expect(StatusCode::OK)?;
        settled(&app).await?;
    }
    assert_eq!(ada.get(&ada.at("")).await?.body["plan"], "starter");
    Ok(())
}

#[tokio::test]
async fn a_customers_second_workspace_gets_its_own_subscription() -> TestResult {
    let app = TestApp::start().await?;
    let (ada, eve) = (app.sign_up("Ada").await?, app.sign_up("Eve").await?);
    let of_ada = subscription_event("evt_1", "created", &ada.workspace_id, "price_starter_month", "active", 0);
    let mut of_eve = subscription_event("evt_2", "created", &eve.workspace_id, "price_enterprise_month", "active", 0);
    of_eve["data"]["object"]["customer"] = of_ada["data"]["object"]["customer"].clone();
    for event in [of_ada, of_eve] {
        app.stripe(&event).await?.expect(StatusCode::OK)?;
        settled(&app).await?;
    }
    assert_eq!(ada.get(&ada.at("")).await?.body["plan"], "starter");
    assert_eq!(eve.get(&eve.at("")).await?.body["plan"], "enterprise");
    // An event from the far future would keep every later one out.
    let future =
        subscription_event("evt_3", "updated", &ada.workspace_id, "price_starter_month", "active", 10 * 365 * 86_400);
    assert_eq!(app.stripe(&future).await?.code(), "bad_request");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_applied_is_kept_with_its_reason() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let nowhere = "ws_01h455vb4pex5vsknk084sn02q";
    let mut anonymous = subscription_event("evt_3", "created", nowhere, "price_starter_month", "active", 0);
    anonymous["data"]["object"]["metadata"] = Value::Object(serde_json::Map::new());
    let events = [
        (subscription_event("evt_1", "created", nowhere, "price_starter_month", "active", 0), "does not exist"),
        (subscription_event("evt_2", "created", &ada.workspace_id, "price_of_nobody", "active", 0), "price_of_nobody"),
        (anonymous, "metadata has no `workspace_id`"),
    ];
    for (event, _) in &events {
        app.stripe(event).await?.expect(StatusCode::OK)?;
    }
    settled(&app).await?;
    let mut admin = app.db.admin().await?;
    for (event, says) in &events {
        let row: (String, String, i32, bool) = sqlx::query_as(
            "SELECT state, error, attempts, due_at > now() FROM kernel.webhook_inbox WHERE event_id = $1",
        )
        .bind(event["id"].as_str())
        .fetch_one(&mut admin)
        .await?;
        assert!(row.0 == "FAILED" && row.1.contains(says) && row.2 == 1 && row.3, "{row:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_event_of_a_processor_that_died_is_taken_over() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    // As a processor leaves it that claimed the event and was killed, once its lease has ended.
    let event = subscription_event("evt_1", "created", &ada.workspace_id, "price_starter_month", "active", 0);
    sqlx::query(
        "INSERT INTO kernel.webhook_inbox (provider, event_id, event_created, kind, payload, state, attempts, received_at, due_at)
         VALUES ('stripe', 'evt_1', now(), 'customer.subscription.created', $1, 'PROCESSING', 1, now(), now() - interval '1 second')",
    )
    .bind(&event)
    .execute(&mut app.db.admin().await?)
    .await?;
    let processor = app.kernel.billing_processor().ok_or("a processor")?;
    processor.drain().await?;
    settled(&app).await?;
    assert_eq!(app.count("SELECT attempts::bigint FROM kernel.webhook_inbox WHERE state = 'PROCESSED'").await?, 2);
    assert_eq!(ada.get(&ada.at("")).await?.body["plan"], "starter");
    Ok(())
}

#[tokio::test]
async fn an_event_whose_attempts_all_ended_without_an_outcome_becomes_a_dead_letter() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let log = Log::default();
    let _guard = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).set_default();
    let event = subscription_event("evt_1", "created", &ada.workspace_id, "price_starter_month", "active", 0);
    // As the last of 20 processes leaves it that ended while processing it.
    let mut admin = app.db.admin().await?;
    sqlx::query(
        "INSERT INTO kernel.webhook_inbox (provider, event_id, event_created, kind, payload, state, attempts, received_at, due_at)
         VALUES ('stripe', 'evt_1', now(), 'customer.subscription.created', $1, 'PROCESSING', 20, now(), now() - interval '1 second')",
    )
    .bind(&event)
    .execute(&mut admin)
    .await?;
    let processor = app.kernel.billing_processor().ok_or("a processor")?;
    for _ in 0..2 {
        processor.drain().await?;
    }
    let row: (String, i32, bool, bool, String) = sqlx::query_as(
        "SELECT state, attempts, due_at IS NULL, finished_at IS NOT NULL, coalesce(error, '') FROM kernel.webhook_inbox",
    )
    .fetch_one(&mut admin)
    .await?;
    assert!(row.0 == "FAILED" && row.1 == 20 && row.2 && row.3, "{row:?}");
    for says in ["the process ended during every attempt", "then make it due"] {
        assert!(row.4.contains(says), "{row:?}");
    }
    assert_eq!(ada.get(&ada.at("")).await?.body["plan"], "free");
    let log = log.text();
    let errors: Vec<_> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert!(errors.len() == 1 && errors[0].contains("evt_1") && errors[0].contains(&row.4), "{log}");
    Ok(())
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn only_stripes_own_fresh_signature_is_believed() -> TestResult {
    let app = TestApp::start().await?;
    let now = SystemClock.now();
    let event =
        subscription_event("evt_1", "created", "ws_01h455vb4pex5vsknk084sn02q", "price_starter_month", "active", 0)
            .to_string();
    let sign = |secret: &str, seconds: i64| {
        saas_kernel_stripe::sign(secret, now + chrono::TimeDelta::seconds(seconds), event.as_bytes())
    };
    let send = async |signature: Option<String>, body: String| {
        let mut request = app.caller().client.post(format!("http://{}/webhooks/stripe", app.address)).body(body);
        if let Some(signature) = signature {
            request = request.header("stripe-signature", signature);
        }
        Answer::of(request).await
    };
    for (signature, body) in [
        (None, event.clone()),
        (Some(String::new()), event.clone()),
        (Some("t=1,v1=00".to_owned()), event.clone()),
        (Some(sign("whsec_of_somebody_else", 0)), event.clone()),
        (Some(sign(WEBHOOK_SECRET, -301)), event.clone()),
        (Some(sign(WEBHOOK_SECRET, 400)), event.clone()),
        (Some(sign(WEBHOOK_SECRET, 0)), format!("{event} ")),
    ] {
        let answer = send(signature.clone(), body).await?;
        assert_eq!((answer.status, answer.code()), (StatusCode::BAD_REQUEST, "signature_invalid"), "{signature:?}");
    }
    assert_eq!(app.count(KEPT).await?, 0);
    send(Some(sign(WEBHOOK_SECRET, -200)), event.clone()).await?.expect(StatusCode::OK)?;
    let other =
        Answer::of(app.caller().client.post(format!("http://{}/webhooks/paypal", app.address)).body(event)).await?;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    Ok(())
}
