//! `make demo`: the main user journey on a fresh app, by plain HTTP calls; prints each call and response.

use std::net::SocketAddr;

use chrono::{DateTime, Utc};
use reqwest::{Client, Method, StatusCode};
use saas_kernel::BoxError;
use saas_kernel_postgres::testing::{LocalPostgres, LocalPostgresOptions};
use saas_kernel_postgres::{Migrations, PgStore, PgSystem, create_roles};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::settings::Settings;
use crate::{PRODUCT_MIGRATIONS, app, kernel, say};

/// Signs up, reaches the plan's limit, pays, creates one more project, and reads the audit log.
///
/// # Errors
/// At the first response that is not the expected one.
pub async fn run() -> Result<(), BoxError> {
    say("# A fresh app on a fresh, private Postgres\n");
    let settings = Settings::demonstration("127.0.0.1:0");
    let postgres = LocalPostgres::start(LocalPostgresOptions::default().durable(true)).await?;
    let admin = postgres.superuser_url("postgres");
    create_roles(&admin).await?;
    Migrations::kernel().product(&PRODUCT_MIGRATIONS).run(&admin).await?;
    let store = PgStore::connect(&postgres.url("kernel_app", "postgres")).await?;
    let system = PgSystem::connect(&postgres.url("kernel_system", "postgres")).await?;
    let kernel = kernel(store.clone(), system.clone(), &settings)?;
    system.sync_catalog(kernel.catalog()).await?;
    let app = app(&kernel, store, &settings)?;
    let (started, address) = oneshot::channel();
    let server = tokio::spawn(async move {
        let tell = |address| {
            // The receiver is gone if the demo has failed already.
            let _ = started.send(address);
        };
        saas_kernel_axum::serve(app, "127.0.0.1:0", tell).await
    });
    let address = tokio::select! {
        address = address => address?,
        stopped = server => return Err(format!("the app stopped: {stopped:?}").into()),
    };
    let secret = settings.stripe_webhook_secrets.first().ok_or("no webhook secret")?;
    journey(address, secret, kernel.now()).await?;
    postgres.stop().await?;
    Ok(())
}

async fn journey(address: SocketAddr, webhook_secret: &str, now: DateTime<Utc>) -> Result<(), BoxError> {
    let caller = Caller { client: Client::builder().cookie_store(true).build()?, base: format!("http://{address}") };
    let (email, password) = ("ada@example.com", "correct horse battery");
    let account = json!({ "email": email, "password": password, "name": "Ada Lovelace" });

    say("# 1. Sign up: an account, a workspace and a first project, in one transaction");
    caller.call(Method::POST, "/api/v1/auth/register", Some(&account), StatusCode::CREATED).await?;
    let login = json!({ "email": email, "password": password });
    caller.call(Method::POST, "/api/v1/auth/login", Some(&login), StatusCode::OK).await?;
    caller.call(Method::GET, "/api/v1/me", None, StatusCode::OK).await?;
    let workspaces = caller.call(Method::GET, "/api/v1/workspaces", None, StatusCode::OK).await?;
    let workspace = text(&workspaces, "/items/0/id")?;
    let at = format!("/api/v1/workspaces/{}", text(&workspaces, "/items/0/slug")?);

    say("# 2. Create projects until the plan's limit refuses");
    for number in 2..=5 {
        let project = json!({ "name": format!("Project {number}") });
        caller.call(Method::POST, &format!("{at}/projects"), Some(&project), StatusCode::CREATED).await?;
    }
    let one_more = json!({ "name": "One more" });
    caller.call(Method::POST, &format!("{at}/projects"), Some(&one_more), StatusCode::PAYMENT_REQUIRED).await?;

    say("# 3. Pay: Stripe sends its signed event");
    let event = subscription_event(&workspace, now);
    caller.webhook(&event, webhook_secret, now).await?;
    caller.wait_for_plan(&at, "starter").await?;
    caller.call(Method::GET, &format!("{at}/entitlements"), None, StatusCode::OK).await?;

    say("# 4. The same call is let through");
    caller.call(Method::POST, &format!("{at}/projects"), Some(&one_more), StatusCode::CREATED).await?;

    say("# 5. The audit log has every step, newest first");
    let log = caller.call(Method::GET, &format!("{at}/audit?limit=100"), None, StatusCode::OK).await?;
    let entries = log.get("items").and_then(Value::as_array).into_iter().flatten();
    let actions: Vec<_> = entries.filter_map(|entry| entry.get("action")?.as_str()).rev().collect();
    let expected =
        [&["workspace.create"][..], &["resource.create"; 4], &["billing.subscription_created", "resource.create"]]
            .concat();
    if actions != expected {
        return Err(format!("the audit log has the actions {actions:?}; expected {expected:?}").into());
    }
    say("# Done: every answer was the expected one.");
    Ok(())
}

