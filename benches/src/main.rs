//! The benchmark: the reference app's `projects` route beside the same route written by hand, in one run, as ratios.
//!
//! `saas-kernel-benches [--quick] [--rounds N] [--seconds S] [--no-steps] [--rushes-only]` does everything: a private Postgres, its rows, the servers
//! and the load, each a process of its own (the other commands here). See the README beside this crate.
#![expect(clippy::print_stdout, reason = "the report goes to standard output")]

mod client;
mod counter;
mod cpu;
mod database;
mod hand;
mod load;
mod neighbours;
mod options;
mod report;
mod rounds;
mod servers;
mod steps;
mod variants;

use std::process::ExitCode;

use options::Options;
use saas_kernel::BoxError;
use tokio::io::AsyncReadExt;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), BoxError> {
    let two_threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match arguments.first().map(String::as_str) {
        Some("serve-kernel") => two_threads.block_on(while_wanted(reference::serve())),
        Some("serve-hand") => two_threads.block_on(while_wanted(hand::serve())),
        Some("load") => {
            let one_thread = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            println!("{}", one_thread.block_on(load::run(arguments.get(1..).unwrap_or_default()))?);
            Ok(())
        }
        _ => two_threads.block_on(rounds::run(&Options::parse(arguments)?)),
    }
}

/// Serves until standard input ends, which it does however the process ends that started this one.
async fn while_wanted(serve: impl Future<Output = Result<(), BoxError>>) -> Result<(), BoxError> {
    // As the reference app's own `main` does it.
    tracing_subscriber::fmt().with_env_filter("warn").with_writer(std::io::stderr).init();
    let unwanted = async { tokio::io::stdin().read_to_end(&mut Vec::new()).await };
    tokio::select! {
        served = serve => served,
        _ = unwanted => Ok(()),
    }
}
