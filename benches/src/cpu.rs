//! Processor time, from Linux's `/proc`. Elsewhere it is not known.

use std::collections::HashMap;
use std::fs;

/// What `/proc` counts in, per second: an ABI constant on every platform Rust's standard library runs on.
const TICKS: f64 = 100.0;

/// Seconds spent so far by `root` and the processes it started.
pub(crate) fn seconds(root: u32) -> Option<f64> {
    let mut all = HashMap::new();
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process may end while it is looked at.
        if let Some(found) = fs::read_to_string(entry.path().join("stat")).ok().as_deref().and_then(parent_and_ticks) {
            all.insert(pid, found);
        }
    }
    all.get(&root)?;
    let belongs = |mut pid: u32| {
        while pid != root {
            match all.get(&pid) {
                Some((parent, _)) if *parent != pid => pid = *parent,
                _ => return false,
            }
        }
        true
    };
    let ticks: f64 = all.iter().filter(|(pid, _)| belongs(**pid)).map(|(_, (_, ticks))| ticks).sum();
    Some(ticks / TICKS)
}

/// The process id of the Postgres in `directory`.
pub(crate) fn postmaster(directory: &std::path::Path) -> Option<u32> {
    fs::read_to_string(directory.join("postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
}

/// See proc_pid_stat(5): the name in parentheses may hold anything, and its end is the last one.
fn parent_and_ticks(stat: &str) -> Option<(u32, f64)> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((fields.get(1)?.parse().ok()?, ticks(11)? + ticks(12)?))
}
