//! The harness: the reference app on a database of its own, over real TCP, and callers of it.
#![expect(clippy::indexing_slicing, reason = "a test that indexes wrong fails, as it should")]

pub mod modules;
pub mod programs;
pub mod served;
pub mod teammates;

use std::net::SocketAddr;
use std::time::Duration;

use reference::settings::{Databases, Settings};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, StatusCode};
use saas_kernel::clock::{Clock, SystemClock};
use saas_kernel::memory::mailer::MemoryMailer;
use saas_kernel::{BoxError, Kernel, Keyring, ProductConfig};
use saas_kernel_postgres::testing::TestDb;
use saas_kernel_postgres::{Migrations, PgOptions, PgStore, PgSystem};
use serde_json::{Value, json};

use crate::served::Served;

/// The secret that the app's Stripe endpoint has in tests.
pub const WEBHOOK_SECRET: &str = "whsec_of_the_tests";
/// Of every account made here.
pub const PASSWORD: &str = "correct horse battery";

pub type TestResult = Result<(), BoxError>;

/// The reference app, serving until it is dropped.
pub struct TestApp {
    pub db: TestDb,
    pub kernel: Kernel,
    pub store: PgStore,
    pub system: PgSystem,
    pub address: SocketAddr,
    pub mail: MemoryMailer,
    _served: Served,
}

impl TestApp {
    /// As `product.config.yaml` has it.
    pub async fn start() -> Result<Self, BoxError> {
        Self::start_with(|_| {}).await
    }

    /// With settings of one's own.
    pub async fn start_with(change: impl FnOnce(&mut Settings)) -> Result<Self, BoxError> {
        let db = test_db().await?;
        Self::start_on(db, change).await
    }

    /// On a database that exists.
    pub async fn start_on(db: TestDb, change: impl FnOnce(&mut Settings)) -> Result<Self, BoxError> {
        let mut settings = settings(&db);
        change(&mut settings);
        let databases = settings.databases.as_ref().ok_or("no databases")?;
        let store = PgStore::connect_with(&databases.app, settings.pool).await?;
        let system = PgSystem::connect(&databases.system).await?;
        let kernel = reference::kernel(store.clone(), system.clone(), &settings)?;
        system.sync_catalog(kernel.catalog()).await?;
        let app = reference::app(&kernel, store.clone(), &settings)?;
        let served = Served::start(app).await?;
        let mail = settings.dev_mail.clone().unwrap_or_default();
        Ok(Self { db, kernel, store, system, address: served.address, mail, _served: served })
    }

    /// Somebody with a cookie jar.
    pub fn caller(&self) -> Caller {
        let client = Client::builder().cookie_store(true).timeout(Duration::from_secs(60)).build().unwrap_or_default();
        Caller {
            client,
            base: format!("http://{}", self.address),
            workspace: String::new(),
            workspace_id: String::new(),
        }
    }

    /// Signs `name` up and logs them in; their first workspace is the caller's.
    pub async fn sign_up(&self, name: &str) -> Result<Caller, BoxError> {
        let mut caller = self.caller();
        let email = format!("{}@example.com", name.to_lowercase().replace(' ', "."));
        let account = json!({ "email": email, "password": PASSWORD, "name": name });
        caller.post("/api/v1/auth/register", &account).await?.expect(StatusCode::CREATED)?;
        caller.log_in(&email).await?.expect(StatusCode::OK)?;
        let workspaces = caller.get("/api/v1/workspaces").await?.expect(StatusCode::OK)?;
        workspaces["items"][0]["slug"].as_str().unwrap_or_default().clone_into(&mut caller.workspace);
        workspaces["items"][0]["id"].as_str().unwrap_or_default().clone_into(&mut caller.workspace_id);
        Ok(caller)
    }

    /// Sends a Stripe event as Stripe would sign it now.
    pub async fn stripe(&self, event: &Value) -> Result<Answer, BoxError> {
        let body = event.to_string();
        let signature = saas_kernel_stripe::sign(WEBHOOK_SECRET, SystemClock.now(), body.as_bytes());
        let request = self.caller().client.post(format!("http://{}/webhooks/stripe", self.address));
        Answer::of(request.header("stripe-signature", signature).body(body)).await
    }

    /// One number, seen past row-level security.
    pub async fn count(&self, sql: &'static str) -> Result<i64, BoxError> {
        Ok(sqlx::query_scalar(sql).fetch_one(&mut self.db.admin().await?).await?)
    }
}

/// A database with the kernel's schema and the product's.
pub async fn test_db() -> Result<TestDb, BoxError> {
    Ok(TestDb::new(&Migrations::kernel().product(&reference::PRODUCT_MIGRATIONS)).await?)
}

