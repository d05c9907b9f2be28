//! Records in the background when a session or an API key was last used, on a connection of its own; the response does not wait
//! for it.

use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use crate::base::error::{Explained, StoreError};

/// Records last-used times in the background, one at a time for each session or key, because several would wait for the same
/// row and take a connection each. Holds the ids that are being recorded.
#[derive(Clone, Default)]
pub(crate) struct LastUsedRecorder(Arc<Mutex<HashSet<Uuid>>>);

/// Removes the id when the recording ends, also if it is dropped before.
struct Running(LastUsedRecorder, Uuid);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

impl LastUsedRecorder {
    /// Runs `record` for the session or key `of`, unless a recording for it is running. A failure is logged with `what` it is
    /// about; a later call records again.
    pub(crate) fn spawn(
        &self,
        what: &'static str,
        of: Uuid,
        record: impl Future<Output = Result<(), StoreError>> + Send + 'static,
    ) {
        if !self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(of) {
            return;
        }
        let running = Running(self.clone(), of);
        tokio::spawn(async move {
            match record.await {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(error = %Explained(&error), what, id = %of, "the last use could not be recorded")
                }
            }
            drop(running);
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_key_is_recorded_once_at_a_time() {
        let (recorder, of) = (LastUsedRecorder::default(), Uuid::from_u128(1));
        let (go, wait) = oneshot::channel::<()>();
        let (ran, done) = oneshot::channel();
        recorder.spawn("key", of, async {
            drop(wait.await);
            ran.send(()).map_err(|()| StoreError::Locked)
        });
        let (second, never) = oneshot::channel::<()>();
        recorder.spawn("key", of, async { second.send(()).map_err(|()| StoreError::Locked) });
        assert!(never.await.is_err(), "the second is dropped");
        drop(go);
        done.await.unwrap();
        while !recorder.0.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    }
}
