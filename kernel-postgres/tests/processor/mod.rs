//! An inbox on a database of its own, and providers whose events take as long as a test wants.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use saas_kernel::billing::processor::Processor;
use saas_kernel::billing::provider::{BillingFact, BillingProvider, Headers, ProviderEvent};
use saas_kernel::clock::{Clock, SystemClock, TestClock};
use saas_kernel::{Ctx, Kernel, Keyring, ProductConfig, Refusal, StoreError, SystemStore, Tx, codes};
use saas_kernel_postgres::testing::TestDb;
use saas_kernel_postgres::{Migrations, PgStore, PgSystem};
use serde_json::{Value, json};
use tokio::sync::Notify;

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Of the processors here.
pub(crate) const LEASE: Duration = Duration::from_secs(3);

const CONFIG: &str = "
brand: { name: Test }
plans:
  - { key: free, name: Free, limits: { projects: 3 } }
";

pub(crate) struct Inbox {
    pub(crate) clock: Arc<TestClock>,
    db: TestDb,
    store: PgStore,
    system: System,
}

/// The system's store. Cut off, it gives no answer at all; it also refuses a transaction when it is told to.
#[derive(Clone)]
struct System {
    inner: PgSystem,
    cut_off: Arc<AtomicBool>,
    /// 0 for the next transaction.
    refused: Arc<AtomicI64>,
    begins: Arc<Notify>,
}

#[async_trait]
impl SystemStore for System {
    async fn begin(&self, part: &'static str) -> std::result::Result<Box<dyn Tx>, StoreError> {
        if self.cut_off.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.refused.fetch_sub(1, Ordering::SeqCst) == 0 {
            return Err(StoreError::Unavailable("refused by the test".into()));
        }
        self.begins.notify_waiters();
        tokio::task::yield_now().await;
        self.inner.begin(part).await
    }
}

impl Inbox {
    pub(crate) async fn new() -> Result<Self> {
        let db = TestDb::new(&Migrations::kernel()).await?;
        let store = db.store().await?;
        let system = System {
            inner: db.system().await?,
            cut_off: Arc::default(),
            refused: Arc::new(AtomicI64::new(-1)),
            begins: Arc::default(),
        };
        Ok(Self { clock: Arc::new(TestClock::at(SystemClock.now())), db, store, system })
    }

    /// From now on the processors get no answer from the database.
    pub(crate) fn cut_off(&self) {
        self.system.cut_off.store(true, Ordering::SeqCst);
    }

    /// The `nth` transaction from now on is refused, counted from 1.
    pub(crate) fn refuse_transaction(&self, nth: i64) {
        self.system.refused.store(nth - 1, Ordering::SeqCst);
    }

    /// Ends when the next transaction is about to begin.
    pub(crate) async fn next_transaction(&self) {
        self.system.begins.notified().await;
    }

    pub(crate) fn provider(&self, name: &'static str) -> Scripted {
        Scripted { name, shared: Arc::default() }
    }

    /// A processor as the kernel makes it, with a short lease.
    pub(crate) fn processor(&self, provider: &Scripted) -> Result<Processor> {
        let kernel = Kernel::builder(ProductConfig::parse(CONFIG)?)
            .keyring(Keyring::ephemeral())
            .store(self.store.clone())
            .system(self.system.clone())
            .billing(provider.clone())
            .clock(self.clock.clone())
            .build()?;
        Ok(kernel.billing_processor().ok_or("a processor")?.with_lease(LEASE))
    }

    /// Receives an event: a `quick` one, a `wrong` one, which fails, or one that is `slow` until slow events are let go.
    pub(crate) async fn receive(&self, processor: &Processor, id: &str, kind: &str) -> Result {
        // Each a moment after the one before it: they are claimed in this order.
        self.clock.advance(TimeDelta::milliseconds(1));
        let (id, kind, created_at) = (id.to_owned(), kind.to_owned(), self.clock.now());
        let payload = json!({ "id": id });
        processor.receive(&Ctx::at(created_at), &ProviderEvent::new(id, kind, created_at, payload)).await?;
        Ok(())
    }

    /// Each event of `provider` as `id STATE attempts`.
    pub(crate) async fn states(&self, provider: &str) -> Result<Vec<String>> {
        let sql = "SELECT concat_ws(' ', event_id, state, attempts) FROM kernel.webhook_inbox WHERE provider = $1 ORDER BY event_id";
        Ok(sqlx::query_scalar(sql).bind(provider).fetch_all(&mut self.db.admin().await?).await?)
    }

    pub(crate) async fn due(&self, provider: &str) -> Result<Vec<Option<DateTime<Utc>>>> {
        let sql = "SELECT due_at FROM kernel.webhook_inbox WHERE provider = $1 ORDER BY event_id";
        Ok(sqlx::query_scalar(sql).bind(provider).fetch_all(&mut self.db.admin().await?).await?)
    }

    pub(crate) async fn run(&self, sql: &'static str) -> Result {
        sqlx::query(sql).execute(&mut self.db.admin().await?).await?;
        Ok(())
    }
}

/// A provider whose events change nothing.
#[derive(Clone)]
pub(crate) struct Scripted {
    name: &'static str,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    begun: Mutex<Vec<String>>,
    open: Mutex<bool>,
    opened: Condvar,
}

impl Scripted {
    /// The ids of the events that were begun, in order.
    pub(crate) fn begun(&self) -> Vec<String> {
        self.shared.begun.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn let_slow_events_go(&self) {
        *self.shared.open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.opened.notify_all();
    }
}

impl BillingProvider for Scripted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn verify(&self, _: &Headers<'_>, _: &[u8], _: DateTime<Utc>) -> std::result::Result<ProviderEvent, Refusal> {
        Err(Refusal::new(&codes::SIGNATURE_INVALID, "nobody sends anything here"))
    }

    fn read(&self, kind: &str, payload: &Value) -> std::result::Result<BillingFact, String> {
        let id = payload["id"].as_str().unwrap_or_default().to_owned();
        self.shared.begun.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        if kind == "slow" {
            let open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
            // The limit lets a test that fails end.
            let limit = Duration::from_secs(20);
            drop(self.shared.opened.wait_timeout_while(open, limit, |open| !*open));
        }
        if kind == "wrong" { Err("it is wrong".to_owned()) } else { Ok(BillingFact::Ignored("a test's")) }
    }
}

/// Asks `question` until it answers yes, for at most ten seconds.
pub(crate) async fn eventually<F: Future<Output = Result<bool>>>(what: &str, question: impl Fn() -> F) -> Result {
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
