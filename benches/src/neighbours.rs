//! Whether one caller's rush is felt in another workspace, where eight people read: thirty people accept an invite to five seats at
//! once, and sixty calls of one account ask for what is its own. The readers' p99 during the rushes is compared with that between
//! them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use saas_kernel::BoxError;
use sqlx::{Connection, PgConnection};
use tokio::sync::Barrier;

use crate::client::{By, Client, request};
use crate::options::Options;
use crate::report::median;

/// Who accept at once.
const GUESTS: usize = 30;
/// What they accept.
const SEATS: usize = 5;
/// Who read meanwhile, one after the other each.
const READERS: usize = 8;
/// Calls of one account at once.
const CALLERS: usize = 60;
/// How long they go on in one rush.
const CROWDED: Duration = Duration::from_millis(150);
/// The first workspace that is joined; those before it are read.
const FIRST: usize = 1;
/// How long nobody joins between two rushes.
const QUIET: Duration = Duration::from_millis(150);

/// Reads, in the order in which they were sent: when, and how long they took.
type Reads = Vec<(Instant, Duration)>;

/// What the readers felt.
pub(crate) struct Felt {
    title: String,
    outcome: &'static str,
    /// Rushes.
    rushes: usize,
    /// The median of how long a rush took.
    rush_ms: f64,
    /// Reads sent between the rushes, and how long all but 1 % of them took at most.
    quiet: (usize, f64),
    /// The same of those that were under way in a rush.
    rushed: (usize, f64),
}

/// # Errors
/// When something else answers than members up to the seats, and refusals for the rest.
pub(crate) async fn run(address: &str, admin: &str, options: &Options) -> Result<[Felt; 2], BoxError> {
    let (rushes, workspaces) = (options.rushes, options.workspaces);
    seed(admin, options).await?;
    let seats = felt(address, rushes, |n| rush(address, n, workspaces)).await?;
    seats_hold(admin, rushes).await?;
    let calls = felt(address, rushes, |_| crowd(address, workspaces.saturating_sub(1))).await?;
    let felt = |title, outcome, (rush_ms, quiet, rushed)| Felt { title, outcome, rushes, rush_ms, quiet, rushed };
    Ok([
        felt(
            format!("{GUESTS} people accept {SEATS} seats of another workspace"),
            "each fills the seats exactly, the rest are refused",
            seats,
        ),
        felt(
            format!("{CALLERS} calls of one account ask for its own permissions"),
            "each call is answered, or refused as one too many of that account",
            calls,
        ),
    ])
}

/// The median of how long a rush took, and the number and p99 of the reads between the rushes and in them.
type Measured = (f64, (usize, f64), (usize, f64));

async fn felt<R: Future<Output = Result<Span, BoxError>>>(
    address: &str,
    rushes: usize,
    rush: impl Fn(usize) -> R,
) -> Result<Measured, BoxError> {
    let over = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for _ in 0..READERS {
        readers.push(tokio::spawn(read(address.to_owned(), over.clone())));
    }
    let mut spans = Vec::new();
    for n in FIRST..FIRST + rushes {
        tokio::time::sleep(QUIET).await;
        spans.push(rush(n).await?);
    }
    over.store(true, Ordering::Relaxed);
    let (mut quiet, mut rushed) = (Vec::new(), Vec::new());
    for reader in readers {
        for (sent, took) in reader.await?? {
            let within = spans.iter().any(|(from, until)| sent < *until && sent + took > *from);
            if within { rushed.push(took) } else { quiet.push(took) }
        }
    }
    let rush_ms = median(spans.iter().map(|(from, until)| (*until - *from).as_secs_f64() * 1e3));
    Ok((rush_ms, p99(quiet), p99(rushed)))
}

async fn seed(admin: &str, options: &Options) -> Result<(), BoxError> {
    let mut admin = PgConnection::connect(admin).await?;
    let numbers = [FIRST, options.rushes, options.workspaces].map(|n| i32::try_from(n).unwrap_or(i32::MAX));
    let [first, rushes, workspaces] = numbers;
    let invites = sqlx::query(include_str!("neighbours.sql")).bind(first).bind(rushes).bind(workspaces);
    invites.execute(&mut admin).await?;
    // Who invites must be allowed to.
    for sql in [
        "UPDATE kernel.memberships SET role = 'owner' WHERE workspace_id IN (SELECT workspace_id FROM kernel.invites)",
        "UPDATE kernel.usage SET cap = 5 WHERE key = 'members' AND workspace_id IN (SELECT workspace_id FROM kernel.invites)",
    ] {
        sqlx::query(sql).execute(&mut admin).await?;
    }
    Ok(admin.close().await?)
}

