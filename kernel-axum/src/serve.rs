//! Runs the application until it is told to stop.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::ServiceExt;

use crate::app::App;

/// The longest a client may take to send a request's headers, and may keep a connection open without sending any. Without
/// this limit slow clients could hold all sockets.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(15);

/// The server could not start.
#[derive(thiserror::Error)]
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

/// Serves `app` on `address` and processes the billing inbox, until Ctrl-C or SIGTERM. Then it accepts no more
/// connections and waits for the requests that have begun, for no longer than a request may take. `started` gets the
/// bound address, which is useful with port 0.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve(app: App, address: &str, started: impl FnOnce(SocketAddr)) -> Result<(), ServeError> {
    let bind = |source| ServeError::Bind { address: address.to_owned(), source };
    let signal = signal();
    let listener = TcpListener::bind(address).await.map_err(bind)?;
    started(listener.local_addr().map_err(bind)?);
    let (stop, stopped) = watch::channel(());
    let processor = app.api().processor().cloned().map(|processor| {
        let mut stopped = stopped.clone();
        tokio::spawn(async move {
            // A change and a dropped sender both mean stop.
            let stop = async move { drop(stopped.changed().await) };
            processor.run(stop).await;
        })
    });
    let shutdown_timeout = app.api().http().request_timeout + Duration::from_secs(5);
    let connections = accept(listener, app.into_router(), signal).await;
    // The processor releases its claims now, while the requests finish.
    drop(stop);
    let deadline = tokio::time::Instant::now() + shutdown_timeout;
    if tokio::time::timeout_at(deadline, connections.shutdown()).await.is_err() {
        tracing::warn!("some clients did not finish in time and were left");
    }
    if let Some(mut processor) = processor
        && tokio::time::timeout_at(deadline, &mut processor).await.is_err()
    {
        processor.abort();
        tracing::warn!("a billing event did not finish in time; it is taken over when its lease ends");
    }
    Ok(())
}

/// Accepts connections until the signal.
async fn accept(listener: TcpListener, router: Router, signal: impl Future<Output = ()>) -> GracefulShutdown {
    let connections = GracefulShutdown::new();
    let mut signal = std::pin::pin!(signal);
    loop {
        let accepted = tokio::select! {
            () = &mut signal => return connections,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => connection(stream, peer, router.clone(), &connections),
            Err(error) => {
                // Usually too many open files: wait until some are closed.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn connection(stream: TcpStream, peer: SocketAddr, router: Router, connections: &GracefulShutdown) {
    // Responses are small and written at once: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended early");
        }
    });
}

/// Resolves on Ctrl-C and SIGTERM. The handlers are installed by this call and not by its first poll, so that a signal is
/// never missed once the server has reported its address.
#[cfg(unix)]
fn signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    async move {
        let mut signals: Vec<_> = signals.into_iter().flatten().collect();
        std::future::poll_fn(|cx| {
            let came = signals.iter_mut().any(|signal| signal.poll_recv(cx).is_ready());
            if came { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }
}

#[cfg(not(unix))]
async fn signal() {
    let _ = tokio::signal::ctrl_c().await;
}
