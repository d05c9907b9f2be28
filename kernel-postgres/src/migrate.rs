//! Migrations: the kernel's own in schema `kernel`, then the product's in its schema. They run as `kernel_owner`, with the
//! owner's URL and never at the start of a server. Several processes may run them at once: one works, the others wait.
//!
//! Waiting uses a session lock, so the owner's URL must lead to Postgres itself and not to a transaction pooler.

use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{MigrateError as SqlxMigrateError, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

/// The kernel's migrations.
pub(crate) static KERNEL: Migrator = sqlx::migrate!();

/// The kernel's migrations and the product's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Migrations {
    product: Option<&'static Migrator>,
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
        "this database role cannot act as kernel_owner: {0}; run kernel-postgres/sql/roles.sql in this database as an administrator, then GRANT kernel_owner TO this role"
    )]
    Owner(#[source] sqlx::Error),
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

    /// Applies all pending migrations to the database at `owner_url` and returns how many were applied.
    ///
    /// # Errors
    /// See [`MigrateError`].
    pub async fn run(&self, owner_url: &str) -> Result<usize, MigrateError> {
        let mut owner = as_owner(owner_url).await?;
        let mut applied =
            run(&with_table(&KERNEL, "kernel.migrations", Some("kernel")), &mut owner, "the kernel's").await?;
        if let Some(product) = self.product {
            applied +=
                run(&with_table(product, "kernel.product_migrations", None), &mut owner, "the product's").await?;
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
        let mut owner = as_owner(owner_url).await?;
        let mut pending = Vec::new();
        for (migrator, table) in [(Some(&KERNEL), "kernel.migrations"), (self.product, "kernel.product_migrations")] {
            let Some(migrator) = migrator else { continue };
            let done = applied(&mut owner, table).await.map_err(MigrateError::Connect)?;
            let new = migrator.iter().filter(|migration| !done.contains(&migration.version));
            pending.extend(new.map(|migration| format!("{:04} {}", migration.version, migration.description)));
        }
        Ok(pending)
    }
}

#[cfg(feature = "testing")]
impl Migrations {
    /// Checksum of all migrations. Not cryptographic: use it only to detect changes.
    pub(crate) fn checksum(&self) -> [u8; 8] {
        let mut sum = [0u8; 8];
        let all = KERNEL.iter().chain(self.product.into_iter().flat_map(Migrator::iter));
        for (index, byte) in all.flat_map(|migration| migration.checksum.iter()).enumerate() {
            if let Some(slot) = sum.get_mut(index % 8) {
                *slot = slot.rotate_left(3) ^ byte;
            }
        }
        sum
    }
}

async fn applied(owner: &mut PgConnection, table: &'static str) -> Result<Vec<i64>, sqlx::Error> {
    let exists: bool =
        sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(table).fetch_one(&mut *owner).await?;
    if !exists {
        return Ok(Vec::new());
    }
    sqlx::query_scalar(AssertSqlSafe(format!("SELECT version FROM {table}"))).fetch_all(owner).await
}

fn with_table(migrator: &Migrator, table: &'static str, schema: Option<&'static str>) -> Migrator {
    let mut own = Migrator { migrations: migrator.migrations.clone(), ..Migrator::DEFAULT };
    own.dangerous_set_table_name(table);
    own.set_locking(false); // `as_owner` holds a lock that no `lock_timeout` cuts short
    if let Some(schema) = schema {
        own.create_schema(schema);
    }
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
async fn as_owner(url: &str) -> Result<PgConnection, MigrateError> {
    let options =
        PgConnectOptions::from_str(url).map_err(MigrateError::Connect)?.application_name("saas-kernel migrate");
    let options = options.log_slow_statements(tracing::log::LevelFilter::Debug, Duration::from_secs(60));
    let mut connection = options.connect().await.map_err(MigrateError::Connect)?;
    sqlx::query("SET ROLE kernel_owner").execute(&mut connection).await.map_err(MigrateError::Owner)?;
    // If two processes migrate at once, the second waits here as long as needed. The lock ends with the connection.
    sqlx::query("SELECT pg_advisory_lock(hashtext('kernel.migrate'))")
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
    /// Name of the database role.
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
    let mut connection = PgConnectOptions::from_str(administrator_url)?.connect().await?;
    sqlx::raw_sql(include_str!("../sql/roles.sql")).execute(&mut connection).await?;
    connection.close().await
}
