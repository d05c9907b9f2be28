//! What a product adds to the kernel of its tests.

use std::time::Duration;

use async_trait::async_trait;
use saas_kernel::access::PermissionInfo;
use saas_kernel::clock::{Clock, SystemClock, TestClock};
use saas_kernel::config::ConfigError;
use saas_kernel::guard::rate_limit::{Bucket, Quota, RateLimiter};
use saas_kernel::memory::mailer::MemoryMailer;
use saas_kernel::{BoxError, Hooks, Kernel, KernelBuilder, Keyring, ProductConfig};
use saas_kernel_axum::{App, HttpSettings, OpenApiRouter, app};
use saas_kernel_postgres::sqlx::migrate::Migrator;
use saas_kernel_postgres::testing::{TestDb, TestDbError};
use saas_kernel_postgres::{Migrations, PgOptions, PgStore};

type Wiring = Box<dyn FnOnce(&Kernel, PgStore) -> Result<App, BoxError> + Send>;
type Addition = Box<dyn FnOnce(App, PgStore) -> App + Send>;
type Change = Box<dyn FnOnce(KernelBuilder) -> KernelBuilder + Send>;

/// The kernel of a test: the product's configuration and what it adds.
///
/// Unless told otherwise, the test has a database of its own, secrets of its own, a clock that only moves when told to, mail in
/// memory, and no rate limits.
#[must_use]
pub struct Setup {
    kernel: Result<KernelBuilder, ConfigError>,
    migrations: Migrations,
    database: Option<TestDb>,
    pub(crate) pool: PgOptions,
    pub(crate) clock: TestClock,
    pub(crate) mailer: MemoryMailer,
    rate_limits: bool,
    change: Option<Change>,
    wiring: Wiring,
    additions: Vec<Addition>,
}

impl Setup {
    /// A kernel with this configuration, the text of a `product.config.yaml`. Errors in it are those of
    /// [`TestKernel::start`](crate::TestKernel::start).
    pub fn new(config: &str) -> Self {
        Self::with(ProductConfig::parse(config).map(Kernel::builder))
    }

    /// The product's own builder, without its adapters: store, system store, clock, mailer, rate limiter and keyring are the test's.
    pub fn of(kernel: KernelBuilder) -> Self {
        Self::with(Ok(kernel))
    }

    fn with(kernel: Result<KernelBuilder, ConfigError>) -> Self {
        Self {
            kernel,
            migrations: Migrations::kernel(),
            database: None,
            pool: PgOptions::app(),
            clock: TestClock::at(SystemClock.now()),
            mailer: MemoryMailer::default(),
            rate_limits: false,
            change: None,
            wiring: Box::new(|kernel, _| Ok(app(kernel, HttpSettings::new("http://127.0.0.1")?))),
            additions: Vec::new(),
        }
    }

    /// Adds the product's migrations.
    pub fn migrations(mut self, product: &'static Migrator) -> Self {
        self.migrations = self.migrations.product(product);
        self
    }

    /// Adds the product's permissions.
    pub fn permissions(mut self, permissions: &[PermissionInfo]) -> Self {
        self.kernel = self.kernel.map(|kernel| kernel.permissions(permissions));
        self
    }

    /// Adds hooks of the product.
    pub fn hooks(mut self, hooks: impl Hooks) -> Self {
        self.kernel = self.kernel.map(|kernel| kernel.hooks(hooks));
        self
    }

    /// Changes the kernel's builder at the end, when it has the test's adapters: to add a billing provider, or to put another adapter
    /// in the place of the test's. A mailer or a clock that is put there is not the one of
    /// [`TestKernel::mails`](crate::TestKernel::mails) and [`TestKernel::clock`](crate::TestKernel::clock).
    pub fn kernel(mut self, change: impl FnOnce(KernelBuilder) -> KernelBuilder + Send + 'static) -> Self {
        self.change = Some(Box::new(change));
        self
    }

    /// Adds routes below `/api/v1/workspaces/{ws}`, as [`App::workspace_routes`] does.
    pub fn workspace_routes(self, routes: impl FnOnce(PgStore) -> OpenApiRouter + Send + 'static) -> Self {
        self.add(|app, store| app.workspace_routes(routes(store)))
    }

    /// Adds routes for signed-in people, as [`App::user_routes`] does.
    pub fn user_routes(self, routes: impl FnOnce(PgStore) -> OpenApiRouter + Send + 'static) -> Self {
        self.add(|app, store| app.user_routes(routes(store)))
    }

    /// Adds routes for everybody, as [`App::public_routes`] does.
    pub fn public_routes(self, routes: impl FnOnce(PgStore) -> OpenApiRouter + Send + 'static) -> Self {
        self.add(|app, store| app.public_routes(routes(store)))
    }

    fn add(mut self, addition: impl FnOnce(App, PgStore) -> App + Send + 'static) -> Self {
        self.additions.push(Box::new(addition));
        self
    }

    /// Makes the app as the product does, with its own [`HttpSettings`]. Otherwise it is the kernel's API at `http://127.0.0.1`.
    pub fn app(mut self, app: impl FnOnce(&Kernel, PgStore) -> Result<App, BoxError> + Send + 'static) -> Self {
        self.wiring = Box::new(app);
        self
    }

    /// Runs on a database that exists, with the product's migrations applied.
    pub fn database(mut self, database: TestDb) -> Self {
        self.database = Some(database);
        self
    }

    /// Sets the options of the pool for requests.
    pub fn pool(mut self, pool: PgOptions) -> Self {
        self.pool = pool;
        self
    }

    /// Keeps mail in this mailer, which the product's own wiring may show.
    pub fn mailer(mut self, mailer: MemoryMailer) -> Self {
        self.mailer = mailer;
        self
    }

    /// Lets the clock run with the machine's clock, for what waits for a time, such as the next attempt at a billing event.
    pub fn running_clock(mut self) -> Self {
        self.clock = TestClock::running();
        self
    }

    /// Applies the rate limits of the configuration.
    pub fn rate_limits(mut self) -> Self {
        self.rate_limits = true;
        self
    }

    /// The database that was given, or a new one.
    pub(crate) async fn take_database(&mut self) -> Result<TestDb, TestDbError> {
        match self.database.take() {
            Some(database) => Ok(database),
            None => TestDb::new(&self.migrations).await,
        }
    }

    /// Builds the kernel on the test's adapters, which `on` adds, and the app on it.
    pub(crate) fn build(
        self,
        store: PgStore,
        on: impl FnOnce(KernelBuilder) -> KernelBuilder,
    ) -> Result<(Kernel, App), BoxError> {
        let mut kernel = on(self.kernel?).keyring(Keyring::ephemeral()).mailer(self.mailer);
        if !self.rate_limits {
            kernel = kernel.rate_limiter(NoRateLimits);
        }
        if let Some(change) = self.change {
            kernel = change(kernel);
        }
        let kernel = kernel.build()?;
        let app = (self.wiring)(&kernel, store.clone())?;
        let app = self.additions.into_iter().fold(app, |app, add| add(app, store.clone()));
        Ok((kernel, app))
    }
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup").field("kernel", &self.kernel).field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// Lets every call through.
struct NoRateLimits;

#[async_trait]
impl RateLimiter for NoRateLimits {
    async fn check(&self, _: Bucket, _: &str, _: Quota) -> Result<(), Duration> {
        Ok(())
    }
}
