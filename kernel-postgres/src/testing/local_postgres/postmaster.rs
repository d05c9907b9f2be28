//! What a running server says about itself in its data directory.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// The parts of `postmaster.pid` that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Postmaster {
    /// Process id.
    pub(super) pid: u32,
    /// TCP port.
    pub(super) port: u16,
    /// What it is doing.
    pub(super) phase: Phase,
}

/// How far a server has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not accepting connections yet.
    Starting,
    /// Accepting connections.
    Ready,
    /// Shutting down.
    Stopping,
}

impl Postmaster {
    /// Reads the file a server keeps while it runs, and leaves behind when it crashes.
    pub(super) fn read(data_dir: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(data_dir.join("postmaster.pid")).ok()?)
    }

    /// Reads the same, but only if the process is alive and serves this data directory.
    pub(super) fn running(data_dir: &Path) -> Option<Self> {
        Self::read(data_dir).filter(|found| serves(found.pid, data_dir))
    }

    /// The lines are: pid, data directory, start time, port, socket directory, address, shared
    /// memory key, phase.
    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        let phase = match lines.get(7) {
            Some(&"ready") => Phase::Ready,
            Some(&"stopping") => Phase::Stopping,
            _ => Phase::Starting,
        };
        Some(Self { pid: lines.first()?.parse().ok()?, port: lines.get(3)?.parse().ok()?, phase })
    }
}

/// Tells whether a process is the server of a data directory, which is its working directory.
///
/// Where that cannot be seen, being a PostgreSQL server has to do.
fn serves(pid: u32, data_dir: &Path) -> bool {
    if let Ok(working_dir) = fs::read_link(format!("/proc/{pid}/cwd")) {
        return working_dir == data_dir;
    }
    let output = Command::new("ps")
        .args(["-o", "comm=", "-p", &pid.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    output.is_ok_and(|output| {
        let name = String::from_utf8_lossy(&output.stdout);
        ["postgres", "postmaster"].iter().any(|server| name.trim().ends_with(server))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_file() {
        let text = "71\n/data\n1700000000\n5433\n\n127.0.0.1\n  5  9\nready   \n";
        let expected = Postmaster { pid: 71, port: 5433, phase: Phase::Ready };
        assert_eq!(Postmaster::parse(text), Some(expected));
    }

    #[test]
    fn file_still_being_written() {
        assert_eq!(Postmaster::parse(""), None);
        assert_eq!(Postmaster::parse("71\n/data\n17000"), None);
        let started = Postmaster::parse("71\n/data\n1700000000\n5433\n").map(|found| found.phase);
        assert_eq!(started, Some(Phase::Starting));
    }

    #[test]
    fn live_process_with_another_working_directory_is_not_the_server() {
        assert!(!serves(std::process::id(), Path::new("/nowhere")));
    }
}
