//! Tells handlers, streams and the readiness check that the app is about to stop.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::sync::watch;

use crate::error::ApiError;

/// Tells that the app stops. A handler takes it as an argument; whatever lasts longer than a request, such as a stream of events
/// or a connection that was upgraded to WebSocket, ends when it is [`requested`](Shutdown::requested). Cheap to clone.
///
/// ```
/// use saas_kernel_axum::Shutdown;
///
/// async fn next_event(shutdown: &Shutdown, events: &mut tokio::sync::mpsc::Receiver<String>) -> Option<String> {
///     tokio::select! {
///         event = events.recv() => event,
///         () = shutdown.requested() => None,
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<Phase>);

/// How far the app has come in stopping.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Phase {
    /// Everything is served.
    Serving,
    /// Everything is served, and `/readyz` asks that no new connections are sent here.
    Leaving,
    /// No connection is accepted any more; those that exist finish what they do.
    Draining,
    /// What has not finished is ended.
    Ended,
}

impl Shutdown {
    pub(crate) fn new(phases: &watch::Sender<Phase>) -> Self {
        Self(phases.subscribe())
    }

    /// Resolves when no more connections are accepted. Whoever reconnects then reaches another copy of the app.
    pub async fn requested(&self) {
        self.reached(Phase::Draining).await;
    }

    /// Whether [`requested`](Shutdown::requested) has resolved.
    pub fn is_requested(&self) -> bool {
        self.has_reached(Phase::Draining)
    }

    /// Resolves when the app is in this phase or a later one.
    pub(crate) async fn reached(&self, phase: Phase) {
        // It fails if the application was dropped: then it has stopped.
        let _ = self.0.clone().wait_for(|now| *now >= phase).await;
    }

    pub(crate) fn has_reached(&self, phase: Phase) -> bool {
        *self.0.borrow() >= phase
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Shutdown {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let missing = || ApiError::broken("the route is not in the router of `App::into_router`");
        parts.extensions.get::<Self>().cloned().ok_or_else(missing)
    }
}
