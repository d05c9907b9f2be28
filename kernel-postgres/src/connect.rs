//! Connection pools. Connecting as a database role that can bypass row-level security is refused.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgPool};

use crate::migrate::{KERNEL, Role};
use crate::names::{Names, Suffix};

/// Options of a connection pool.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PgOptions {
    /// Maximum number of connections. 2 to 4 per core serve requests best; more only queue inside Postgres.
    pub max_connections: u32,
    /// Maximum number of these connections that serve one workspace, one caller (a person or an API key), or one client
    /// address before the caller is known, at the same time, so that a burst of calls leaves connections to the others; half
    /// of them if `None`. Set it to `max_connections` where one workspace is most of the load. The system's pool has no
    /// shares.
    pub share: Option<u32>,
    /// Time that a caller waits for a connection before the call fails with `unavailable`.
    pub acquire_timeout: Duration,
    /// Suffix of the names of schema and roles, if the product shares its cluster with others that the kernel serves.
    pub suffix: Option<Suffix>,
}

impl PgOptions {
    /// Defaults for requests.
    pub fn app() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            max_connections: u32::try_from(cores * 4).unwrap_or(8).max(8),
            share: None,
            acquire_timeout: Duration::from_millis(1500),
            suffix: None,
        }
    }

    /// Defaults for workers and the webhook receiver.
    pub fn system() -> Self {
        Self { max_connections: 4, share: None, acquire_timeout: Duration::from_secs(3), suffix: None }
    }

    /// Sets the maximum number of connections.
    #[must_use]
    pub fn max_connections(mut self, max_connections: u32) -> Self {
        self.max_connections = max_connections;
        self
    }

    /// Sets the maximum number of connections of one workspace, caller or address.
    #[must_use]
    pub fn share(mut self, share: u32) -> Self {
        self.share = Some(share);
        self
    }

    /// Sets the time that a caller waits for a connection.
    #[must_use]
    pub fn acquire_timeout(mut self, acquire_timeout: Duration) -> Self {
        self.acquire_timeout = acquire_timeout;
        self
    }

    /// Sets the suffix of the names of schema and roles.
    #[must_use]
    pub fn suffix(mut self, suffix: Suffix) -> Self {
        self.suffix = Some(suffix);
        self
    }

    /// Number of connections in one share; at least 1.
    pub(crate) fn share_size(&self) -> usize {
        let share = self.share.unwrap_or(self.max_connections.div_ceil(2));
        usize::try_from(share).unwrap_or(usize::MAX).max(1)
    }
}

/// Why connecting was refused, and what to do.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The database URL is invalid.
    #[error("the database URL is invalid: {0}; use one such as postgres://kernel_app:password@host:5432/database")]
    Url(#[source] sqlx::Error),
    /// Postgres cannot be reached, or refuses this database role.
    #[error(
        "cannot connect to Postgres as the database role `{login}`: {source}; check the URL, the password and that the server runs"
    )]
    Connect {
        /// Name of the database role that tried to connect.
        login: String,
        /// Error of Postgres or the network.
        #[source]
        source: sqlx::Error,
    },
    /// The database role could bypass row-level security, or is not the one that the policies are for.
    #[error(
        "connecting as the database role `{login}` is refused, because it is not safe for this use:\n{problems}\nUse the database role `{expected}` instead; to create it: {mend}"
    )]
    Unsafe {
        /// Name of the database role that tried to connect.
        login: String,
        /// What makes the role unsafe, one reason per line.
        problems: String,
        /// Name of the database role to use.
        expected: String,
        /// How to create that role.
        mend: String,
    },
    /// The schema is older than this version needs.
    #[error(
        "the database is at schema version {found}, this version needs {needed}; run `migrate` with the owner's URL first"
    )]
    Schema {
        /// Version of the database's schema; 0 if there is none.
        found: i64,
        /// Version that this program needs.
        needed: i64,
    },
}

saas_kernel::debug_explains!(ConnectError);

/// Idle time after which a connection is pinged before it is used, so that after a restart of Postgres the first caller gets a
/// live connection.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

