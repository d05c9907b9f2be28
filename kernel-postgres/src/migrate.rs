//! Migrations: the kernel's own in schema `kernel`, then the product's in its schema. They run as `kernel_owner`, with the
//! owner's URL and never at the start of a server. Several processes may run them at once: one works, the others wait.
//!
//! Waiting uses a session lock, so the owner's URL must lead to Postgres itself and not to a transaction pooler.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{MigrateError as SqlxMigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, SqlSafeStr};

use crate::names::{Names, Suffix};

/// The kernel's migrations.
pub(crate) static KERNEL: Migrator = sqlx::migrate!();

/// The tables of applied migrations: the kernel's and the product's.
const KERNEL_TABLE: &str = "kernel.migrations";
const PRODUCT_TABLE: &str = "kernel.product_migrations";

/// The kernel's migrations and the product's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Migrations {
    product: Option<&'static Migrator>,
    pub(crate) suffix: Option<Suffix>,
}

/// Why the migrations were not all applied. Those that were applied stay; the next run continues after them.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The URL is invalid, or the database cannot be reached.
    #[error("cannot connect to the database with the owner's URL: {0}; check the URL")]
    Connect(#[source] sqlx::Error),
    /// The database role is not a member of `kernel_owner`.
    #[error(
        "this database role cannot act as {role}: {source}; run `create_roles` (without a suffix: kernel-postgres/sql/roles.sql) in this database as an administrator, then GRANT {role} TO this role"
    )]
    Owner {
        /// Name of the owner's role.
        role: String,
        /// Error of Postgres.
        #[source]
        source: sqlx::Error,
    },
    /// A migration failed, or was changed after it was applied.
    #[error("{whose} migrations: {source}")]
    Migration {
        /// `the kernel's` or `the product's`.
        whose: &'static str,
        /// The underlying error.
        #[source]
        source: SqlxMigrateError,
    },
}

saas_kernel::debug_explains!(MigrateError);

impl Migrations {
    /// The kernel's migrations only.
    pub fn kernel() -> Self {
        Self::default()
    }

    /// Adds the product's migrations, from `sqlx::migrate!("migrations")`. Keep their tables in a schema of their own.
    #[must_use]
    pub fn product(mut self, product: &'static Migrator) -> Self {
        self.product = Some(product);
        self
    }

    /// Sets the suffix of the names of schema and roles. The product's own migrations are applied as they are, so they name this schema
    /// and these roles themselves: `SELECT kernel_acme.protect('tracker.projects')`.
    #[must_use]
    pub fn suffix(mut self, suffix: Suffix) -> Self {
        self.suffix = Some(suffix);
        self
    }

    /// Applies all pending migrations to the database at `owner_url` and returns how many were applied.
    ///
    /// # Errors
    /// See [`MigrateError`].
    pub async fn run(&self, owner_url: &str) -> Result<usize, MigrateError> {
        let names = Names::new(self.suffix);
        let mut owner = as_owner(owner_url, &names).await?;
        let mut applied = run(&of_the_kernel(&names), &mut owner, "the kernel's").await?;
        if let Some(product) = self.product {
            let product = with_table(product, names.text(PRODUCT_TABLE).into_owned());
            applied += run(&product, &mut owner, "the product's").await?;
        }
        // Best effort: everything is committed, so a failure to close does not matter.
        let _ = owner.close().await;
        Ok(applied)
    }

    /// Names of the migrations that [`Migrations::run`] would apply, in order, such as `0001 access`.
    ///
    /// # Errors
    /// See [`MigrateError`].
    pub async fn pending(&self, owner_url: &str) -> Result<Vec<String>, MigrateError> {
        let names = Names::new(self.suffix);
        let mut owner = as_owner(owner_url, &names).await?;
        let mut pending = Vec::new();
        for (migrator, table) in [(Some(&KERNEL), KERNEL_TABLE), (self.product, PRODUCT_TABLE)] {
            let Some(migrator) = migrator else { continue };
            let done = applied(&mut owner, &names.text(table)).await.map_err(MigrateError::Connect)?;
            let new = migrator.iter().filter(|migration| !done.contains(&migration.version));
            pending.extend(new.map(|migration| format!("{:04} {}", migration.version, migration.description)));
        }
        Ok(pending)
    }
}

#[cfg(feature = "testing")]
impl Migrations {
    /// Checksum of all migrations and the suffix. Not cryptographic: use it only to detect changes.
    pub(crate) fn checksum(&self) -> [u8; 8] {
        let mut sum = [0u8; 8];
        let all = KERNEL.iter().chain(self.product.into_iter().flat_map(Migrator::iter));
        let suffix = self.suffix.as_ref().map(Suffix::as_str).unwrap_or_default();
        let bytes = all.flat_map(|migration| migration.checksum.iter()).chain(suffix.as_bytes());
        for (index, byte) in bytes.enumerate() {
            if let Some(slot) = sum.get_mut(index % 8) {
                *slot = slot.rotate_left(3) ^ byte;
            }
        }
        sum
    }
}

