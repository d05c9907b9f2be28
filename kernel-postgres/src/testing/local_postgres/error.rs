//! What can go wrong with a local cluster, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a local cluster could not be started or stopped.
///
/// Every message says what to do next, so it can be shown to a person as is.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum LocalPostgresError {
    /// No directory holding both `initdb` and `postgres` was found.
    #[error(
        "no PostgreSQL server binaries (`initdb` beside `postgres`) in: {}; install PostgreSQL \
         (`apt-get install postgresql`, `brew install postgresql@17`) or set POSTGRES_BIN_DIR to \
         the directory that holds them",
        looked.join(", ")
    )]
    BinariesNotFound {
        /// The places that were searched, in order.
        looked: Vec<String>,
    },

    /// The caller is root, PostgreSQL refuses to run as root, and there is no account to run it as.
    #[error(
        "PostgreSQL refuses to run as root and neither of the users {} exists; create one \
         (`useradd --system postgres`) or run as an ordinary user",
        tried.join(", ")
    )]
    NoUnprivilegedUser {
        /// The account names that were tried.
        tried: Vec<String>,
    },

    /// The account that runs the server cannot pass through a directory it has to pass through.
    #[error(
        "user `{user}`, who runs PostgreSQL because root may not, cannot enter {}, on the way to \
         {}; run `chmod o+x` on it or choose a path outside it",
        directory.display(), target.display()
    )]
    Untraversable {
        /// The first directory, from the root down, that cannot be entered.
        directory: PathBuf,
        /// The directory that was to be reached.
        target: PathBuf,
        /// The account that runs the server.
        user: String,
    },

    /// The cluster belongs to another account than the one that would run the server.
    #[error(
        "{} does not belong to user `{user}`, who runs PostgreSQL because root may not; run \
         `chown -R {user}` on it or start as the user who owns it",
        data_dir.display()
    )]
    WrongOwner {
        /// The directory of the cluster.
        data_dir: PathBuf,
        /// The account that would run the server.
        user: String,
    },

    /// The data directory holds files, but no cluster. Nothing in it was touched.
    #[error(
        "{} holds files but no PostgreSQL cluster; choose an empty or a new directory",
        data_dir.display()
    )]
    NotACluster {
        /// The directory that was asked for.
        data_dir: PathBuf,
    },

    /// A server already runs on this data directory.
    #[error(
        "a PostgreSQL server (process {pid}) already runs on this data directory, on port {port}; \
         connect to it, or stop it first"
    )]
    AlreadyRunning {
        /// Process id of the running postmaster.
        pid: u32,
        /// TCP port it listens on.
        port: u16,
    },

    /// The port that was asked for, or every port that was picked, is taken.
    #[error("port {port} on 127.0.0.1 is in use; choose another or leave the choice open (`None`)")]
    PortInUse {
        /// The last port that was tried.
        port: u16,
    },

    /// `initdb` did not create the cluster. Its leftovers are removed.
    #[error("initdb failed; the end of its output says why:\n{log}")]
    InitdbFailed {
        /// The last lines `initdb` wrote.
        log: String,
    },

    /// The server ended before it accepted connections.
    #[error("PostgreSQL ended while starting; the end of its log says why:\n{log}")]
    StartFailed {
        /// The last lines of the server log.
        log: String,
    },

    /// The server did not accept connections in time and was stopped again.
    #[error(
        "PostgreSQL was not ready after {} s; raise `start_timeout` if it was still recovering; \
         the end of its log:\n{log}",
        waited.as_secs_f32()
    )]
    StartTimedOut {
        /// How long it was given.
        waited: Duration,
        /// The last lines of the server log.
        log: String,
    },

    /// The server crashed, or did not shut down cleanly. The next start recovers from its log.
    #[error(
        "PostgreSQL did not shut down cleanly; the next start recovers the data; the end of its \
         log:\n{log}"
    )]
    StopFailed {
        /// The last lines of the server log.
        log: String,
    },

    /// The operating system refused something.
    #[error("cannot {action}: {source}; check that the path exists and its permissions allow it")]
    Io {
        /// What was attempted, with the path where there is one.
        action: String,
        /// What the operating system answered.
        source: io::Error,
    },
}

saas_kernel::debug_explains!(LocalPostgresError);

impl LocalPostgresError {
    /// Makes the `map_err` argument for an operation on `path`.
    pub(super) fn io(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let action = format!("{verb} {}", path.display());
        move |source| Self::Io { action, source }
    }
}
