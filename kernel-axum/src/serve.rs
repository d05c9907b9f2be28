//! Runs the application until it is told to stop.

mod connections;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout_at};

use crate::app::App;
use crate::serve::connections::Connections;
use crate::shutdown::{Phase, Shutdown};
use crate::state::Api;

/// The server could not start.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; is another copy running? Choose another address")]
    Bind {
        /// The address as it was given.
        address: String,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
}

saas_kernel::debug_explains!(ServeError);

/// Serves `app` on `address` and processes the billing inbox, until Ctrl-C or SIGTERM. Then it stops in this order:
///
/// 1. `/readyz` answers 503, so that no new connections are sent here. Everything is still served, for
///    [`HttpSettings::shutdown_delay`](crate::HttpSettings::shutdown_delay).
/// 2. No more connections are accepted; [`Shutdown::requested`](crate::Shutdown::requested) resolves. Requests and upgraded
///    connections finish, and the processor finishes the event it is at, both for at most
///    [`HttpSettings::drain_timeout`](crate::HttpSettings::drain_timeout).
/// 3. What is left is ended.
///
/// A second signal leads to step 3 at once. `started` gets the bound address, which is useful with port 0.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve(app: App, address: &str, started: impl FnOnce(SocketAddr)) -> Result<(), ServeError> {
    let signals = Arc::new(Mutex::new(Signals::install()));
    let next = |signals: Arc<Mutex<Signals>>| async move { signals.lock().await.next().await };
    run(app, address, started, next(signals.clone()), next(signals)).await
}

/// As [`serve`], but stops when `stop` resolves, and leaves signals to the caller.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve_until(
    app: App,
    address: &str,
    started: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    run(app, address, started, stop, std::future::pending()).await
}

/// Serves until `stop`, then stops in order, or at once when `stop_now` resolves, which is polled after `stop` has resolved only.
async fn run(
    app: App,
    address: &str,
    started: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()>,
    stop_now: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let bind = |source| ServeError::Bind { address: address.to_owned(), source };
    let listener = TcpListener::bind(address).await.map_err(bind)?;
    started(listener.local_addr().map_err(bind)?);
    let api = app.api().clone();
    let _ended = EndedOnDrop(api.clone());
    let leaving = api.shutdown();
    let forced = async {
        leaving.reached(Phase::Leaving).await;
        stop_now.await;
    };
    tokio::select! {
        () = serve_and_drain(&api, listener, app.into_router(), stop) => {}
        () = forced => tracing::warn!("told to stop a second time: what has not finished is ended"),
    }
    Ok(())
}

async fn serve_and_drain(api: &Api, listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let shutdown = api.shutdown();
    let processor = api.processor().cloned().map(|processor| {
        let shutdown = shutdown.clone();
        tokio::spawn(async move { processor.run(shutdown.requested()).await })
    });
    let connections = Connections::new();
    tokio::select! {
        () = accept(listener, router, shutdown, &connections) => {}
        () = async {
            stop.await;
            api.enter(Phase::Leaving);
            sleep(api.http().shutdown_delay).await;
        } => {}
    }
    // The listener is closed. The processor releases its claims now, while the requests finish.
    api.enter(Phase::Draining);
    let deadline = Instant::now() + api.http().drain_timeout;
    if timeout_at(deadline, connections.closed()).await.is_err() {
        tracing::warn!("some clients did not finish in time and are disconnected");
    }
    if let Some(mut processor) = processor
        && timeout_at(deadline, &mut processor).await.is_err()
    {
        processor.abort();
        tracing::warn!("a billing event did not finish in time; it is taken over when its lease ends");
    }
}

/// Accepts connections until it is dropped.
async fn accept(listener: TcpListener, router: Router, shutdown: Shutdown, connections: &Connections) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => connections.serve(stream, peer, router.clone(), shutdown.clone()),
            Err(error) => {
                // Usually too many open files: wait until some are closed.
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Ends what is left, also if the future of [`serve`] is dropped.
struct EndedOnDrop(Api);

impl Drop for EndedOnDrop {
    fn drop(&mut self) {
        self.0.enter(Phase::Ended);
    }
}

/// Ctrl-C and SIGTERM. The handlers are installed by [`Signals::install`] and not by the first wait, so that a signal is never missed
/// once the server has reported its address.
#[cfg(unix)]
struct Signals(Vec<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Signals {
    fn install() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self([SignalKind::interrupt(), SignalKind::terminate()].map(signal).into_iter().flatten().collect())
    }

    async fn next(&mut self) {
        std::future::poll_fn(|cx| {
            let came = self.0.iter_mut().any(|signal| signal.poll_recv(cx).is_ready());
            if came { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn install() -> Self {
        Self
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
