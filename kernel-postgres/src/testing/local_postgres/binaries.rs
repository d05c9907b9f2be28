//! Finding the server binaries.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::LocalPostgresError;

/// The variable that names the directory outright.
const VARIABLE: &str = "POSTGRES_BIN_DIR";

/// Directories whose children, by name prefix, may hold a `bin` with the binaries.
const INSTALLATIONS: [(&str, &str); 4] = [
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/opt/homebrew/opt", "postgresql"),
    ("/usr/local/opt", "postgresql"),
];

/// Returns the directory that holds `initdb` and `postgres`.
///
/// A set `POSTGRES_BIN_DIR` is the only place looked at: falling back to another version than the
/// one asked for would hide the mistake.
pub(super) fn find() -> Result<PathBuf, LocalPostgresError> {
    if let Some(named) = env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        let named = PathBuf::from(named);
        let label = format!("{} ({VARIABLE})", named.display());
        return first_complete([(label, vec![named])]);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).collect();
    let fixed = [("PATH".to_owned(), on_path), ("`pg_config --bindir`".to_owned(), pg_config().into_iter().collect())];
    let installed = INSTALLATIONS
        .map(|(parent, prefix)| (format!("{parent}/{prefix}*/bin"), installations(Path::new(parent), prefix)));
    first_complete(fixed.into_iter().chain(installed))
}

/// Returns the first directory holding both binaries, from labelled groups of candidates.
fn first_complete(groups: impl IntoIterator<Item = (String, Vec<PathBuf>)>) -> Result<PathBuf, LocalPostgresError> {
    let mut looked = Vec::new();
    for (label, candidates) in groups {
        if let Some(found) = candidates.into_iter().find(|dir| is_complete(dir)) {
            return resolve(&found);
        }
        looked.push(label);
    }
    Err(LocalPostgresError::BinariesNotFound { looked })
}

/// Tells whether both binaries are in a directory.
fn is_complete(dir: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|name| dir.join(name).is_file())
}

/// Returns where the binaries really are, as `PATH` often has links to some of them only.
///
/// The path is absolute, because the server is not started from the current directory.
fn resolve(dir: &Path) -> Result<PathBuf, LocalPostgresError> {
    let postgres = dir.join("postgres");
    let real = postgres.canonicalize().map_err(LocalPostgresError::io("resolve", &postgres))?;
    match real.parent() {
        Some(real) if is_complete(real) => Ok(real.to_owned()),
        _ => std::path::absolute(dir).map_err(LocalPostgresError::io("resolve", dir)),
    }
}

/// Asks `pg_config` where its installation keeps the binaries.
fn pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let printed = String::from_utf8(output.stdout).ok()?;
    Some(printed.trim()).filter(|dir| !dir.is_empty()).map(PathBuf::from)
}

/// Lists `parent/prefix*/bin`, highest version first.
fn installations(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut found: Vec<_> =
        entries.map(|entry| entry.file_name()).filter(|name| name.to_string_lossy().starts_with(prefix)).collect();
    found.sort_by_cached_key(|name| std::cmp::Reverse(version(name)));
    found.into_iter().map(|name| parent.join(name).join("bin")).collect()
}

/// Reads the numbers in a directory name, so that 9.6 < 15 < 15.2.
fn version(name: &OsStr) -> Vec<u32> {
    name.to_string_lossy()
        .split(|character: char| !character.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installation(root: &Path, name: &str) -> PathBuf {
        let bin = root.join(name).join("bin");
        fs::create_dir_all(&bin).unwrap();
        fs::write(bin.join("initdb"), "").unwrap();
        fs::write(bin.join("postgres"), "").unwrap();
        bin
    }

    #[test]
    fn highest_version_is_first() {
        let root = tempfile::tempdir().unwrap();
        installation(root.path(), "9.6");
        installation(root.path(), "15");
        let newest = installation(root.path(), "17");
        assert_eq!(installations(root.path(), "")[0], newest);
    }

    #[test]
    fn incomplete_directories_are_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let older = installation(root.path(), "15");
        fs::remove_file(installation(root.path(), "16").join("initdb")).unwrap();
        let found = first_complete([("here".to_owned(), installations(root.path(), ""))]);
        assert_eq!(found.unwrap(), older);
    }

    #[test]
    fn links_are_followed_to_the_installation() {
        let root = tempfile::tempdir().unwrap();
        let real = installation(root.path(), "15").canonicalize().unwrap();
        let linked = root.path().join("linked");
        fs::create_dir(&linked).unwrap();
        for name in ["initdb", "postgres"] {
            std::os::unix::fs::symlink(real.join(name), linked.join(name)).unwrap();
        }
        assert_eq!(first_complete([("PATH".to_owned(), vec![linked])]).unwrap(), real);
    }

    #[test]
    fn nothing_found_names_every_place_and_the_remedies() {
        let groups = ["PATH", "/usr/lib/postgresql/*/bin"].map(|place| (place.to_owned(), vec![]));
        let message = first_complete(groups).unwrap_err().to_string();
        for expected in [
            "PATH",
            "/usr/lib/postgresql/*/bin",
            "apt-get install postgresql",
            "brew install postgresql@17",
            "POSTGRES_BIN_DIR",
        ] {
            assert!(message.contains(expected), "{expected} missing from: {message}");
        }
    }
}
