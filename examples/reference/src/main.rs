//! The reference app's commands: `serve` (the default), `migrate`, `doctor`, `reapply-plans`, `demo`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let log = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(log).with_writer(std::io::stderr).init();
    let command = std::env::args().nth(1).unwrap_or_else(|| "serve".to_owned());
    let done = match command.as_str() {
        "serve" => reference::serve().await,
        "migrate" => reference::migrate().await,
        "doctor" => reference::doctor().await,
        "reapply-plans" => reference::reapply_plans().await,
        "demo" => reference::demo::run().await,
        other => {
            Err(format!("`{other}` is not a command; use serve, migrate [--dry-run], doctor, reapply-plans or demo")
                .into())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
