//! The servers, each a process of this same program.

use std::process::Stdio;
use std::time::Duration;

use saas_kernel::BoxError;
use saas_kernel_postgres::testing::LocalPostgres;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::load::{Load, Loaded};

/// A running server. It ends with this value and, as its input ends too, with this process.
pub(crate) struct Server {
    pub address: String,
    pub pid: u32,
    child: Child,
}

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Kernel,
    Hand,
}

/// Both.
pub(crate) struct Servers {
    pub kernel: Server,
    pub hand: Server,
}

impl Servers {
    /// `port` is where they find `postgres`, directly or not; the kernel's own work beside requests goes there directly.
    pub(crate) async fn start(postgres: &LocalPostgres, port: u16, pool: usize) -> Result<Self, BoxError> {
        // Without TLS, as on one machine, and so that what passes can be counted.
        let url = |role: &str, port: u16| format!("postgres://{role}@127.0.0.1:{port}/postgres?sslmode=disable");
        let kernel = [
            ("DATABASE_URL", url("kernel_app", port)),
            ("SYSTEM_DATABASE_URL", url("kernel_system", postgres.port())),
            ("STRIPE_WEBHOOK_SECRET", "whsec_nobody_sends_anything_here".to_owned()),
            ("APP_URL", "http://127.0.0.1".to_owned()),
            ("KERNEL_SECRETS", "the secret of a benchmark: it guards nothing".to_owned()),
        ];
        let hand = [("PEER_DATABASE_URL", url("bench_peer", port)), ("APP_DATABASE_URL", url("kernel_app", port))];
        Ok(Self { kernel: start("serve-kernel", &kernel, pool).await?, hand: start("serve-hand", &hand, pool).await? })
    }

    pub(crate) fn of(&self, kind: Kind) -> &Server {
        match kind {
            Kind::Kernel => &self.kernel,
            Kind::Hand => &self.hand,
        }
    }

    /// Ends them, and waits until their connections are gone.
    pub(crate) async fn stop(self) -> Result<(), BoxError> {
        for mut server in [self.kernel, self.hand] {
            server.child.kill().await?;
        }
        Ok(())
    }
}

async fn start(command: &str, environment: &[(&str, String)], pool: usize) -> Result<Server, BoxError> {
    let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string();
    let mut child = Command::new(std::env::current_exe()?)
        .arg(command)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .env("APP_ADDR", &address)
        .env("POOL", pool.to_string())
        // On a busy machine a call may wait long for its turn; an answer that is not 2xx would end the benchmark.
        .env("POOL_WAIT", "30")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let pid = child.id().ok_or("the server has ended")?;
    let mut every = tokio::time::interval(Duration::from_millis(20));
    for _ in 0..1000 {
        every.tick().await;
        if TcpStream::connect(&address).await.is_ok() {
            return Ok(Server { address, pid, child });
        }
        if let Some(status) = child.try_wait()? {
            return Err(format!("{command} ended: {status}").into());
        }
    }
    Err(format!("{command} does not listen after 20 s").into())
}

/// Runs a load in a process of its own.
pub(crate) async fn load(load: &Load) -> Result<Loaded, BoxError> {
    let output = Command::new(std::env::current_exe()?)
        .args(["load", &serde_json::to_string(load)?])
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await?;
    if !output.status.success() {
        return Err(format!("the load of {} failed", load.path).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