async fn read(address: String, over: Arc<AtomicBool>) -> Result<Reads, BoxError> {
    let mut client = Client::connect(&address).await?;
    let request = request("GET", "/api/v1/workspaces/bench-{n}/projects", By::Cookie, 0, "");
    let mut reads = Vec::with_capacity(64 * 1024);
    while !over.load(Ordering::Relaxed) {
        let sent = Instant::now();
        client.call(request.as_bytes()).await?;
        reads.push((sent, sent.elapsed()));
    }
    Ok(reads)
}

/// When a rush began and when its last call was answered.
type Span = (Instant, Instant);

/// All guests at once.
async fn rush(address: &str, n: usize, workspaces: usize) -> Result<Span, BoxError> {
    let ready = Arc::new(Barrier::new(GUESTS + 1));
    let mut guests = Vec::new();
    for guest in (1..=GUESTS).map(|g| (n + g) % workspaces) {
        let mut client = Client::connect(address).await?;
        let body = format!(r#"{{"token":"inv_bench-{n:04}-{guest:04}"}}"#);
        let (request, ready) = (request("POST", "/api/v1/invites/accept", By::Cookie, guest, &body), ready.clone());
        guests.push(tokio::spawn(async move {
            ready.wait().await;
            let (status, answer) = client.ask(request.as_bytes()).await?;
            let answer = String::from_utf8_lossy(answer).into_owned();
            match status {
                200 => Ok(true),
                402 if answer.contains("all 5 seats") => Ok(false),
                _ => Err(BoxError::from(format!("{status}: {answer}"))),
            }
        }));
    }
    ready.wait().await;
    let (from, mut joined) = (Instant::now(), 1);
    for guest in guests {
        joined += usize::from(guest.await??);
    }
    if joined == SEATS { Ok((from, Instant::now())) } else { Err(format!("{joined} members on {SEATS} seats").into()) }
}

/// Calls of one account, each one after the other, in as many connections.
async fn crowd(address: &str, person: usize) -> Result<Span, BoxError> {
    let ready = Arc::new(Barrier::new(CALLERS + 1));
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        let mut client = Client::connect(address).await?;
        let (request, ready) = (request("GET", "/api/v1/me/permissions", By::Cookie, person, ""), ready.clone());
        callers.push(tokio::spawn(async move {
            ready.wait().await;
            let until = Instant::now() + CROWDED;
            while Instant::now() < until {
                let (status, answer) = client.ask(request.as_bytes()).await?;
                if !(status == 200 || status == 503 && String::from_utf8_lossy(answer).contains("\"busy\"")) {
                    return Err(BoxError::from(format!("{status}: {}", String::from_utf8_lossy(answer))));
                }
            }
            Ok(())
        }));
    }
    ready.wait().await;
    let from = Instant::now();
    for caller in callers {
        caller.await??;
    }
    Ok((from, Instant::now()))
}

async fn seats_hold(admin: &str, rushes: usize) -> Result<(), BoxError> {
    let mut admin = PgConnection::connect(admin).await?;
    let full = "SELECT count(*) FROM (SELECT count(*) AS n FROM kernel.memberships
                WHERE workspace_id IN (SELECT workspace_id FROM kernel.invites) GROUP BY workspace_id) AS of WHERE n = 5";
    let full: i64 = sqlx::query_scalar(full).fetch_one(&mut admin).await?;
    if usize::try_from(full) == Ok(rushes) { Ok(()) } else { Err(format!("{full} of {rushes} are full").into()) }
}

fn p99(mut reads: Vec<Duration>) -> (usize, f64) {
    reads.sort_unstable();
    let at = reads.get(reads.len() * 99 / 100).or(reads.last());
    (reads.len(), at.map_or(f64::NAN, |took| took.as_secs_f64() * 1e3))
}

impl std::fmt::Display for Felt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { title, outcome, rushes, rush_ms, quiet, rushed } = self;
        writeln!(f, "\n### GET …/projects while {title}\n")?;
        writeln!(f, "{rushes} rushes of {rush_ms:.0} ms (median); {outcome}.\n")?;
        writeln!(f, "| {READERS} readers | reads | p99 ms | of quiet |\n|---|---|---|---|")?;
        writeln!(f, "| quiet | {} | {:.2} | 1.00 |", quiet.0, quiet.1)?;
        writeln!(f, "| in a rush | {} | {:.2} | {:.2} |", rushed.0, rushed.1, rushed.1 / quiet.1)
    }
}
