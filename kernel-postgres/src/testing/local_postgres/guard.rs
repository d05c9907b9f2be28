//! A shell between the caller and the server that outlives the caller and cleans up after it.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::LocalPostgresError;
use super::account::Account;

/// Longest a guard needs to end the program: the seconds its script counts, and some.
const LONGEST_STOP: Duration = Duration::from_secs(90);

/// Longest a shell may need to fork.
const LONGEST_SPAWN: Duration = Duration::from_secs(30);

/// Runs a program until it ends or standard input does, which the owner holds the other end of.
///
/// The program is a child of this shell and not waited for until it is gone, so its process id
/// cannot have passed to a stranger when it is signalled. The signal is repeated, because a shell
/// starts background programs deaf to INT and QUIT: one sent before the program has set up its
/// handlers is lost. What is to be removed is removed unless the owner is there to answer `keep`.
const SCRIPT: &str = r#"
signal=$1 remove=$2 log=$3
shift 3
trap '' PIPE
exec 3<&0 </dev/null
: >"$log"
exec "$@" >>"$log" 2>&1 3<&- &
program=$!
echo "started $program"
(
    while read -r line; do :; done
    trap 'kill "$pause"; wait "$pause"; exit' TERM
    send() {
        n=0
        while [ "$n" -lt "$2" ]; do
            kill -s "$1" "$program"
            sleep 1 &
            pause=$!
            wait "$pause"
            n=$((n + 1))
        done
    }
    send "$signal" 60
    send QUIT 10
    send KILL 10
) <&3 >/dev/null &
watcher=$!
wait "$program"
status=$?
kill "$watcher"
wait "$watcher"
echo "exited $status"
read -r answer <&3
if [ -n "$remove" ] && [ "$answer" != keep ]; then
    for attempt in 1 2 3 4 5; do rm -rf -- "$remove" && break; sleep 1; done
fi
"#;

/// What to run under guard.
pub(super) struct Plan<'a> {
    /// Signal, without `SIG`, that asks the program to end.
    pub(super) signal: &'a str,
    /// Directory to remove when the program has ended and the owner did not say otherwise.
    pub(super) remove: Option<&'a Path>,
    /// File that takes the program's output, emptied first.
    pub(super) log: &'a Path,
    /// The program and its arguments.
    pub(super) command: Vec<&'a OsStr>,
}

/// A guarded program. Dropping this ends the program, soon but without waiting for it.
#[derive(Debug)]
pub(super) struct Guard {
    /// Closing it is the order to end. It is not inherited by programs the owner starts.
    stdin: ChildStdin,
    /// The exit status of the program, then the end of the guard. Locked only to be shareable.
    ended: Mutex<Receiver<i32>>,
    /// Process id of the program.
    pub(super) pid: u32,
}

impl Guard {
    /// Starts a program under guard.
    pub(super) fn spawn(account: &Account, plan: &Plan<'_>) -> Result<Self, LocalPostgresError> {
        let action = || plan.command.first().map_or_else(String::new, |p| format!("run {}", p.display()));
        let io = |source| LocalPostgresError::Io { action: action(), source };
        let mut child = account
            .command("/bin/sh")
            .args(["-c", SCRIPT, "local-postgres", plan.signal])
            .arg(plan.remove.unwrap_or(Path::new("")))
            .arg(plan.log)
            .args(&plan.command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(io)?;
        let Some(stdin) = child.stdin.take() else {
            return Err(io(io::ErrorKind::BrokenPipe.into()));
        };
        let (started_sender, started) = mpsc::channel();
        let (ended_sender, ended) = mpsc::channel();
        thread::Builder::new()
            .name("local-postgres".to_owned())
            .spawn(move || listen(child, &started_sender, &ended_sender))
            .map_err(io)?;
        let pid =
            started.recv_timeout(LONGEST_SPAWN).map_err(|_| io(io::Error::other("the shell did not start it")))?;
        Ok(Self { stdin, ended: Mutex::new(ended), pid })
    }

    /// Waits for the program to end by itself, and returns its exit status if it did.
    pub(super) fn wait_exit(&mut self, timeout: Duration) -> Option<i32> {
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        match ended.recv_timeout(timeout) {
            Ok(status) => Some(status),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(-1),
        }
    }

    /// Lets the guard go without removing anything, once the program has ended.
    pub(super) fn keep(mut self) {
        if let Err(error) = self.stdin.write_all(b"keep\n") {
            tracing::debug!(%error, "the guard of an ended program was gone");
        }
    }

    /// Ends the program, waits until the guard is done, and returns the program's exit status if
    /// it is known.
    pub(super) fn stop(self) -> Option<i32> {
        drop(self.stdin);
        let ended = self.ended.into_inner().unwrap_or_else(PoisonError::into_inner);
        let deadline = Instant::now() + LONGEST_STOP;
        let mut status = None;
        loop {
            match ended.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(reported) => status = Some(reported),
                Err(RecvTimeoutError::Disconnected) => return status,
                Err(RecvTimeoutError::Timeout) => return None,
            }
        }
    }
}

/// Passes on what a guard says, and waits for it so that it does not linger as a zombie.
fn listen(mut guard: Child, started: &Sender<u32>, ended: &Sender<i32>) {
    let said = guard.stdout.take().map(BufReader::new);
    for line in said.into_iter().flat_map(BufRead::lines).map_while(Result::ok) {
        // A receiver that is gone has nobody waiting for the news.
        match line.split_once(' ') {
            Some(("started", pid)) => drop(pid.parse().map(|pid| started.send(pid))),
            Some(("exited", status)) => drop(status.parse().map(|status| ended.send(status))),
            _ => {}
        }
    }
    match guard.wait() {
        Ok(status) => tracing::debug!(%status, "a guard is done"),
        Err(error) => tracing::debug!(%error, "a guard cannot be waited for"),
    }
}
