//! Login and sign-up on a database that refuses everything: what is counted, what is asked, and how long it takes.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use saas_kernel::guard::rate_limit::{Bucket, Quota, RateLimiter};
use saas_kernel::identity::lookups::Lookups;
use saas_kernel::identity::sign_up::{ANSWER_FLOOR, TRANSACTION_FLOOR};
use saas_kernel::request::RequestHead;
use saas_kernel::{BoxError, Call, Ctx, Kernel, ProductConfig, Scope, Store, StoreError, Tx};
use tokio::time::Instant;

const CONFIG: &str = "
brand: { name: Test }
plans: [{ key: free, name: Free }]
roles: [{ name: owner, permissions: ['*'] }]
";
const PASSWORD: &str = "correct horse battery";

/// A database that refuses everything, and when it was last asked for a transaction.
#[derive(Clone, Default)]
struct Refusing {
    begun: Arc<Mutex<Option<Instant>>>,
}

#[async_trait]
impl Store for Refusing {
    async fn begin(&self, _: Scope) -> Result<Box<dyn Tx>, StoreError> {
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Err(StoreError::Locked)
    }
    async fn lookups(&self, _: &Call) -> Result<Box<dyn Lookups>, StoreError> {
        Err(StoreError::Timeout)
    }
    async fn ready(&self) -> Result<(), StoreError> {
        Err(StoreError::Timeout)
    }
}

/// Records what is counted, and refuses the calls of one key.
#[derive(Clone, Default)]
struct Counted {
    calls: Arc<Mutex<Vec<(Bucket, String)>>>,
    refused: Option<&'static str>,
}

impl Counted {
    fn take(&self) -> Vec<(Bucket, String)> {
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl RateLimiter for Counted {
    async fn check(&self, bucket: Bucket, key: &str, _: Quota) -> Result<(), Duration> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push((bucket, key.to_owned()));
        if self.refused == Some(key) { Err(Duration::from_secs(9)) } else { Ok(()) }
    }
}

fn kernel(limiter: &Counted) -> Result<Kernel, BoxError> {
    kernel_on(Refusing::default(), limiter)
}

fn kernel_on(store: Refusing, limiter: &Counted) -> Result<Kernel, BoxError> {
    let builder = Kernel::builder(ProductConfig::parse(CONFIG)?)
        .keyring(saas_kernel::Keyring::ephemeral())
        .store(store)
        .rate_limiter(limiter.clone());
    Ok(builder.hash_threads(1).build()?)
}

fn ctx(kernel: &Kernel) -> Ctx {
    kernel.ctx_of_request(IpAddr::from([192, 0, 2, 1]), &RequestHead::new("POST", []), &[])
}

#[tokio::test]
async fn a_login_is_counted_for_client_and_account_before_anything_is_looked_up() -> Result<(), BoxError> {
    let limiter = Counted::default();
    let kernel = kernel(&limiter)?;
    let by_client = (Bucket::LoginIp, "192.0.2.1".to_owned());
    let by_account = (Bucket::LoginEmail, "ada@example.com".to_owned());
    for (email, password, expect, counted) in [
        ("Ada@Example.com", PASSWORD, None, vec![by_client.clone(), by_account.clone()]),
        // No account can have these: the answer is that of a wrong password, without a look-up.
        ("Ada@Example.com", "short", Some("invalid_credentials"), vec![by_client.clone(), by_account.clone()]),
        ("nobody", PASSWORD, Some("invalid_credentials"), vec![by_client.clone()]),
    ] {
        let error = kernel.log_in(ctx(&kernel), email, password, None).await.expect_err("no database");
        assert_eq!((error.code(), limiter.take()), (expect, counted), "{email} {password}: {error:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_login_over_either_quota_is_refused() -> Result<(), BoxError> {
    for key in ["192.0.2.1", "ada@example.com"] {
        let kernel = kernel(&Counted { refused: Some(key), ..Counted::default() })?;
        let error = kernel.log_in(ctx(&kernel), "ada@example.com", PASSWORD, None).await.expect_err("over the quota");
        assert_eq!(error.code(), Some("rate_limited"), "{key}");
    }
    Ok(())
}

#[tokio::test]
async fn a_sign_up_that_fails_takes_as_long_as_any_other() -> Result<(), BoxError> {
    let kernel = kernel(&Counted::default())?;
    let began = Instant::now();
    let error = kernel.register(ctx(&kernel), "ada@example.com", PASSWORD, "Ada").await.expect_err("no database");
    assert!(matches!(error, saas_kernel::Error::Store(StoreError::Locked)), "{error:?}");
    assert!(began.elapsed() >= ANSWER_FLOOR, "{:?}", began.elapsed());
    Ok(())
}

/// One thread hashes, and the sign-up waits for it longer than the floor of the whole.
#[tokio::test]
async fn waiting_for_the_hash_does_not_use_up_the_floor_of_the_transaction() -> Result<(), BoxError> {
    let (limiter, store) = (Counted::default(), Refusing::default());
    let kernel = kernel_on(store.clone(), &limiter)?;
    let mut before = Vec::new();
    for _ in 0..15 {
        let (kernel, password) = (kernel.clone(), PASSWORD.parse()?);
        before.push(tokio::spawn(async move { kernel.passwords().hash(password).await.map(drop) }));
    }
    tokio::task::yield_now().await;
    kernel.register(ctx(&kernel), "ada@example.com", PASSWORD, "Ada").await.expect_err("no database");
    let answered = Instant::now();
    let begun = store.begun.lock().unwrap_or_else(PoisonError::into_inner).ok_or("a transaction")?;
    // The floor begins a moment before the transaction does.
    assert!(answered - begun + Duration::from_millis(10) >= TRANSACTION_FLOOR, "{:?}", answered - begun);
    for hash in before {
        hash.await??;
    }
    Ok(())
}
