//! The harness: the reference app on a database of its own, over real TCP, and callers of it.
#![expect(clippy::indexing_slicing, reason = "a test that indexes wrong fails, as it should")]

pub mod modules;
pub mod programs;
pub mod served;
pub mod teammates;

use std::net::SocketAddr;
use std::ops::Deref;

use reference::settings::Settings;
use saas_kernel::clock::{Clock, SystemClock};
use saas_kernel::memory::mailer::MemoryMailer;
use saas_kernel::notify::mailer::NoMailer;
use saas_kernel::{BoxError, Keyring, ProductConfig};
use saas_kernel_postgres::testing::TestDb;
use saas_kernel_postgres::{Migrations, PgOptions};
use saas_kernel_testing::{HttpClient, Setup, StatusCode, TestKernel};
use serde_json::{Value, json};

pub use saas_kernel_testing::{Answer, PASSWORD, TestResult, eventually};

/// The secret that the app's Stripe endpoint has in tests.
pub const WEBHOOK_SECRET: &str = "whsec_of_the_tests";

/// The reference app, serving until it is dropped, with the clock of the machine and the rate limits of its configuration.
pub struct TestApp {
    test: TestKernel,
    pub address: SocketAddr,
}

impl Deref for TestApp {
    type Target = TestKernel;

    fn deref(&self) -> &TestKernel {
        &self.test
    }
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
        let mut settings = settings();
        change(&mut settings);
        let mut setup = Setup::of(reference::builder(&settings)?).database(db).pool(settings.pool);
        setup = match settings.dev_mail.clone() {
            Some(mailer) => setup.mailer(mailer),
            None => setup.kernel(|kernel| kernel.mailer(NoMailer)),
        };
        let setup = setup.running_clock().rate_limits();
        let setup = setup.app(move |kernel, store| reference::app(kernel, store, &settings));
        let test = TestKernel::start(setup).await?;
        let address = test.address().await?;
        Ok(Self { test, address })
    }

    /// Somebody with a cookie jar.
    pub fn caller(&self) -> Caller {
        Caller::of(format!("http://{}", self.address))
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

/// The app's settings in tests.
fn settings() -> Settings {
    Settings {
        address: "127.0.0.1:0".to_owned(),
        public_url: "http://127.0.0.1".to_owned(),
        trusted_proxies: String::new(),
        config: concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/reference/product.config.yaml").into(),
        stripe_webhook_secrets: vec![WEBHOOK_SECRET.to_owned()],
        keyring: Keyring::ephemeral(),
        shutdown_delay: None,
        databases: None,
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
    pub http: HttpClient,
    /// The slug of their first workspace.
    pub workspace: String,
    /// Its id.
    pub workspace_id: String,
}

impl Deref for Caller {
    type Target = HttpClient;

    fn deref(&self) -> &HttpClient {
        &self.http
    }
}

impl Caller {
    /// Nobody yet, with a cookie jar, of the app at `base`.
    pub fn of(base: impl Into<String>) -> Self {
        Self { http: HttpClient::new(base), workspace: String::new(), workspace_id: String::new() }
    }

    /// The same caller, with the same cookies, of another app.
    pub fn at_base(&self, base: impl Into<String>) -> Self {
        Self { http: self.http.at_base(base), ..self.clone() }
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
