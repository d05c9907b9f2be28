//! Running the application.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::app::App;

/// Why the server did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; is another copy running? Choose another address")]
    Bind {
        /// The address.
        address: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Accepting failed.
    #[error("the server stopped: {0}")]
    Serve(#[source] std::io::Error),
}

/// Serves `app` on `address` and works the billing inbox off beside it, until Ctrl-C or SIGTERM; then finishes the
/// requests that have begun. `started` is told the real address, also for port 0.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve(app: App, address: &str, started: impl FnOnce(SocketAddr)) -> Result<(), ServeError> {
    let bind = |source| ServeError::Bind { address: address.to_owned(), source };
    let listener = TcpListener::bind(address).await.map_err(bind)?;
    started(listener.local_addr().map_err(bind)?);
    let (stop, stopped) = watch::channel(());
    let processor = app.api().processor().cloned().map(|processor| {
        let mut stopped = stopped.clone();
        tokio::spawn(async move {
            // Either word means stop: the signal, or that the sender is gone.
            let stop = async move { drop(stopped.changed().await) };
            processor.run(stop).await;
        })
    });
    let service = app.into_router().into_make_service_with_connect_info::<SocketAddr>();
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        // Answers are small and whole: waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
    });
    let served = axum::serve(listener, service).with_graceful_shutdown(signal()).await;
    drop(stop);
    if let Some(processor) = processor {
        let _ = processor.await;
    }
    served.map_err(ServeError::Serve)
}

/// Resolves on Ctrl-C and, on Unix, on SIGTERM.
async fn signal() {
    let interrupt = async { drop(tokio::signal::ctrl_c().await) };
    #[cfg(unix)]
    {
        let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
            return interrupt.await;
        };
        tokio::select! {
            () = interrupt => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    interrupt.await;
}
