//! `with-postgres COMMAND…`: runs a command beside one throwaway Postgres cluster that all its test processes share, and
//! ends the cluster with it.

use std::process::ExitCode;

use saas_kernel_postgres::testing::{CLUSTER_ENV, LocalPostgres, LocalPostgresOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let command = arguments.next().ok_or("usage: with-postgres COMMAND…")?;
    let options = LocalPostgresOptions::default().max_connections(400);
    let postgres = LocalPostgres::start(options).await?;
    eprintln!("Postgres for the tests is at 127.0.0.1:{}", postgres.port());
    let url = postgres.superuser_url("postgres");
    let status = tokio::process::Command::new(command).args(arguments).env(CLUSTER_ENV, url).status().await?;
    postgres.stop().await?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