fn text(value: &Value, pointer: &str) -> Result<String, BoxError> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.map(str::to_owned).ok_or_else(|| format!("{pointer} is missing in {value}").into())
}

struct Caller {
    client: Client,
    base: String,
}

impl Caller {
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        expect: StatusCode,
    ) -> Result<Value, BoxError> {
        say(&format!("> {method} {path} {}", body.map_or_else(String::new, ToString::to_string)));
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(body);
        }
        answer(request, expect).await
    }

    async fn webhook(&self, event: &Value, secret: &str, now: DateTime<Utc>) -> Result<(), BoxError> {
        let body = event.to_string();
        let signature = saas_kernel_stripe::sign(secret, now, body.as_bytes());
        say(&format!("> POST /webhooks/stripe\n  Stripe-Signature: {signature}\n  {body}"));
        let request =
            self.client.post(format!("{}/webhooks/stripe", self.base)).header("Stripe-Signature", signature).body(body);
        answer(request, StatusCode::OK).await.map(drop)
    }

    /// The event is processed after it was answered: polls until the plan has changed, for at most ten seconds.
    async fn wait_for_plan(&self, at: &str, plan: &str) -> Result<(), BoxError> {
        let mut every = tokio::time::interval(std::time::Duration::from_millis(20));
        for _ in 0..500 {
            every.tick().await;
            let workspace: Value = self.client.get(format!("{}{at}", self.base)).send().await?.json().await?;
            if workspace.get("plan").and_then(Value::as_str) == Some(plan) {
                return Ok(());
            }
        }
        Err(format!("the workspace is not on the plan {plan} after ten seconds").into())
    }
}

async fn answer(request: reqwest::RequestBuilder, expect: StatusCode) -> Result<Value, BoxError> {
    let response = request.send().await?;
    let (status, body) = (response.status(), response.text().await?);
    say(&format!("< {status} {body}\n"));
    if status != expect {
        return Err(format!("expected {expect}, got {status}").into());
    }
    Ok(serde_json::from_str(&body).unwrap_or_default())
}

/// An event in the format that Stripe sends since 2025-03-31: each item has its own period.
fn subscription_event(workspace: &str, now: DateTime<Utc>) -> Value {
    let (start, end) = (now.timestamp(), now.timestamp() + 30 * 86_400);
    json!({
        "id": "evt_demo_1", "object": "event", "api_version": "2026-10-28.endive", "created": start, "livemode": false,
        "type": "customer.subscription.created",
        "data": { "object": {
            "id": "sub_demo_1", "object": "subscription", "customer": "cus_demo_1", "status": "active",
            "metadata": { "workspace_id": workspace }, "cancel_at": null, "cancel_at_period_end": false, "ended_at": null,
            "items": { "object": "list", "data": [{
                "id": "si_demo_1", "object": "subscription_item", "quantity": 1,
                "current_period_start": start, "current_period_end": end,
                "price": { "id": "price_starter_month", "object": "price", "lookup_key": null }
            }]}
        }}
    })
}
