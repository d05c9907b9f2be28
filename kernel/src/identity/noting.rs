//! Noting that a session or a key is in use, beside the request: on a connection of its own, and the answer does not wait.

use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use crate::error::Explained;
use crate::store::StoreError;

/// What is being noted at this moment. Notes of one thing that wait for its row would take a connection each.
#[derive(Clone, Default)]
pub(crate) struct Noting(Arc<Mutex<HashSet<Uuid>>>);

/// Ends the note also when it is dropped on its way.
struct Note(Noting, Uuid);

impl Drop for Note {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

impl Noting {
    /// Runs `note` about the thing `of`, unless one about it still runs. What fails is logged under `what` and tried again by a
    /// later call.
    pub(crate) fn spawn(
        &self,
        what: &'static str,
        of: Uuid,
        note: impl Future<Output = Result<(), StoreError>> + Send + 'static,
    ) {
        if !self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(of) {
            return;
        }
        let noted = Note(self.clone(), of);
        tokio::spawn(async move {
            match note.await {
                // A key that was revoked meanwhile needs no note.
                Ok(()) | Err(StoreError::AccessChanged) => {}
                Err(error) => tracing::warn!(error = %Explained(&error), what, id = %of, "its use could not be noted"),
            }
            drop(noted);
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn one_note_of_a_thing_at_a_time() {
        let (noting, of) = (Noting::default(), Uuid::from_u128(1));
        let (go, wait) = oneshot::channel::<()>();
        let (ran, done) = oneshot::channel();
        noting.spawn("key", of, async {
            drop(wait.await);
            ran.send(()).map_err(|()| StoreError::Locked)
        });
        let (second, never) = oneshot::channel::<()>();
        noting.spawn("key", of, async { second.send(()).map_err(|()| StoreError::Locked) });
        assert!(never.await.is_err(), "the second is dropped");
        drop(go);
        done.await.unwrap();
        while !noting.0.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    }
}