async fn applied(owner: &mut PgConnection, table: &str) -> Result<Vec<i64>, sqlx::Error> {
    let exists: bool =
        sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(table).fetch_one(&mut *owner).await?;
    if !exists {
        return Ok(Vec::new());
    }
    sqlx::query_scalar(AssertSqlSafe(format!("SELECT version FROM {table}"))).fetch_all(owner).await
}

/// The kernel's migrations with this product's names. Their checksums stay those of the files, so that a change of a file is noticed.
fn of_the_kernel(names: &Names) -> Migrator {
    let mut own = with_table(&KERNEL, names.text(KERNEL_TABLE).into_owned());
    own.create_schema(names.text("kernel").into_owned());
    for migration in own.migrations.to_mut() {
        if let Cow::Owned(sql) = names.text(migration.sql.as_str()) {
            migration.sql = AssertSqlSafe(sql).into_sql_str();
        }
    }
    own
}

fn with_table(migrator: &Migrator, table: String) -> Migrator {
    let mut own = Migrator { migrations: migrator.migrations.clone(), ..Migrator::DEFAULT };
    own.dangerous_set_table_name(table);
    own.set_locking(false); // `as_owner` holds a lock that no `lock_timeout` cuts short
    own
}

async fn run(migrator: &Migrator, owner: &mut PgConnection, whose: &'static str) -> Result<usize, MigrateError> {
    let table = migrator.table_name.to_string();
    let before = count(owner, &table).await;
    migrator.run(&mut *owner).await.map_err(|source| MigrateError::Migration { whose, source })?;
    Ok(count(owner, &table).await.saturating_sub(before))
}

/// Number of applied migrations; 0 if the table does not exist yet.
async fn count(owner: &mut PgConnection, table: &str) -> usize {
    let sql = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    let count: Result<i64, _> = sqlx::query_scalar(sql).fetch_one(owner).await;
    count.ok().and_then(|count| usize::try_from(count).ok()).unwrap_or_default()
}

/// Connects and becomes `kernel_owner`, so that all created objects belong to a role that nobody connects as.
async fn as_owner(url: &str, names: &Names) -> Result<PgConnection, MigrateError> {
    let options =
        PgConnectOptions::from_str(url).map_err(MigrateError::Connect)?.application_name("saas-kernel migrate");
    let options = options.log_slow_statements(tracing::log::LevelFilter::Debug, Duration::from_secs(60));
    let mut connection = options.connect().await.map_err(MigrateError::Connect)?;
    let refused = |source| MigrateError::Owner { role: names.text("kernel_owner").into_owned(), source };
    sqlx::query(names.sql("SET ROLE kernel_owner")).execute(&mut connection).await.map_err(refused)?;
    // If two processes migrate at once, the second waits here as long as needed. The lock ends with the connection.
    sqlx::query(names.sql("SELECT pg_advisory_lock(hashtext('kernel.migrate'))"))
        .execute(&mut connection)
        .await
        .map_err(MigrateError::Connect)?;
    // A migration that waits for a table's lock blocks all later statements on the table: it gives up after a while and can be
    // run again.
    sqlx::query("SET lock_timeout = '10s'").execute(&mut connection).await.map_err(MigrateError::Connect)?;
    Ok(connection)
}

/// A database role that the app connects as, created by [`create_roles`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// `kernel_app`, for requests.
    App,
    /// `kernel_system`, for workers, the webhook receiver and staff.
    System,
}

impl Role {
    /// Name of the database role, without a suffix.
    pub const fn name(self) -> &'static str {
        match self {
            Role::App => "kernel_app",
            Role::System => "kernel_system",
        }
    }
}

/// Creates the four roles in the cluster, and gives `kernel_owner` access to the URL's database. Needs an administrator's URL;
/// running it again changes nothing. It sets no passwords: `ALTER ROLE kernel_app PASSWORD '…'`.
///
/// # Errors
/// The errors of Postgres.
pub async fn create_roles(administrator_url: &str) -> Result<(), sqlx::Error> {
    create(administrator_url, None).await
}

/// Like [`create_roles`], with a suffix at the roles' names: `kernel_app_acme`.
///
/// # Errors
/// The errors of Postgres.
pub async fn create_roles_with(administrator_url: &str, suffix: Suffix) -> Result<(), sqlx::Error> {
    create(administrator_url, Some(suffix)).await
}

pub(crate) async fn create(administrator_url: &str, suffix: Option<Suffix>) -> Result<(), sqlx::Error> {
    let mut connection = PgConnectOptions::from_str(administrator_url)?.connect().await?;
    let names = Names::new(suffix);
    sqlx::raw_sql(names.sql(include_str!("../sql/roles.sql"))).execute(&mut connection).await?;
    connection.close().await
}
