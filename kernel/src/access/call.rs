//! One call: its context, its idempotency key, the connection that authenticated it, and what it has used of its authority.

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use uuid::Uuid;

use super::permission::Mode;
use super::standing::WorkspaceState;
use crate::base::ctx::Ctx;
use crate::base::idempotency::IdempotencyKey;

/// One request, job or command, shared by everything that acts for it. An [`Authority`](super::Authority) can be shared by many
/// calls; what belongs to one call only is here.
pub struct Call {
    ctx: Ctx,
    idempotency: OnceLock<IdempotencyKey>,
    /// Scopes (a workspace or a person) in which a committed transaction of the call has claimed the key.
    claims: Mutex<Vec<Uuid>>,
    connection: Mutex<Option<Box<dyn Any + Send>>>,
    modes: AtomicU8,
    features: Mutex<BTreeSet<&'static str>>,
}

impl Call {
    /// Creates a call without idempotency key and connection.
    pub fn new(ctx: Ctx) -> Arc<Self> {
        Arc::new(Self {
            ctx,
            idempotency: OnceLock::new(),
            claims: Mutex::default(),
            connection: Mutex::default(),
            modes: AtomicU8::new(0),
            features: Mutex::default(),
        })
    }

    /// Context of the call: time, request id, client.
    pub fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    /// The client's network; see [`Ctx::network`].
    pub fn network(&self) -> Option<IpAddr> {
        self.ctx.network()
    }

    /// Sets the call's idempotency key. A second key is ignored: the first one may have been claimed.
    pub fn set_idempotency(&self, key: IdempotencyKey) {
        let _ = self.idempotency.set(key);
    }

    /// The call's idempotency key, if the client sent one.
    pub fn idempotency(&self) -> Option<&IdempotencyKey> {
        self.idempotency.get()
    }

    /// Whether a committed transaction of this call has claimed the key in `scope`. The key belongs to the call, so that its
    /// further transactions do not claim it again.
    pub fn has_claimed(&self, scope: Uuid) -> bool {
        locked(&self.claims).contains(&scope)
    }

    /// For adapters: records that a transaction which claimed the key in `scope` was committed.
    pub fn mark_claimed(&self, scope: Uuid) {
        locked(&self.claims).push(scope);
    }

    /// For adapters: records that the key was released; the next transaction claims it again.
    pub fn mark_released(&self) {
        locked(&self.claims).clear();
    }

    /// For adapters: keeps the connection that authenticated the call for the call's transaction, so that one checkout from the
    /// pool serves the whole request.
    pub fn park(&self, connection: impl Any + Send) {
        *locked(&self.connection) = Some(Box::new(connection));
    }

    /// For adapters: takes the connection if it is still there and of the type `C`. A second call returns `None`.
    pub fn take_connection<C: Any>(&self) -> Option<C> {
        let mut slot = locked(&self.connection);
        if slot.as_ref()?.is::<C>() { slot.take()?.downcast().ok().map(|connection| *connection) } else { None }
    }

    /// Returns the connection to its pool, if no transaction has taken it. Call it before work that does not use the database,
    /// such as a long stream; a later transaction checks another one out.
    pub fn release_connection(&self) {
        let connection = locked(&self.connection).take();
        drop(connection);
    }

    pub(super) fn uses(&self, mode: Mode) {
        let bit = mode.bit();
        if self.modes.load(Ordering::Relaxed) & bit == 0 {
            self.modes.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// Records that the call relied on `feature`, so that its commit is refused if the workspace lost the feature meanwhile.
    pub(crate) fn uses_feature(&self, feature: &'static str) {
        locked(&self.features).insert(feature);
    }

    /// Whether everything that the call used is still allowed in a workspace of this state.
    pub(crate) fn survives(&self, state: &WorkspaceState) -> bool {
        // A call that used no permission still needs a workspace that is open to its members.
        let used = match self.modes.load(Ordering::Relaxed) {
            0 => Mode::Read.bit(),
            used => used,
        };
        let mut modes = [Mode::Read, Mode::Write, Mode::Always].into_iter().filter(|mode| used & mode.bit() != 0);
        modes.all(|mode| state.refusal(mode).is_none())
            && locked(&self.features).iter().all(|feature| state.features.contains(*feature))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("ctx", &self.ctx).field("idempotency", &self.idempotency).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::{Clock, SystemClock};

    #[test]
    fn a_connection_is_taken_once_and_only_as_what_it_is() {
        let call = Call::new(Ctx::at(SystemClock.now()));
        call.park(7_u32);
        assert_eq!(call.take_connection::<String>(), None);
        assert_eq!(call.take_connection::<u32>(), Some(7));
        assert_eq!(call.take_connection::<u32>(), None);
        call.park(8_u32);
        call.release_connection();
        assert_eq!(call.take_connection::<u32>(), None);
    }
}
