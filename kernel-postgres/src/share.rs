//! Shares of the connection pool: how many connections one workspace, one caller or one client address may hold at a time.
//! Calls that wait for each other on the same row hold a connection each; without shares thirty of them would leave none to
//! the others.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use saas_kernel::StoreError;
use saas_kernel::actor::Actor;
use saas_kernel::id::{ApiKeyId, UserId, WorkspaceId};
use saas_kernel::store::Scope;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

/// The owner of a share of the pool.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum ShareOf {
    Workspace(WorkspaceId),
    Person(UserId),
    ApiKey(ApiKeyId),
    Other(&'static str, Uuid),
    /// Client address of callers that are not known yet.
    Address(IpAddr),
}

impl ShareOf {
    /// The share of a known caller; `None` for the system, which has no share.
    pub(crate) fn actor(actor: Actor) -> Option<Self> {
        match actor {
            Actor::User(user) | Actor::Staff(user) => Some(Self::Person(user)),
            Actor::ApiKey(key) => Some(Self::ApiKey(key)),
            Actor::System(_) => None,
            // A kind of actor that the kernel adds has a share from the start.
            other => Some(Self::Other(other.kind(), other.uuid())),
        }
    }

    /// The share of the scope's caller.
    pub(crate) fn caller(scope: &Scope) -> Option<Self> {
        if scope.is_authenticated() { Self::actor(scope.actor()) } else { scope.network().map(Self::Address) }
    }
}

/// The shares that currently hold connections.
pub(crate) struct Shares {
    size: usize,
    patience: Duration,
    held: Mutex<HashMap<ShareOf, Arc<Semaphore>>>,
}

impl Shares {
    /// Creates shares of `size` connections each. A caller that waited for `patience` is refused.
    pub(crate) fn new(size: usize, patience: Duration) -> Self {
        Self { size, patience, held: Mutex::default() }
    }

    /// Takes a place in the share if one is free.
    pub(crate) fn try_take(self: &Arc<Self>, of: ShareOf) -> Option<Share> {
        let permit = self.places(of).try_acquire_owned().ok()?;
        Some(Share { permit: Some(permit), of, shares: self.clone() })
    }

    /// Waits for a place in the share; first come, first served. Do not hold a connection while waiting.
    ///
    /// # Errors
    /// `PoolShareExhausted` if none became free in time.
    pub(crate) async fn take(self: &Arc<Self>, of: ShareOf) -> Result<Share, StoreError> {
        // Dropping this value removes the share also if the wait times out or is cancelled.
        let mut share = Share { permit: None, of, shares: self.clone() };
        let permit = tokio::time::timeout(self.patience, self.places(of).acquire_owned()).await;
        share.permit = Some(permit.ok().and_then(Result::ok).ok_or(StoreError::PoolShareExhausted)?);
        Ok(share)
    }

    fn places(&self, of: ShareOf) -> Arc<Semaphore> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.entry(of).or_insert_with(|| Arc::new(Semaphore::new(self.size))).clone()
    }

    /// Removes the share unless somebody holds or waits for a place in it.
    fn forget(&self, of: ShareOf) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.get(&of).is_some_and(|places| Arc::strong_count(places) == 1) {
            held.remove(&of);
        }
    }
}

impl fmt::Debug for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shares").field("size", &self.size).finish_non_exhaustive()
    }
}

/// A place in a share, released when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    permit: Option<OwnedSemaphorePermit>,
    of: ShareOf,
    shares: Arc<Shares>,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.permit = None;
        self.shares.forget(self.of);
    }
}

/// The places that a transaction holds: in its caller's share and in its workspace's.
#[derive(Debug, Default)]
pub(crate) struct HeldShares {
    pub(crate) caller: Option<Share>,
    pub(crate) workspace: Option<Share>,
}

impl HeldShares {
    pub(crate) fn is_empty(&self) -> bool {
        self.caller.is_none() && self.workspace.is_none()
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
        let (busy, other) =
            (ShareOf::Workspace(WorkspaceId::generate(at)), ShareOf::Workspace(WorkspaceId::generate(at)));
        let one = shares.try_take(busy).unwrap();
        let two = shares.take(busy).await.unwrap();
        assert!(shares.try_take(busy).is_none());
        assert!(shares.try_take(other).is_some(), "another workspace has a share of its own");
        assert!(matches!(shares.take(busy).await, Err(StoreError::PoolShareExhausted)));
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
        assert!(shares_again.held.lock().unwrap().is_empty(), "nothing is kept of workspaces at rest");
    }
}