pub(crate) async fn pool(url: &str, options: PgOptions, names: &Names, role: Role) -> Result<PgPool, ConnectError> {
    let connect = PgConnectOptions::from_str(url).map_err(ConnectError::Url)?.application_name("saas-kernel");
    let login = connect.get_username().to_owned();
    let failed = |source| ConnectError::Connect { login: login.clone(), source };
    let pool = PgPoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move { Ok(meta.idle_for < TRUSTED_FOR || connection.ping().await.is_ok()) })
        })
        .connect_with(connect)
        .await
        .map_err(failed)?;
    refuse_unsafe(&pool, names, role).await.map_err(failed)??;
    let found = schema_version(&pool, names).await;
    let needed = needed_version();
    if found < needed {
        return Err(ConnectError::Schema { found, needed });
    }
    Ok(pool)
}

/// Schema version that this program needs.
pub(crate) fn needed_version() -> i64 {
    KERNEL.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// Version of the newest applied migration.
pub(crate) const SCHEMA_VERSION: &str = "SELECT coalesce(max(version), 0) FROM kernel.migrations WHERE success";

/// Version of the newest applied migration; 0 if there is none.
async fn schema_version(pool: &PgPool, names: &Names) -> i64 {
    let version = sqlx::query_scalar(names.sql(SCHEMA_VERSION));
    version.fetch_one(pool).await.unwrap_or_default()
}

#[derive(sqlx::FromRow)]
struct Powers {
    login: String,
    acts_as: String,
    superuser: bool,
    bypasses: bool,
    creates_roles: bool,
    owns: Option<String>,
    member_of: Option<String>,
}

/// Checks the role that connected (`session_user`): a role that was assumed by a connection option can be left again.
const POWERS: &str = "
SELECT session_user::text AS login, current_user::text AS acts_as, r.rolsuper AS superuser, r.rolbypassrls AS bypasses,
       r.rolcreaterole OR r.rolreplication AS creates_roles,
       (SELECT string_agg(format('%I.%I', n.nspname, c.relname), ', ') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relowner = r.oid AND c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname NOT LIKE 'pg\\_%') AS owns,
       (SELECT string_agg(g.rolname, ', ') FROM pg_roles g
        WHERE g.oid <> r.oid AND NOT r.rolsuper AND pg_has_role(r.oid, g.oid, 'MEMBER')
          AND (g.rolsuper OR g.rolbypassrls OR g.rolcreaterole OR g.rolname ~ '^kernel_'
               OR EXISTS (SELECT FROM pg_class c WHERE c.relowner = g.oid))) AS member_of
FROM pg_roles r WHERE r.rolname = session_user";

async fn refuse_unsafe(pool: &PgPool, names: &Names, role: Role) -> Result<Result<(), ConnectError>, sqlx::Error> {
    let (expected, owner) = (names.text(role.name()).into_owned(), names.text("kernel_owner"));
    let powers: Powers = sqlx::query_as(names.sql(POWERS)).fetch_one(pool).await?;
    let login = powers.login;
    let mut problems = Vec::new();
    if powers.superuser {
        problems.push("  it is a superuser, so row-level security does not apply to it".to_owned());
    }
    if powers.bypasses {
        problems.push(format!(
            "  it has BYPASSRLS, so row-level security does not apply to it; ALTER ROLE \"{login}\" NOBYPASSRLS"
        ));
    }
    if powers.creates_roles && !powers.superuser {
        problems.push(format!(
            "  it has CREATEROLE or REPLICATION, which can give access to all rows; \
             ALTER ROLE \"{login}\" NOCREATEROLE NOREPLICATION"
        ));
    }
    if let Some(tables) = powers.owns {
        problems.push(format!(
            "  it owns {tables}, so it can disable row-level security there; ALTER TABLE … OWNER TO {owner}"
        ));
    }
    if let Some(roles) = powers.member_of {
        problems
            .push(format!("  it is a member of {roles}, so it can act as that role; REVOKE {roles} FROM \"{login}\""));
    }
    if powers.acts_as != login {
        problems.push(format!(
            "  it acts as {} only by a connection option, which it can undo; connect as that role instead",
            powers.acts_as
        ));
    }
    // The policies name the two roles: kernel_system would see every workspace's rows in requests, any other role none.
    if problems.is_empty() && login != expected {
        problems.push(format!("  the row-level security policies are for {expected}; are the two URLs swapped?"));
    }
    if problems.is_empty() {
        return Ok(Ok(()));
    }
    let mend = format!(
        "run `create_roles` (or kernel-postgres/sql/roles.sql) as an administrator, then ALTER ROLE {expected} PASSWORD '…'"
    );
    Ok(Err(ConnectError::Unsafe { login, problems: problems.join("\n"), expected, mend }))
}
