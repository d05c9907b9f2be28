//! The account the server runs under: the caller's own, or an unprivileged one when that is root.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::LocalPostgresError;

/// Accounts root may hand the server to, best first.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// Prints the position of the first argument that cannot be entered.
const FIRST_UNTRAVERSABLE: &str = r#"n=0; for d in "$@"; do [ -x "$d" ] || { echo "$n"; exit 1; }; n=$((n + 1)); done"#;

/// An unprivileged user.
#[derive(Debug)]
pub(super) struct User {
    /// Login name.
    pub(super) name: &'static str,
    /// User id.
    pub(super) uid: u32,
    gid: u32,
}

/// The account the server runs under.
#[derive(Debug)]
pub(super) struct Account {
    /// Whom to become, where the caller is root.
    pub(super) switch_to: Option<User>,
}

impl Account {
    /// Picks the account: the caller's, unless that is root.
    pub(super) fn pick() -> Result<Self, LocalPostgresError> {
        let Some(caller) = id(&["-u"]) else {
            let source = io::Error::other("it printed no number");
            return Err(LocalPostgresError::Io { action: "run `id -u`".to_owned(), source });
        };
        if caller != 0 {
            return Ok(Self { switch_to: None });
        }
        let found = CANDIDATES.into_iter().find_map(|name| {
            let (uid, gid) = (id(&["-u", name])?, id(&["-g", name])?);
            (uid != 0).then_some(User { name, uid, gid })
        });
        match found {
            Some(user) => Ok(Self { switch_to: Some(user) }),
            None => Err(LocalPostgresError::NoUnprivilegedUser { tried: CANDIDATES.map(str::to_owned).to_vec() }),
        }
    }

    /// Makes a command that runs under this account, apart from the caller's terminal.
    ///
    /// It gets its own process group, so that Ctrl-C reaches the caller only; a directory any
    /// account may be in; and no `PG*` variable or language that would change what the server does
    /// or how it words its messages.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.process_group(0).current_dir("/").stdin(Stdio::null()).stderr(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command.env("LC_ALL", "C");
        if let Some(user) = &self.switch_to {
            // Supplementary groups are dropped along with root by the standard library.
            command.uid(user.uid).gid(user.gid);
        }
        command
    }

    /// Creates a directory that this account owns and nobody else can look into.
    pub(super) fn create_dir(&self, path: &Path) -> Result<(), LocalPostgresError> {
        fs::DirBuilder::new().mode(0o700).create(path).map_err(LocalPostgresError::io("create", path))?;
        match &self.switch_to {
            Some(user) => {
                chown(path, Some(user.uid), Some(user.gid)).map_err(LocalPostgresError::io("change the owner of", path))
            }
            None => Ok(()),
        }
    }

    /// Checks that an account root switched to can reach `target`, an existing directory.
    pub(super) fn check_reaches(&self, target: &Path) -> Result<(), LocalPostgresError> {
        let Some(user) = &self.switch_to else {
            return Ok(());
        };
        let mut way: Vec<_> = target.ancestors().collect();
        way.reverse();
        let output = self
            .command("/bin/sh")
            .args(["-c", FIRST_UNTRAVERSABLE, "sh"])
            .args(&way)
            .output()
            .map_err(LocalPostgresError::io("run", Path::new("/bin/sh")))?;
        let position = number(&output.stdout).and_then(|n| usize::try_from(n).ok());
        match position.and_then(|position| way.get(position)) {
            Some(directory) => Err(LocalPostgresError::Untraversable {
                directory: directory.to_path_buf(),
                target: target.to_path_buf(),
                user: user.name.to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// Returns the first directory for temporary files that this account can write to.
    pub(super) fn temp_dir(&self) -> Result<PathBuf, LocalPostgresError> {
        let preferred = std::env::temp_dir();
        let usable = |dir: &PathBuf| {
            let mut test = self.command("/bin/sh");
            test.args(["-c", r#"[ -d "$1" ] && [ -w "$1" ] && [ -x "$1" ]"#, "sh"]).arg(dir);
            test.status().is_ok_and(|status| status.success())
        };
        let fallbacks = ["/tmp", "/var/tmp"].map(PathBuf::from);
        let all = [&preferred, &fallbacks[0], &fallbacks[1]];
        match all.into_iter().find(|dir| usable(dir)) {
            Some(dir) => dir.canonicalize().map_err(LocalPostgresError::io("resolve", dir)),
            None => Err(LocalPostgresError::io("write to", &preferred)(io::ErrorKind::PermissionDenied.into())),
        }
    }
}

/// Runs `id` and returns the number it prints.
fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    number(&output.stdout)
}

/// Reads a decimal number and nothing else.
fn number(printed: &[u8]) -> Option<u32> {
    std::str::from_utf8(printed).ok()?.trim().parse().ok()
}
