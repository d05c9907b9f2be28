//! A migrated database for one test, copied from a template in a few dozen milliseconds.

use std::fmt::Write as _;
use std::str::FromStr;

use saas_kernel::id::RequestId;
use saas_kernel::{BoxError, clock::Clock, clock::SystemClock};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};
use tokio::sync::OnceCell;

use super::{LocalPostgres, LocalPostgresOptions};
use crate::migrate::{self, Migrations, Role};
use crate::names::{Names, Suffix};
use crate::{PgOptions, PgStore, PgSystem};

/// Environment variable with the administrator's URL of a cluster that several test processes share. Without it each process
/// starts a cluster of its own, which ends with the process.
pub const CLUSTER_ENV: &str = "SAAS_KERNEL_TEST_POSTGRES";

/// A migrated database for one test, with the four roles and no rows. Tests connect as the application does, because an
/// administrator would bypass row-level security. No plans are applied: call [`PgSystem::sync_catalog`] before a workspace is created.
/// Dropped with the value.
///
/// ```no_run
/// # async fn test() -> Result<(), Box<dyn std::error::Error>> {
/// use saas_kernel_postgres::{Migrations, testing::TestDb};
/// let db = TestDb::new(&Migrations::kernel()).await?;
/// let store = db.store().await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct TestDb {
    admin_url: String,
    name: String,
    suffix: Option<Suffix>,
}

/// Why no test database could be created.
#[derive(thiserror::Error)]
#[error("no test database: {0}")]
pub struct TestDbError(#[source] BoxError);

saas_kernel::debug_explains!(TestDbError);

fn broken(error: impl Into<BoxError>) -> TestDbError {
    TestDbError(error.into())
}

static CLUSTER: OnceCell<LocalPostgres> = OnceCell::const_new();

impl TestDb {
    /// Creates a database from the template of `migrations`, which the first caller on the cluster creates.
    ///
    /// # Errors
    /// The errors of Postgres and of the migrations.
    pub async fn new(migrations: &Migrations) -> Result<Self, TestDbError> {
        let admin_url = match std::env::var(CLUSTER_ENV) {
            Ok(url) => url,
            Err(_) => {
                let start = || LocalPostgres::start(LocalPostgresOptions::default());
                CLUSTER.get_or_try_init(start).await.map_err(broken)?.superuser_url("postgres")
            }
        };
        Self::on(&admin_url, migrations).await
    }

    /// As [`TestDb::new`], on the cluster of this administrator's URL, such as [`LocalPostgres::superuser_url`].
    ///
    /// # Errors
    /// The errors of Postgres and of the migrations.
    pub async fn on(admin_url: &str, migrations: &Migrations) -> Result<Self, TestDbError> {
        let mut admin = connect(admin_url).await?;
        let template = template(&mut admin, admin_url, migrations).await?;
        let name = RequestId::generate(SystemClock.now()).to_string().replace("req_", "test_");
        execute(&mut admin, format!("CREATE DATABASE {name} TEMPLATE {template}")).await?;
        Ok(Self { admin_url: admin_url.to_owned(), name, suffix: migrations.suffix })
    }

    /// The administrator's URL: to read without row-level security in assertions, never for the code under test.
    pub fn admin_url(&self) -> String {
        with_user(&self.admin_url, "postgres", &self.name)
    }

    /// URL of the database role kernel_app.
    pub fn app_url(&self) -> String {
        with_user(&self.admin_url, &self.names().text(Role::App.name()), &self.name)
    }

    /// URL of the database role kernel_system.
    pub fn system_url(&self) -> String {
        with_user(&self.admin_url, &self.names().text(Role::System.name()), &self.name)
    }

    /// The names of the product whose migrations were applied.
    pub(crate) fn names(&self) -> Names {
        Names::new(self.suffix)
    }

    /// Connects as requests do.
    ///
    /// # Errors
    /// The errors of connecting.
    pub async fn store(&self) -> Result<PgStore, TestDbError> {
        PgStore::connect_with(&self.app_url(), PgOptions { suffix: self.suffix, ..PgOptions::app() })
            .await
            .map_err(broken)
    }

    /// Connects as workers do.
    ///
    /// # Errors
    /// The errors of connecting.
    pub async fn system(&self) -> Result<PgSystem, TestDbError> {
        PgSystem::connect_with(&self.system_url(), PgOptions { suffix: self.suffix, ..PgOptions::system() })
            .await
            .map_err(broken)
    }

    /// Connects as the administrator.
    ///
    /// # Errors
    /// The errors of connecting.
    pub async fn admin(&self) -> Result<PgConnection, TestDbError> {
        connect(&self.admin_url()).await
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let (url, sql) = (self.admin_url.clone(), format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        // Drop cannot wait on the test's own runtime. A database that could not be dropped ends with its cluster.
        let _ = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(async { execute(&mut connect(&url).await.ok()?, sql).await.ok() })
        })
        .join();
    }
}

fn with_user(admin_url: &str, user: &str, database: &str) -> String {
    // The format of the URLs of LocalPostgres and the shared cluster's variable: postgres://user@host:port/database
    let address = admin_url.split_once('@').map_or(admin_url, |(_, rest)| rest);
    let host = address.split_once('/').map_or(address, |(host, _)| host);
    format!("postgres://{user}@{host}/{database}")
}

/// A finished template appears only by a rename, so that nobody copies an incomplete schema.
async fn template(admin: &mut PgConnection, admin_url: &str, migrations: &Migrations) -> Result<String, TestDbError> {
    let name = format!("template_{}", migrations.fingerprint());
    let exists = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)";
    if sqlx::query_scalar(exists).bind(&name).fetch_one(&mut *admin).await.map_err(broken)? {
        return Ok(name);
    }
    sqlx::query("SELECT pg_advisory_lock(7366837)").execute(&mut *admin).await.map_err(broken)?;
    let made: Result<(), TestDbError> = async {
        if sqlx::query_scalar(exists).bind(&name).fetch_one(&mut *admin).await.map_err(broken)? {
            return Ok(());
        }
        let building = format!("{name}_building");
        execute(admin, format!("DROP DATABASE IF EXISTS {building} WITH (FORCE)")).await?;
        execute(admin, format!("CREATE DATABASE {building}")).await?;
        let url = with_user(admin_url, "postgres", &building);
        migrate::create(&url, migrations.suffix).await.map_err(broken)?;
        migrations.run(&url).await.map_err(broken)?;
        execute(admin, format!("ALTER DATABASE {building} RENAME TO {name}")).await
    }
    .await;
    sqlx::query("SELECT pg_advisory_unlock(7366837)").execute(&mut *admin).await.map_err(broken)?;
    made.map(|()| name)
}

async fn connect(url: &str) -> Result<PgConnection, TestDbError> {
    let options = PgConnectOptions::from_str(url).map_err(broken)?;
    options
        .log_slow_statements(tracing::log::LevelFilter::Off, std::time::Duration::MAX)
        .connect()
        .await
        .map_err(broken)
}

async fn execute(connection: &mut PgConnection, sql: String) -> Result<(), TestDbError> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop).map_err(broken)
}

impl Migrations {
    /// Fingerprint that changes exactly when a migration is added or changed.
    fn fingerprint(&self) -> String {
        let mut text = String::new();
        for byte in self.checksum() {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}
