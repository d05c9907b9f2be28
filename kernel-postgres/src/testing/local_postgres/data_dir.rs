//! The data directory: where it is, and making a cluster in it that is either finished or absent.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use std::time::Duration;

use saas_kernel::clock::{Clock, SystemClock};
use saas_kernel::id::RequestId;

use super::account::Account;
use super::guard::{Guard, Plan};
use super::{LocalPostgresError, log_tail};

/// Longest `initdb` may take.
const LONGEST_INITDB: Duration = Duration::from_mins(2);

/// A data directory that holds a finished cluster.
#[derive(Debug)]
pub(super) struct DataDir {
    /// Its absolute path, free of symbolic links.
    pub(super) path: PathBuf,
    /// The directory around it, where both are to be removed when the server has ended.
    pub(super) throwaway: Option<PathBuf>,
}

impl DataDir {
    /// Makes a new cluster under the directory for temporary files.
    ///
    /// The guard removes it unless told to keep it.
    pub(super) fn throwaway(account: &Account, binaries: &Path) -> Result<(Self, Guard), LocalPostgresError> {
        let base = account.temp_dir()?;
        account.check_reaches(&base)?;
        let around = base.join(unique("local-postgres-"));
        account.create_dir(&around)?;
        let guard = initdb(account, binaries, false, &around).inspect_err(|_| remove(&around))?;
        Ok((Self { path: around.join("data"), throwaway: Some(around) }, guard))
    }

    /// Takes the cluster at `path`, or makes one there if there is nothing yet.
    pub(super) fn persistent(
        account: &Account,
        binaries: &Path,
        durable: bool,
        path: &Path,
    ) -> Result<Self, LocalPostgresError> {
        let absolute = std::path::absolute(path).map_err(LocalPostgresError::io("resolve", path))?;
        let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
            return Err(LocalPostgresError::NotACluster { data_dir: absolute });
        };
        fs::create_dir_all(parent).map_err(LocalPostgresError::io("create", parent))?;
        let resolved = if absolute.exists() {
            absolute.canonicalize()
        } else {
            parent.canonicalize().map(|parent| parent.join(name))
        };
        let path = resolved.map_err(LocalPostgresError::io("resolve", &absolute))?;
        account.check_reaches(path.parent().unwrap_or(&path))?;
        if !is_cluster(&path) {
            create(account, binaries, durable, &path)?;
        }
        if let Some(user) = &account.switch_to {
            let owner = fs::metadata(&path).map_err(LocalPostgresError::io("inspect", &path))?.uid();
            if owner != user.uid {
                let user = user.name.to_owned();
                return Err(LocalPostgresError::WrongOwner { data_dir: path, user });
            }
        }
        Ok(Self { path, throwaway: None })
    }

    /// Returns the file that takes the output of the server.
    pub(super) fn log(&self) -> PathBuf {
        self.path.join("server.log")
    }
}

/// Makes a cluster beside `path` and renames it to `path` once it is finished, so that one cut
/// short is never taken for a cluster, and a cluster made meanwhile by another is never replaced.
fn create(account: &Account, binaries: &Path, durable: bool, path: &Path) -> Result<(), LocalPostgresError> {
    let empty = match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    let (true, Some(parent), Some(name)) = (empty, path.parent(), path.file_name()) else {
        return Err(LocalPostgresError::NotACluster { data_dir: path.to_owned() });
    };
    let prefix = format!(".{}.initdb-", name.to_string_lossy());
    remove_abandoned(parent, &prefix);
    let beside = parent.join(unique(&prefix));
    account.create_dir(&beside)?;
    let made = create_beside(account, binaries, durable, &beside, path);
    remove(&beside);
    made?;
    if durable {
        let synced = File::open(parent).and_then(|parent| parent.sync_all());
        synced.map_err(LocalPostgresError::io("write to disk", parent))?;
    }
    Ok(())
}

/// Makes a cluster in the empty directory `beside` and moves it to `path`.
fn create_beside(
    account: &Account,
    binaries: &Path,
    durable: bool,
    beside: &Path,
    path: &Path,
) -> Result<(), LocalPostgresError> {
    // The lock, which ends with this process, tells others that the directory is not abandoned.
    let held = File::open(beside).map_err(LocalPostgresError::io("open", beside))?;
    held.try_lock().map_err(|error| LocalPostgresError::io("lock", beside)(error.into()))?;
    let guard = initdb(account, binaries, durable, beside)?;
    let renamed = fs::rename(beside.join("data"), path);
    guard.keep();
    match renamed {
        // Another process was faster.
        Err(_) if is_cluster(path) => Ok(()),
        other => other.map_err(LocalPostgresError::io("put a new cluster at", path)),
    }
}

/// Runs `initdb` for `around/data`, with its output beside that.
///
/// Returns the guard, which removes `around` unless told to keep it. On failure the caller has to.
fn initdb(account: &Account, binaries: &Path, durable: bool, around: &Path) -> Result<Guard, LocalPostgresError> {
    let (program, data, log) = (binaries.join("initdb"), around.join("data"), around.join("initdb.log"));
    let run = |locale: &str| {
        let mut command = vec![program.as_os_str(), OsStr::new("-D"), data.as_os_str()];
        command.extend(["-U", "postgres", "--auth=trust", "-E", "UTF8", locale].map(OsStr::new));
        if !durable {
            command.push(OsStr::new("--no-sync"));
        }
        Guard::spawn(account, &Plan { signal: "TERM", remove: Some(around), log: &log, command })
    };
    let mut guard = run("--locale=C.UTF-8")?;
    let mut status = guard.wait_exit(LONGEST_INITDB);
    if status.is_some_and(|status| status != 0) && log_tail(&log).contains("invalid locale") {
        // Not every system has that one. This one it has.
        let next = run("--locale=C")?;
        std::mem::replace(&mut guard, next).keep();
        status = guard.wait_exit(LONGEST_INITDB);
    }
    if status == Some(0) {
        return Ok(guard);
    }
    let said = log_tail(&log);
    match status {
        Some(_) => guard.keep(),
        None => {
            tracing::debug!("initdb is stopped, it took too long");
            guard.stop();
        }
    }
    Err(LocalPostgresError::InitdbFailed { log: said })
}

/// Tells whether a directory holds a cluster.
fn is_cluster(path: &Path) -> bool {
    path.join("PG_VERSION").is_file()
}

/// Removes what attempts cut short, by a power cut say, left in `parent`.
fn remove_abandoned(parent: &Path, prefix: &str) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with(prefix)
            && File::open(&path).is_ok_and(|dir| dir.try_lock().is_ok())
        {
            remove(&path);
        }
    }
}

/// Removes a directory of ours that may be gone already. One that resists does no harm.
fn remove(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path) {
        tracing::debug!(path = %path.display(), %error, "not removed");
    }
}

/// Makes a name no other process and no other call makes.
fn unique(prefix: &str) -> String {
    format!("{prefix}{}", RequestId::generate(SystemClock.now()))
}
