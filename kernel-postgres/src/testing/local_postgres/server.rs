//! Starting the server.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::account::Account;
use super::data_dir::DataDir;
use super::guard::{Guard, Plan};
use super::postmaster::{Phase, Postmaster};
use super::{LocalPostgres, LocalPostgresError, LocalPostgresOptions, binaries};

/// How many free ports to try: another process may take one between the choice and its use.
const PORT_ATTEMPTS: u32 = 5;

/// How often to look whether something has happened.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// How much of a log goes into an error.
const TAIL_LINES: usize = 20;
const TAIL_BYTES: u64 = 8 * 1024;

/// How an attempt to start went, if the server is not ready.
enum Outcome {
    Exited,
    TimedOut,
}

/// Finds or makes the cluster and starts its server.
pub(super) fn start(options: &LocalPostgresOptions) -> Result<LocalPostgres, LocalPostgresError> {
    let began = Instant::now();
    let binaries = binaries::find()?;
    let account = Account::pick()?;
    account.check_reaches(&binaries)?;
    let (data_dir, mut earlier) = match &options.data_dir {
        None => {
            let (data_dir, guard) = DataDir::throwaway(&account, &binaries)?;
            (data_dir, Some(guard))
        }
        Some(path) => (DataDir::persistent(&account, &binaries, options.durable, path)?, None),
    };
    refuse_if_running(&data_dir.path, options.start_timeout)?;
    tracing::debug!(elapsed = ?began.elapsed(), path = %data_dir.path.display(), "cluster exists");

    let log = data_dir.log();
    let mut attempts_left = if options.port.is_some() { 1 } else { PORT_ATTEMPTS };
    loop {
        attempts_left -= 1;
        let port = options.port.map_or_else(free_port, Ok)?;
        let mut guard = spawn(&account, &binaries, &data_dir, options, port)?;
        // The new guard has taken over the removal of a throwaway cluster.
        if let Some(earlier) = earlier.take() {
            earlier.keep();
        }
        let Err(outcome) = wait_ready(&mut guard, &data_dir.path, port, options.start_timeout) else {
            tracing::debug!(elapsed = ?began.elapsed(), port, "server is ready");
            return Ok(LocalPostgres { binaries, data_dir, port, guard });
        };
        let said = log_tail(&log);
        let port_taken = said.contains("Address already in use");
        if port_taken && attempts_left > 0 {
            earlier = Some(guard);
            continue;
        }
        guard.stop();
        // Another process may have started the same cluster at the same time.
        refuse_if_running(&data_dir.path, Duration::ZERO)?;
        return Err(match outcome {
            Outcome::Exited if port_taken => LocalPostgresError::PortInUse { port },
            Outcome::Exited => LocalPostgresError::StartFailed { log: said },
            Outcome::TimedOut => LocalPostgresError::StartTimedOut { waited: options.start_timeout, log: said },
        });
    }
}

/// Starts the server under a guard that ends it with this process.
fn spawn(
    account: &Account,
    binaries: &Path,
    data_dir: &DataDir,
    options: &LocalPostgresOptions,
    port: u16,
) -> Result<Guard, LocalPostgresError> {
    let program = binaries.join("postgres");
    let settings: Vec<OsString> =
        settings(options, port).into_iter().map(|(name, value)| OsString::from(format!("{name}={value}"))).collect();
    let mut command = vec![program.as_os_str(), OsStr::new("-D"), data_dir.path.as_os_str()];
    for setting in &settings {
        command.extend([OsStr::new("-c"), setting]);
    }
    // What is thrown away need not be written out first.
    let signal = if data_dir.throwaway.is_some() { "QUIT" } else { "INT" };
    let remove = data_dir.throwaway.as_deref();
    Guard::spawn(account, &Plan { signal, remove, log: &data_dir.log(), command })
}

/// Returns the settings of the server; of two for the same name, the later wins.
fn settings(options: &LocalPostgresOptions, port: u16) -> Vec<(&str, String)> {
    let on_or_off = if options.durable { "on" } else { "off" };
    let mut settings = vec![
        ("shared_buffers", "128MB".to_owned()),
        ("max_connections", options.max_connections.to_string()),
        ("fsync", on_or_off.to_owned()),
        ("full_page_writes", on_or_off.to_owned()),
        ("synchronous_commit", on_or_off.to_owned()),
        ("jit", "off".to_owned()),
        ("timezone", "UTC".to_owned()),
        ("log_timezone", "UTC".to_owned()),
        ("log_min_messages", "warning".to_owned()),
    ];
    settings.extend(options.settings.iter().map(|(name, value)| (name.as_str(), value.clone())));
    settings.extend([
        ("listen_addresses", "127.0.0.1".to_owned()),
        ("port", port.to_string()),
        // The path of a socket has to be short, and the path of the data directory may not be.
        ("unix_socket_directories", String::new()),
        ("logging_collector", "off".to_owned()),
        ("log_destination", "stderr".to_owned()),
    ]);
    settings
}

/// Waits until the guarded server, and not one that was there before, accepts connections.
fn wait_ready(guard: &mut Guard, data_dir: &Path, port: u16, timeout: Duration) -> Result<(), Outcome> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let began = Instant::now();
    while began.elapsed() < timeout {
        if guard.wait_exit(POLL_INTERVAL).is_some() {
            return Err(Outcome::Exited);
        }
        let ready =
            Postmaster::read(data_dir).is_some_and(|found| found.pid == guard.pid && found.phase == Phase::Ready);
        if ready && TcpStream::connect_timeout(&address, timeout).is_ok() {
            return Ok(());
        }
    }
    Err(Outcome::TimedOut)
}

/// Fails if a server runs on the data directory, after giving one that is stopping time to go.
fn refuse_if_running(data_dir: &Path, patience: Duration) -> Result<(), LocalPostgresError> {
    let began = Instant::now();
    while let Some(found) = Postmaster::running(data_dir) {
        if found.phase != Phase::Stopping || began.elapsed() >= patience {
            return Err(LocalPostgresError::AlreadyRunning { pid: found.pid, port: found.port });
        }
        thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

/// Picks a port nobody listens on at the moment.
fn free_port() -> Result<u16, LocalPostgresError> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    bound
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|source| LocalPostgresError::Io { action: "pick a free port on 127.0.0.1".to_owned(), source })
}

/// Returns the last lines of a log, or why there are none.
pub(super) fn log_tail(path: &Path) -> String {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        file.read_to_end(&mut bytes)
    });
    if let Err(error) = read {
        return format!("({} cannot be read: {error})", path.display());
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n")
}
