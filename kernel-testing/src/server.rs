//! The app over TCP, once somebody asks for it.

use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock, PoisonError};

use saas_kernel::BoxError;
use saas_kernel_axum::{App, serve_until};
use tokio::sync::{OnceCell, oneshot};
use tokio::task::AbortHandle;

/// An app that is served on a free port from the first question for its address until the value is dropped.
pub(crate) struct Server {
    waiting: Mutex<Option<App>>,
    address: OnceCell<SocketAddr>,
    running: OnceLock<AbortHandle>,
}

impl Server {
    pub(crate) fn of(app: App) -> Self {
        Self { waiting: Mutex::new(Some(app)), address: OnceCell::new(), running: OnceLock::new() }
    }

    pub(crate) async fn address(&self) -> Result<SocketAddr, BoxError> {
        self.address.get_or_try_init(|| self.start()).await.copied()
    }

    async fn start(&self) -> Result<SocketAddr, BoxError> {
        let app = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let app = app.ok_or("the app could not be served; see the error of the first request")?;
        let (told, address) = oneshot::channel();
        let tell = |address| {
            // Nobody waits for it any more when the test has failed already.
            let _ = told.send(address);
        };
        let serving = tokio::spawn(serve_until(app, "127.0.0.1:0", tell, std::future::pending()));
        // Nobody else sets it: there is one app.
        let _ = self.running.set(serving.abort_handle());
        match address.await {
            Ok(address) => Ok(address),
            Err(_) => match serving.await? {
                Ok(()) => Err("the app stopped before it listened".into()),
                Err(error) => Err(error.into()),
            },
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = self.running.get() {
            running.abort();
        }
    }
}
