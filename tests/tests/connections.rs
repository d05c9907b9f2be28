//! Who does not use the database holds no connection: a pool of two serves others meanwhile.

use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use futures_util::{StreamExt, stream};
use reference::projects::ReadProject;
use reqwest::{Method, StatusCode};
use saas_kernel::guard::rate_limit::{Bucket, Quota, RateLimiter};
use saas_kernel::memory::rate_limit::MemoryRateLimiter;
use saas_kernel::{BoxError, Kernel, Keyring};
use saas_kernel_axum::{Allow, ApiError, HttpSettings, NoQuery, OpenApiRouter, View, app, routes, utoipa};
use saas_kernel_postgres::{PgOptions, PgResult, PgStore};
use saas_kernel_tests::served::{Gate, Served};
use saas_kernel_tests::{Caller, TestApp, TestResult, config};

/// How many calls wait at once: more than there are connections.
const CALLS: u32 = 5;

#[derive(Clone)]
struct Product {
    store: PgStore,
    gate: Gate,
}

/// Waits for something slow before it uses the database.
#[utoipa::path(get, path = "/slow", responses((status = 200, body = i64)))]
async fn slow(can: Allow<ReadProject>, State(product): State<Product>, _: NoQuery) -> Result<View<i64>, ApiError> {
    product.gate.pass().await;
    count(&can, product).await
}

#[utoipa::path(get, path = "/count", responses((status = 200, body = i64)))]
async fn quick(can: Allow<ReadProject>, State(product): State<Product>, _: NoQuery) -> Result<View<i64>, ApiError> {
    count(&can, product).await
}

async fn count(can: &Allow<ReadProject>, product: Product) -> Result<View<i64>, ApiError> {
    const COUNT: &str = "SELECT count(*) FROM tracker.projects WHERE workspace_id = $1";
    let mut tx = product.store.begin_tenant(can).await?;
    let count = sqlx::query_scalar(COUNT).bind(can.workspace().uuid());
    Ok(View(count.fetch_one(tx.conn()).await.store()?))
}

/// A stream that lasts, and keeps what let its caller in until it ends.
#[utoipa::path(get, path = "/stream", responses((status = 200)))]
async fn lasting(can: Allow<ReadProject>, State(product): State<Product>, _: NoQuery) -> Response {
    let last = async move {
        product.gate.pass().await;
        Ok(can.workspace().to_string())
    };
    let chunks = stream::iter([Ok::<_, BoxError>("begins ".to_owned())]).chain(stream::once(last));
    Response::new(Body::from_stream(chunks))
}

/// The app on a pool of two connections. A call that has to wait for one waits until its test has failed.
async fn serve(reference: &TestApp, limiter: impl RateLimiter, gate: &Gate) -> Result<Served, BoxError> {
    // One caller may hold both, so that no share keeps connections free.
    let pool = PgOptions::app().max_connections(2).share(2).acquire_timeout(Duration::from_secs(60));
    let store = PgStore::connect_with(&reference.db.app_url(), pool).await?;
    let mut config = config()?;
    config.rate_limits.api_per_workspace = Some(Quota::per_minute(1000));
    let kernel = Kernel::builder(config)
        .keyring(Keyring::ephemeral())
        .store(store.clone())
        .permissions(reference::projects::PERMISSIONS)
        .rate_limiter(limiter)
        .build()?;
    let product = Product { store, gate: gate.clone() };
    let routes =
        OpenApiRouter::new().routes(routes!(slow)).routes(routes!(quick)).routes(routes!(lasting)).with_state(product);
    Served::start(app(&kernel, HttpSettings::new("http://127.0.0.1")?).workspace_routes(routes)).await
}

/// Counts the projects of the caller's workspace: the sign-up's own.
async fn is_served(caller: &Caller) -> TestResult {
    assert_eq!(caller.get(&caller.at("/count")).await?.expect(StatusCode::OK)?, 1);
    Ok(())
}

fn call(caller: &Caller, path: &str) -> tokio::task::JoinHandle<Result<reqwest::Response, reqwest::Error>> {
    tokio::spawn(caller.request(Method::GET, &caller.at(path)).send())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_waits_before_it_uses_the_database_holds_none() -> TestResult {
    let reference = TestApp::start().await?;
    let (ada, eve) = (reference.sign_up("Ada").await?, reference.sign_up("Eve").await?);
    let gate = Gate::closed();
    let served = serve(&reference, MemoryRateLimiter::default(), &gate).await?;
    let (ada, eve) = (served.caller(&ada), served.caller(&eve));
    let slow: Vec<_> = (0..CALLS).map(|_| call(&ada, "/slow")).collect();
    gate.arrivals(CALLS).await?;
    is_served(&eve).await?;
    is_served(&ada).await?;
    gate.open();
    for call in slow {
        let response = call.await??;
        assert_eq!((response.status(), response.text().await?), (StatusCode::OK, "1".to_owned()));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_that_is_streamed_without_the_database_holds_none() -> TestResult {
    let reference = TestApp::start().await?;
    let (ada, eve) = (reference.sign_up("Ada").await?, reference.sign_up("Eve").await?);
    let gate = Gate::closed();
    let served = serve(&reference, MemoryRateLimiter::default(), &gate).await?;
    let (ada, eve) = (served.caller(&ada), served.caller(&eve));
    let mut streams = Vec::new();
    for open in 1..=CALLS {
        let mut response = call(&ada, "/stream").await??;
        assert_eq!(response.chunk().await?.as_deref(), Some(&b"begins "[..]));
        gate.arrivals(open).await?;
        streams.push(response);
    }
    is_served(&eve).await?;
    is_served(&ada).await?;
    gate.open();
    for stream in streams {
        assert_eq!(stream.text().await?, ada.workspace_id);
    }
    Ok(())
}

/// A rate limiter that waits for its counters of one workspace.
struct SlowFor {
    workspace: String,
    gate: Gate,
}

#[async_trait]
impl RateLimiter for SlowFor {
    async fn check(&self, bucket: Bucket, key: &str, _quota: Quota) -> Result<(), Duration> {
        if bucket == Bucket::ApiWorkspace && key == self.workspace {
            self.gate.pass().await;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_rate_limiter_waits_holds_none() -> TestResult {
    let reference = TestApp::start().await?;
    let (ada, eve) = (reference.sign_up("Ada").await?, reference.sign_up("Eve").await?);
    let (handlers, counters) = (Gate::closed(), Gate::closed());
    let limiter = SlowFor { workspace: ada.workspace_id.clone(), gate: counters.clone() };
    let served = serve(&reference, limiter, &handlers).await?;
    let (ada, eve) = (served.caller(&ada), served.caller(&eve));
    let waiting: Vec<_> = (0..CALLS).map(|_| call(&ada, "/count")).collect();
    counters.arrivals(CALLS).await?;
    is_served(&eve).await?;
    counters.open();
    for call in waiting {
        assert_eq!(call.await??.status(), StatusCode::OK);
    }
    is_served(&ada).await
}
