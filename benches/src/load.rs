//! The load: callers that each keep one connection and ask again as soon as they are answered. A process of its own, so
//! that its work is not counted as a server's.

use std::time::{Duration, Instant};

use saas_kernel::BoxError;
use serde::{Deserialize, Serialize};

use crate::client::{By, Client, request};

/// What is asked for, and how long.
#[derive(Serialize, Deserialize)]
pub(crate) struct Load {
    pub address: String,
    pub method: String,
    /// `{n}` is the workspace's number, of four digits.
    pub path: String,
    pub by: By,
    pub body: String,
    pub workspaces: usize,
    pub callers: usize,
    pub seconds: f64,
}

/// What came of it.
#[derive(Serialize, Deserialize, Clone, Copy, Default)]
pub(crate) struct Loaded {
    pub requests: usize,
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// Loads as the JSON of a [`Load`] says, and gives the JSON of a [`Loaded`].
///
/// # Errors
/// At the first answer that is not 2xx.
pub(crate) async fn run(arguments: &[String]) -> Result<String, BoxError> {
    let load: Load = serde_json::from_str(arguments.first().ok_or("what is to be loaded?")?)?;
    let requests: Vec<Vec<u8>> =
        (0..load.workspaces).map(|n| request(&load.method, &load.path, load.by, n, &load.body).into_bytes()).collect();
    let requests: &'static [Vec<u8>] = requests.leak();
    let began = Instant::now();
    let until = began + Duration::from_secs_f64(load.seconds);
    let mut callers = Vec::new();
    for caller in 0..load.callers {
        // Each begins elsewhere, so that no two ask for the same workspace at once.
        let first = caller * requests.len() / load.callers;
        callers.push(tokio::spawn(call(load.address.clone(), requests, first, until)));
    }
    let mut latencies = Vec::new();
    for caller in callers {
        latencies.extend(caller.await??);
    }
    let elapsed = began.elapsed();
    latencies.sort_unstable();
    let quantile = |share: f64| {
        let index = (latencies.len() as f64 * share) as usize;
        latencies.get(index).or(latencies.last()).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    };
    Ok(serde_json::to_string(&Loaded {
        requests: latencies.len(),
        per_second: latencies.len() as f64 / elapsed.as_secs_f64(),
        p50_ms: quantile(0.5),
        p99_ms: quantile(0.99),
    })?)
}

async fn call(
    address: String,
    requests: &'static [Vec<u8>],
    first: usize,
    until: Instant,
) -> Result<Vec<Duration>, BoxError> {
    let mut client = Client::connect(&address).await?;
    let mut latencies = Vec::with_capacity(4096);
    for request in requests.iter().cycle().skip(first) {
        let sent = Instant::now();
        if sent >= until {
            break;
        }
        client.call(request).await?;
        latencies.push(sent.elapsed());
    }
    Ok(latencies)
}
