//! Connecting, and refusing to when the login could walk around row-level security.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgPool};

use crate::migrate::KERNEL;

/// How a pool is made.
#[derive(Clone, Copy, Debug)]
pub struct PgOptions {
    /// At most so many connections. 2 to 4 per core serve requests best; more only queue inside Postgres.
    pub max_connections: u32,
    /// At most so many of them serve one workspace, one caller (a person or an API key), or one client address before the
    /// caller is known, at a time, so that one rush leaves connections to the others; half of them if `None`. Set it to
    /// `max_connections` where one workspace is most of the load. The system's pool has no shares.
    pub share: Option<u32>,
    /// How long a caller waits for one before `unavailable`.
    pub acquire_timeout: Duration,
}

impl PgOptions {
    /// For requests.
    pub fn app() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            max_connections: u32::try_from(cores * 4).unwrap_or(8).max(8),
            share: None,
            acquire_timeout: Duration::from_millis(1500),
        }
    }

    /// For workers and the webhook receiver.
    pub fn system() -> Self {
        Self { max_connections: 4, share: None, acquire_timeout: Duration::from_secs(3) }
    }

    /// How many connections one share has; at least 1.
    pub(crate) fn share_size(&self) -> usize {
        let share = self.share.unwrap_or(self.max_connections.div_ceil(2));
        usize::try_from(share).unwrap_or(usize::MAX).max(1)
    }
}

/// Why a login was refused, and what to run.
#[derive(thiserror::Error)]
pub enum ConnectError {
    /// The URL is not one.
    #[error("the database URL cannot be read: {0}; it looks like postgres://kernel_app:password@host:5432/database")]
    Url(#[source] sqlx::Error),
    /// Nobody answers, or not to this login.
    #[error("Postgres does not let {login} in: {source}")]
    Connect {
        /// The login that tried.
        login: String,
        /// What Postgres or the network said.
        #[source]
        source: sqlx::Error,
    },
    /// The login could see or change every workspace's rows.
    #[error(
        "the login `{login}` is not safe to serve requests with:\n{problems}\nUse the login `{expected}` instead; to make it: {mend}"
    )]
    Unsafe {
        /// The login that tried.
        login: String,
        /// What it may do, one a line.
        problems: String,
        /// The login that is meant for this.
        expected: &'static str,
        /// The SQL that makes it.
        mend: String,
    },
    /// The schema is not the one this version needs.
    #[error(
        "the database is at schema version {found}, this version needs {needed}; run `migrate` with the owner's URL first"
    )]
    Schema {
        /// What is there; 0 for nothing.
        found: i64,
        /// What this version was built for.
        needed: i64,
    },
}

saas_kernel::debug_explains!(ConnectError);

/// How long a connection may rest before it is asked for a sign of life. Short: after Postgres restarted, the first caller
/// finds a live connection and not a dead one.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

pub(crate) async fn pool(url: &str, options: PgOptions, expected: &'static str) -> Result<PgPool, ConnectError> {
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
    refuse_unsafe(&pool, expected).await.map_err(failed)??;
    let found = schema_version(&pool).await;
    let needed = needed_version();
    if found < needed {
        return Err(ConnectError::Schema { found, needed });
    }
    Ok(pool)
}

/// The schema this version was built for.
pub(crate) fn needed_version() -> i64 {
    KERNEL.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// The newest applied migration; 0 when there is none to be seen.
pub(crate) async fn schema_version(pool: &PgPool) -> i64 {
    let version = sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM kernel.migrations WHERE success");
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

/// Of the login itself (`session_user`): a role taken on by a connection option can be put off again.
const POWERS: &str = "
SELECT session_user::text AS login, current_user::text AS acts_as, r.rolsuper AS superuser, r.rolbypassrls AS bypasses,
       r.rolcreaterole OR r.rolreplication AS creates_roles,
       (SELECT string_agg(format('%I.%I', n.nspname, c.relname), ', ') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relowner = r.oid AND c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname NOT LIKE 'pg\\_%') AS owns,
       (SELECT string_agg(g.rolname, ', ') FROM pg_roles g
        WHERE g.oid <> r.oid AND NOT r.rolsuper AND pg_has_role(r.oid, g.oid, 'MEMBER')
          AND (g.rolsuper OR g.rolbypassrls OR g.rolcreaterole OR g.rolname LIKE 'kernel\\_%'
               OR EXISTS (SELECT FROM pg_class c WHERE c.relowner = g.oid))) AS member_of
FROM pg_roles r WHERE r.rolname = session_user";

async fn refuse_unsafe(pool: &PgPool, expected: &'static str) -> Result<Result<(), ConnectError>, sqlx::Error> {
    let powers: Powers = sqlx::query_as(POWERS).fetch_one(pool).await?;
    let login = powers.login;
    let mut problems = Vec::new();
    if powers.superuser {
        problems.push("  it is a superuser: row-level security does not apply to it".to_owned());
    }
    if powers.bypasses {
        problems.push(format!("  it has BYPASSRLS; ALTER ROLE \"{login}\" NOBYPASSRLS"));
    }
    if powers.creates_roles && !powers.superuser {
        problems.push(format!("  it has CREATEROLE or REPLICATION; ALTER ROLE \"{login}\" NOCREATEROLE NOREPLICATION"));
    }
    if let Some(tables) = powers.owns {
        problems.push(format!(
            "  it owns {tables}: an owner can switch row-level security off; ALTER TABLE … OWNER TO kernel_owner"
        ));
    }
    if let Some(roles) = powers.member_of {
        problems.push(format!("  it is a member of {roles}; REVOKE {roles} FROM \"{login}\""));
    }
    if powers.acts_as != login {
        problems.push(format!("  it acts as {}, which it can stop at any moment; log in as that role", powers.acts_as));
    }
    // The policies name the two logins: the system's would show requests every workspace, any other's nothing.
    if problems.is_empty() && login != expected {
        problems.push(format!("  the policies are made for {expected}; are the two URLs swapped?"));
    }
    if problems.is_empty() {
        return Ok(Ok(()));
    }
    let mend = format!(
        "run `create_roles` (or kernel-postgres/sql/roles.sql) as an administrator, then ALTER ROLE {expected} PASSWORD '…'"
    );
    Ok(Err(ConnectError::Unsafe { login, problems: problems.join("\n"), expected, mend }))
}
