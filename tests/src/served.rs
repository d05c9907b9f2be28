//! Apps with routes of a test's own, and gates at which their handlers wait.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use saas_kernel::BoxError;
use saas_kernel_axum::App;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::{Caller, TestResult};

/// An app that is served until the value is dropped.
pub struct Served {
    /// Its address.
    pub address: SocketAddr,
    server: JoinHandle<()>,
}

impl Served {
    /// Serves `app` on a free port.
    pub async fn start(app: App) -> Result<Self, BoxError> {
        let (started, address) = oneshot::channel();
        let server = tokio::spawn(async move {
            let tell = |address| {
                // Nobody waits for it any more when the test has failed already.
                let _ = started.send(address);
            };
            if let Err(error) = saas_kernel_axum::serve(app, "127.0.0.1:0", tell).await {
                eprintln!("the app stopped: {error}");
            }
        });
        Ok(Self { address: address.await?, server })
    }

    /// The same caller, with the same session, of this app.
    pub fn caller(&self, of: &Caller) -> Caller {
        Caller { http: of.http.at_base(format!("http://{}", self.address)), ..of.clone() }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A place at which handlers wait until the test opens it.
#[derive(Clone)]
pub struct Gate {
    arrived: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    /// A gate that is closed.
    pub fn closed() -> Self {
        Self { arrived: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }

    /// Waits until the gate is open.
    pub async fn pass(&self) {
        self.arrived.add_permits(1);
        // It has no permits: this returns when it is closed.
        let _ = self.open.acquire().await;
    }

    /// Waits until `n` handlers have arrived, for at most twenty seconds.
    pub async fn arrivals(&self, n: u32) -> TestResult {
        let arrived = tokio::time::timeout(Duration::from_secs(20), self.arrived.acquire_many(n)).await;
        drop(arrived.map_err(|_| format!("{} of {n} arrived", self.arrived.available_permits()))??);
        Ok(())
    }

    /// How many have arrived so far.
    pub fn arrived(&self) -> usize {
        self.arrived.available_permits()
    }

    /// Lets all of them on, and those who come later.
    pub fn open(&self) {
        self.open.close();
    }
}