/// The same, for tests that hold locks: nobody who waits for one gives up before the test does.
pub async fn patient_db() -> Result<TestDb, BoxError> {
    let db = test_db().await?;
    let longer = "DO $$ DECLARE setting text; BEGIN
        FOREACH setting IN ARRAY ARRAY['lock_timeout', 'statement_timeout'] LOOP
            EXECUTE format('ALTER ROLE kernel_app IN DATABASE %I SET %I = %L', current_database(), setting, '60s');
        END LOOP;
    END $$";
    sqlx::raw_sql(longer).execute(&mut db.admin().await?).await?;
    Ok(db)
}

/// The app's settings on `db`.
pub fn settings(db: &TestDb) -> Settings {
    Settings {
        address: "127.0.0.1:0".to_owned(),
        public_url: "http://127.0.0.1".to_owned(),
        trusted_proxies: String::new(),
        config: concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/reference/product.config.yaml").into(),
        stripe_webhook_secrets: vec![WEBHOOK_SECRET.to_owned()],
        keyring: Keyring::ephemeral(),
        shutdown_delay: None,
        databases: Some(Databases { app: db.app_url(), system: db.system_url() }),
        pool: PgOptions::app(),
        dev_mail: Some(MemoryMailer::default()),
    }
}

/// The reference's configuration.
pub fn config() -> Result<ProductConfig, BoxError> {
    Ok(ProductConfig::load(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/reference/product.config.yaml"))?)
}

/// Somebody who calls the app.
#[derive(Clone)]
pub struct Caller {
    pub client: Client,
    pub base: String,
    /// The slug of their first workspace.
    pub workspace: String,
    /// Its id.
    pub workspace_id: String,
}

impl Caller {
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    pub async fn get(&self, path: &str) -> Result<Answer, BoxError> {
        Answer::of(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer, BoxError> {
        Answer::of(self.request(Method::POST, path).json(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Result<Answer, BoxError> {
        Answer::of(self.request(Method::PATCH, path).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> Result<Answer, BoxError> {
        Answer::of(self.request(Method::DELETE, path)).await
    }

    pub async fn log_in(&self, email: &str) -> Result<Answer, BoxError> {
        self.post("/api/v1/auth/login", &json!({ "email": email, "password": PASSWORD })).await
    }

    /// An address below the caller's first workspace.
    pub fn at(&self, path: &str) -> String {
        format!("/api/v1/workspaces/{}{path}", self.workspace)
    }

    pub async fn create_project(&self, name: &str) -> Result<Answer, BoxError> {
        self.post(&self.at("/projects"), &json!({ "name": name })).await
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Answer {
    pub async fn of(request: reqwest::RequestBuilder) -> Result<Self, BoxError> {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        Ok(Self { status, headers, body: serde_json::from_str(&text).unwrap_or_default(), text })
    }

    /// The error code, or "" for a success.
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    /// The body, if the status is the expected one.
    pub fn expect(self, status: StatusCode) -> Result<Value, BoxError> {
        if self.status == status {
            Ok(self.body)
        } else {
            Err(format!("expected {status}, got {}: {}", self.status, self.text).into())
        }
    }

    /// The envelope without the request id.
    pub fn without_request_id(&self) -> Value {
        let mut body = self.body.clone();
        body["error"]["request_id"] = Value::Null;
        body
    }
}

/// A subscription event in the shape Stripe sends since 2025-03-31; `seconds` from now is when Stripe made it.
pub fn subscription_event(id: &str, kind: &str, workspace: &str, price: &str, status: &str, seconds: i64) -> Value {
    let created = SystemClock.now().timestamp() + seconds;
    let ended = (status == "canceled").then_some(created);
    json!({
        "id": id, "object": "event", "api_version": "2026-10-28.endive", "created": created, "livemode": false,
        "type": format!("customer.subscription.{kind}"),
        "data": { "object": {
            "id": format!("sub_{workspace}"), "object": "subscription", "customer": format!("cus_{workspace}"), "status": status,
            "metadata": { "workspace_id": workspace }, "cancel_at": null, "cancel_at_period_end": false, "ended_at": ended,
            "items": { "object": "list", "data": [{
                "id": "si_1", "object": "subscription_item", "quantity": 1,
                "current_period_start": created, "current_period_end": created + 2_592_000,
                "price": { "id": price, "object": "price", "lookup_key": null }
            }]}
        }}
    })
}

/// Asks `question` until it answers yes, for at most ten seconds.
pub async fn eventually<F: Future<Output = Result<bool, BoxError>>>(
    what: &str,
    question: impl Fn() -> F,
) -> TestResult {
    let mut every = tokio::time::interval(Duration::from_millis(10));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while tokio::time::Instant::now() < deadline {
        every.tick().await;
        if question().await? {
            return Ok(());
        }
    }
    Err(format!("not within ten seconds: {what}").into())
}
