//! A private PostgreSQL server for tests, benchmarks and demonstrations.
//!
//! [`LocalPostgres::start`] makes a cluster of its own with the PostgreSQL installed on this
//! machine, or takes one made earlier, and serves it on `127.0.0.1`. The server ends with the value
//! it returns, and also with the process, however that ends: a small watchdog in a process group of
//! its own sees the owner go, stops the server and removes what was to be thrown away.
//!
//! Unix only; the kernel's schema needs PostgreSQL 14 or newer. Started by root, the server runs as user `postgres` or else
//! `nobody`, because PostgreSQL refuses to run as root.

mod account;
mod binaries;
mod data_dir;
mod error;
mod guard;
mod postmaster;
mod server;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::data_dir::DataDir;
use self::guard::Guard;
use self::server::log_tail;

pub use self::error::LocalPostgresError;

/// How to run a local cluster. The default is a throwaway one on a free port.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LocalPostgresOptions {
    /// Where the cluster is kept. It is created if the directory is missing or empty, and never
    /// removed. It cannot be a mount point itself, but can lie in one.
    ///
    /// `None` is a throwaway cluster in the directory for temporary files, removed at the end.
    pub data_dir: Option<PathBuf>,
    /// Whether a commit survives a crash of the machine: `fsync`, `full_page_writes` and
    /// `synchronous_commit`, which are all on or all off. Off is faster.
    pub durable: bool,
    /// The TCP port; `None` picks a free one.
    pub port: Option<u16>,
    /// More settings, as name and value, without the quotes of `postgresql.conf`. They win over the
    /// defaults and over `postgresql.conf` and `ALTER SYSTEM`. Where the server listens and logs
    /// cannot be changed.
    pub settings: Vec<(String, String)>,
    /// How many clients can be connected at once.
    pub max_connections: u16,
    /// How long the server may take to accept connections, which after a crash includes recovery.
    pub start_timeout: Duration,
}

impl Default for LocalPostgresOptions {
    /// A throwaway cluster on a free port: not durable, 100 connections, 30 s to start.
    fn default() -> Self {
        Self {
            data_dir: None,
            durable: false,
            port: None,
            settings: Vec::new(),
            max_connections: 100,
            start_timeout: Duration::from_secs(30),
        }
    }
}

impl LocalPostgresOptions {
    /// Sets where the cluster is kept.
    #[must_use]
    pub fn data_dir(mut self, data_dir: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(data_dir.into());
        self
    }

    /// Sets whether a commit survives a crash of the machine.
    #[must_use]
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Sets the TCP port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Adds a setting of Postgres.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Sets how many clients can be connected at once.
    #[must_use]
    pub fn max_connections(mut self, max_connections: u16) -> Self {
        self.max_connections = max_connections;
        self
    }

    /// Sets how long the server may take to accept connections.
    #[must_use]
    pub fn start_timeout(mut self, start_timeout: Duration) -> Self {
        self.start_timeout = start_timeout;
        self
    }
}

/// A running local cluster.
///
/// Dropping it stops the server without waiting for that; [`stop`](Self::stop) waits. A value that
/// is never dropped, such as one in a `static`, is stopped when the process ends.
#[derive(Debug)]
pub struct LocalPostgres {
    binaries: PathBuf,
    data_dir: DataDir,
    port: u16,
    guard: Guard,
}

impl LocalPostgres {
    /// Starts a server, and returns once it accepts connections.
    ///
    /// The superuser is `postgres`, and every role may connect from this machine without a
    /// password. The binaries come from the directory `POSTGRES_BIN_DIR` names; if that is unset,
    /// from `PATH`, `pg_config --bindir` or the usual places of installation, whichever has them
    /// first. The output of the server goes to `server.log` in the data directory, emptied at each
    /// start.
    ///
    /// If the returned future is dropped, the attempt is finished in the background and undone.
    ///
    /// # Errors
    ///
    /// Returns [`LocalPostgresError`]. Of special interest to a caller who keeps the cluster is
    /// [`AlreadyRunning`](LocalPostgresError::AlreadyRunning): there is a server to connect to
    /// already. A cluster that exists is not harmed by any failure.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub async fn start(options: LocalPostgresOptions) -> Result<Self, LocalPostgresError> {
        in_background("start PostgreSQL", move || server::start(&options)).await
    }

    /// Returns the URL of a database for the superuser.
    #[must_use]
    pub fn superuser_url(&self, database: &str) -> String {
        self.url("postgres", database)
    }

    /// Returns the URL of a database for a role. Neither is checked to exist.
    #[must_use]
    pub fn url(&self, role: &str, database: &str) -> String {
        let (role, database) = (percent_encode(role), percent_encode(database));
        format!("postgres://{role}@127.0.0.1:{}/{database}", self.port)
    }

    /// Returns the TCP port of the server on `127.0.0.1`.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the absolute path of the data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir.path
    }

    /// Returns the directory of the server binaries, where `psql` and `pg_dump` usually are too.
    #[must_use]
    pub fn binaries(&self) -> &Path {
        &self.binaries
    }

    /// Stops the server and waits until it is gone, and a throwaway cluster with it.
    ///
    /// Clients are disconnected and what they have not committed is lost. A server that does not
    /// end within 60 s is killed, which is reported as an error.
    ///
    /// # Errors
    ///
    /// Returns [`StopFailed`](LocalPostgresError::StopFailed) if a cluster that is kept was not
    /// shut down cleanly, or its server had crashed before, and
    /// [`Io`](LocalPostgresError::Io) if a throwaway cluster cannot be removed.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub async fn stop(self) -> Result<(), LocalPostgresError> {
        in_background("stop PostgreSQL", move || {
            let log = self.data_dir.log();
            let status = self.guard.stop();
            match self.data_dir.throwaway {
                None if status == Some(0) => Ok(()),
                None => Err(LocalPostgresError::StopFailed { log: log_tail(&log) }),
                // The watchdog has removed it. If it could not, this says why.
                Some(around) => match fs::remove_dir_all(&around) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        Err(LocalPostgresError::io("remove", &around)(error))
                    }
                    _ => Ok(()),
                },
            }
        })
        .await
    }
}

/// Runs what waits for processes and files away from the asynchronous tasks.
async fn in_background<T: Send + 'static>(
    action: &str,
    work: impl FnOnce() -> Result<T, LocalPostgresError> + Send + 'static,
) -> Result<T, LocalPostgresError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(LocalPostgresError::Io { action: action.to_owned(), source: io::Error::other(error) }),
    }
}

/// Escapes what has a meaning of its own in a URL.
fn percent_encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_in_urls() {
        assert_eq!(percent_encode("app_1"), "app_1");
        assert_eq!(percent_encode("a b/@é"), "a%20b%2F%40%C3%A9");
    }
}
