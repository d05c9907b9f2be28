//! A handler that commits, calls a provider and commits again, with an idempotency key: the key belongs to the call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::http::header::{ETAG, LOCATION, SET_COOKIE};
use axum::http::{HeaderName, HeaderValue};
use reference::projects::CreateProject;
use reqwest::{Method, StatusCode};
use saas_kernel::{BoxError, Refusal, StoreError, codes};
use saas_kernel_axum::{
    Allow, ApiError, Created, HttpSettings, NoQuery, OpenApiRouter, WithHeaders, app, routes, utoipa,
};
use saas_kernel_postgres::{PgResult, PgStore, PgTx};
use saas_kernel_tests::served::{Gate, Served};
use saas_kernel_tests::{Answer, Caller, TestApp, TestResult};

const PROJECTS: &str = "SELECT count(*) FROM tracker.projects";
const PAID: &str = "SELECT count(*) FROM tracker.projects WHERE name = 'Paid'";

/// The provider, at whose gate each call of it arrives.
#[derive(Clone)]
struct Shop {
    store: PgStore,
    provider: Gate,
    /// Whether the next order is refused before its first commit.
    refuses: Arc<AtomicBool>,
}

#[utoipa::path(post, path = "/orders", responses((status = 201, body = String)))]
async fn order(
    can: Allow<CreateProject>,
    State(shop): State<Shop>,
    _: NoQuery,
) -> Result<WithHeaders<Created<&'static str>>, ApiError> {
    let mut tx = shop.store.begin_tenant(&can).await?;
    execute(
        &mut tx,
        "INSERT INTO tracker.projects (workspace_id, id, name, created_by_type, created_by_id, created_at, updated_at)
         SELECT kernel.ws(), gen_random_uuid(), 'Unpaid', 'user', gen_random_uuid(), now(), now()",
    )
    .await?;
    if shop.refuses.swap(false, Ordering::Relaxed) {
        return Err(Refusal::new(&codes::CONFLICT, "sold out").into());
    }
    tx.commit().await?;
    shop.provider.pass().await;
    let mut tx = shop.store.begin_tenant(&can).await?;
    execute(&mut tx, "UPDATE tracker.projects SET name = 'Paid' WHERE name = 'Unpaid'").await?;
    let mut secret = HeaderValue::from_static("secret");
    secret.set_sensitive(true);
    let response = WithHeaders::new(Created("paid"))
        .header(LOCATION, HeaderValue::from_static("/orders/1"))
        .header(ETAG, HeaderValue::from_static("\"1\""))
        .header(SET_COOKIE, HeaderValue::from_static("secret=1"))
        .header(HeaderName::from_static("x-one-time-code"), secret);
    Ok(tx.commit_with(response).await?)
}

async fn execute(tx: &mut PgTx, sql: &'static str) -> Result<(), StoreError> {
    sqlx::query(sql).execute(tx.conn()).await.store().map(drop)
}

async fn shop(reference: &TestApp) -> Result<(Shop, Served), BoxError> {
    let shop = Shop { store: reference.store.clone(), provider: Gate::closed(), refuses: Arc::default() };
    let orders = OpenApiRouter::new().routes(routes!(order)).with_state(shop.clone());
    let product = app(&reference.kernel, HttpSettings::new("http://127.0.0.1")?).workspace_routes(orders);
    Ok((shop, Served::start(product).await?))
}

async fn send(caller: Caller) -> Result<Answer, BoxError> {
    Answer::of(caller.request(Method::POST, &caller.at("/orders")).header("idempotency-key", "order-1")).await
}

fn replayed(answer: &Answer) -> bool {
    answer.headers.contains_key("idempotent-replayed")
}

#[tokio::test]
async fn a_retry_gets_the_response_of_the_last_commit_with_its_headers_and_no_secrets() -> TestResult {
    let reference = TestApp::start().await?;
    let ada = reference.sign_up("Ada").await?;
    let (shop, served) = shop(&reference).await?;
    let ada = served.caller(&ada);
    shop.provider.open();
    let first = send(ada.clone()).await?;
    assert_eq!((first.status, replayed(&first)), (StatusCode::CREATED, false), "{}", first.text);
    let again = send(ada).await?;
    assert_eq!((again.status, replayed(&again), &again.text), (StatusCode::CREATED, true, &first.text));
    for name in ["location", "etag", "content-type"] {
        assert!(first.headers.contains_key(name), "{name}");
        assert_eq!(again.headers.get(name), first.headers.get(name), "{name}");
    }
    for name in ["set-cookie", "x-one-time-code"] {
        assert!(first.headers.contains_key(name) && !again.headers.contains_key(name), "{name}");
    }
    assert_eq!((shop.provider.arrived(), reference.count(PAID).await?), (1, 1));
    let secrets = "SELECT count(*) FROM kernel.idempotency_keys WHERE headers::text ~ 'secret|cookie|code'";
    assert_eq!(reference.count(secrets).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_duplicate_between_the_two_commits_is_refused_and_does_not_run() -> TestResult {
    let reference = TestApp::start().await?;
    let ada = reference.sign_up("Ada").await?;
    let (shop, served) = shop(&reference).await?;
    let ada = served.caller(&ada);
    let first = tokio::spawn(send(ada.clone()));
    shop.provider.arrivals(1).await?;
    for _ in 0..2 {
        let duplicate = send(ada.clone()).await?;
        assert_eq!((duplicate.status, duplicate.code()), (StatusCode::CONFLICT, "idempotency_done"));
        assert!(duplicate.text.contains("still runs"), "{}", duplicate.text);
    }
    shop.provider.open();
    let first = first.await??;
    assert_eq!((first.status, replayed(&first)), (StatusCode::CREATED, false), "{}", first.text);
    let again = send(ada).await?;
    assert_eq!((again.status, replayed(&again), &again.text), (StatusCode::CREATED, true, &first.text));
    assert_eq!((shop.provider.arrived(), reference.count(PROJECTS).await?), (1, 2), "with the sign-up's own project");
    Ok(())
}

#[tokio::test]
async fn a_first_transaction_that_is_rolled_back_frees_the_key() -> TestResult {
    let reference = TestApp::start().await?;
    let ada = reference.sign_up("Ada").await?;
    let (shop, served) = shop(&reference).await?;
    let ada = served.caller(&ada);
    shop.provider.open();
    shop.refuses.store(true, Ordering::Relaxed);
    let refused = send(ada.clone()).await?;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "conflict"));
    assert_eq!((shop.provider.arrived(), reference.count(PROJECTS).await?), (0, 1));
    let retry = send(ada).await?;
    assert_eq!((retry.status, replayed(&retry)), (StatusCode::CREATED, false), "{}", retry.text);
    assert_eq!((shop.provider.arrived(), reference.count(PROJECTS).await?), (1, 2));
    Ok(())
}
