//! Each workspace's share of the pool. Callers of one workspace that wait for each other in Postgres, on the same row, hold
//! a connection each; without a share thirty of them would leave none to anybody else.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use saas_kernel::StoreError;
use saas_kernel::id::WorkspaceId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The shares of the workspaces that hold connections at this moment.
pub(crate) struct Shares {
    connections: usize,
    patience: Duration,
    of: Mutex<HashMap<WorkspaceId, Arc<Semaphore>>>,
}

impl Shares {
    /// So many connections to each; whoever has waited for `patience` is told to come again.
    pub(crate) fn new(connections: usize, patience: Duration) -> Self {
        Self { connections, patience, of: Mutex::default() }
    }

    /// A place in the workspace's share, if one is free.
    pub(crate) fn try_take(self: &Arc<Self>, workspace: WorkspaceId) -> Option<Share> {
        let permit = self.places(workspace).try_acquire_owned().ok()?;
        Some(Share { permit: Some(permit), workspace, shares: self.clone() })
    }

    /// A place in the workspace's share; first come, first served. Hold no connection meanwhile.
    pub(crate) async fn take(self: &Arc<Self>, workspace: WorkspaceId) -> Result<Share, StoreError> {
        // Whoever gives up waiting, or is dropped, leaves nothing behind either.
        let mut share = Share { permit: None, workspace, shares: self.clone() };
        let permit = tokio::time::timeout(self.patience, self.places(workspace).acquire_owned()).await;
        share.permit = Some(permit.ok().and_then(Result::ok).ok_or(StoreError::Crowded)?);
        Ok(share)
    }

    fn places(&self, workspace: WorkspaceId) -> Arc<Semaphore> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        of.entry(workspace).or_insert_with(|| Arc::new(Semaphore::new(self.connections))).clone()
    }

    /// Unless somebody holds or wants a place of it.
    fn forget(&self, workspace: WorkspaceId) {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if of.get(&workspace).is_some_and(|places| Arc::strong_count(places) == 1) {
            of.remove(&workspace);
        }
    }
}

impl fmt::Debug for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shares").field("connections", &self.connections).finish_non_exhaustive()
    }
}

/// A place in a workspace's share, held until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    permit: Option<OwnedSemaphorePermit>,
    workspace: WorkspaceId,
    shares: Arc<Shares>,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.permit = None;
        self.shares.forget(self.workspace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn futures_poll<F: Future>(future: &mut std::pin::Pin<Box<F>>) -> std::task::Poll<F::Output> {
        future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }

    #[tokio::test]
    async fn a_share_is_held_waited_for_and_forgotten() {
        let shares = Arc::new(Shares::new(2, Duration::from_millis(20)));
        let at = std::time::SystemTime::UNIX_EPOCH.into();
        let (busy, other) = (WorkspaceId::generate(at), WorkspaceId::generate(at));
        let one = shares.try_take(busy).unwrap();
        let two = shares.take(busy).await.unwrap();
        assert!(shares.try_take(busy).is_none());
        assert!(shares.try_take(other).is_some(), "another workspace has a share of its own");
        assert!(matches!(shares.take(busy).await, Err(StoreError::Crowded)));
        let (waits, shares_again) = (shares.clone(), shares.clone());
        let third = tokio::spawn(async move { waits.take(busy).await.is_ok() });
        drop(one);
        assert!(third.await.unwrap());
        // A waiter who leaves at the moment of its turn.
        let mut leaves = Box::pin(shares.take(busy));
        let both = (shares.try_take(busy), shares.try_take(busy));
        assert!(futures_poll(&mut leaves).is_pending());
        drop(both);
        drop(leaves);
        drop(two);
        assert!(shares_again.of.lock().unwrap().is_empty(), "nothing is kept of workspaces at rest");
    }
}
