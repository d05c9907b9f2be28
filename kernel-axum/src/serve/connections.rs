//! The connections that are open.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tower::ServiceExt;

use crate::shutdown::{Phase, Shutdown};

/// The longest a client may take to send a request's headers, and may keep a connection open without sending any. Without
/// this limit slow clients could hold all sockets.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(15);

/// Counts the open connections, those that were upgraded included.
pub(super) struct Connections {
    open: mpsc::Sender<Infallible>,
    closed: mpsc::Receiver<Infallible>,
}

impl Connections {
    pub(super) fn new() -> Self {
        let (open, closed) = mpsc::channel(1);
        Self { open, closed }
    }

    /// Serves a connection in the background. When the shutdown is requested, it finishes the request it is at.
    pub(super) fn serve(&self, stream: TcpStream, peer: SocketAddr, router: Router, shutdown: Shutdown) {
        // Responses are small and written at once: waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().oneshot(request.map(Body::new))
        });
        let io = Counted { io: TokioIo::new(stream), _open: self.open.clone() };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_READ_TIMEOUT)
            .serve_connection(io, service)
            .with_upgrades();
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = &mut connection => ended,
                () = shutdown.requested() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        ended = &mut connection => ended,
                        () = shutdown.reached(Phase::Ended) => return,
                    }
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }

    /// Resolves when the last connection is closed.
    pub(super) async fn closed(self) {
        let Self { open, mut closed } = self;
        drop(open);
        // Nothing is ever sent: this waits until no sender is left.
        let _ = closed.recv().await;
    }
}

/// The two directions of a connection, counted as open until it is dropped. An upgraded connection is still this.
struct Counted {
    io: TokioIo<TcpStream>,
    _open: mpsc::Sender<Infallible>,
}

impl Read for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl Write for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, buffers)
    }
}
