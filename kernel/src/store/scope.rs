//! Scopes: the rows that a transaction can access, derived from a proof.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use crate::access::{Call, Grant, Standing, WorkspaceState};
use crate::base::actor::Actor;
use crate::base::error::StoreError;
use crate::base::id::{UserId, WorkspaceId};
use crate::base::idempotency::IdempotencyKey;
use crate::identity::sessions::Session;

use super::{ReadTx, Reads, Tx};

/// The rows that a transaction can access, and for whom. There is no constructor from plain ids: every scope comes from a
/// [`Proof`].
#[derive(Clone, Debug)]
pub struct Scope {
    reach: Reach,
    actor: Actor,
    standings: Arc<[Standing]>,
    call: Option<Arc<Call>>,
    authenticated: bool,
}

/// The rows that a [`Scope`] can access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// The rows of a workspace, a person's own rows, or both: a person and the workspace that they create or join.
    Rows {
        /// The person whose own rows can be accessed.
        person: Option<UserId>,
        /// The workspace whose rows can be accessed.
        workspace: Option<WorkspaceId>,
    },
    /// All workspaces, for the named part of the system. Only a [`SystemStore`](super::SystemStore) begins such a transaction.
    System(&'static str),
}

impl Reach {
    /// The rows of a workspace.
    pub fn workspace(workspace: WorkspaceId) -> Self {
        Self::Rows { person: None, workspace: Some(workspace) }
    }

    /// A person's own rows, in every workspace.
    pub fn person(person: UserId) -> Self {
        Self::Rows { person: Some(person), workspace: None }
    }

    /// A person's own rows and the rows of a workspace that they create or join.
    pub fn both(person: UserId, workspace: WorkspaceId) -> Self {
        Self::Rows { person: Some(person), workspace: Some(workspace) }
    }
}

/// A proof of who calls and which rows they can access. Only the kernel creates proofs, each in the flow that it belongs to.
///
/// ```no_run
/// use saas_kernel::access::Grant;
/// use saas_kernel::{Proof, Store, StoreError, Tx};
///
/// async fn begin(store: &dyn Store, grant: &Grant) -> Result<Box<dyn Tx>, StoreError> {
///     store.begin(grant.scope()).await
/// }
/// ```
pub trait Proof: seal::Sealed {
    /// The scope that the proof gives.
    fn scope(&self) -> Scope;
}

pub(crate) mod seal {
    /// Implemented in this crate only, so that scopes come only from the kernel's proofs.
    pub trait Sealed {}
}

impl Scope {
    /// Creates a scope of `reach` for a call of `actor`, without standings.
    pub(crate) fn new(reach: Reach, actor: Actor, call: Arc<Call>) -> Self {
        Self { reach, actor, standings: Arc::new([]), call: Some(call), authenticated: true }
    }

    /// Creates a scope of `reach` for a signed-in person, whose session the commit re-checks.
    pub(crate) fn of_session(session: &Session, reach: Reach) -> Self {
        let scope = Self::new(reach, Actor::User(session.user()), session.call().clone());
        Self { standings: Arc::new([Standing::Session(session.id())]), ..scope }
    }

    /// For implementations of [`SystemStore`](super::SystemStore) only; a [`Store`](super::Store) refuses this scope.
    #[doc(hidden)]
    pub fn system(part: &'static str) -> Self {
        Self {
            reach: Reach::System(part),
            actor: Actor::System(part),
            standings: Arc::new([]),
            call: None,
            authenticated: true,
        }
    }

    /// The same scope for an unauthenticated caller, who is identified only by the client's network.
    pub(crate) fn unauthenticated(self) -> Self {
        Self { authenticated: false, ..self }
    }

    /// The same rows for work in the background of the call: with another connection, without the call's idempotency key, and
    /// without standings, because it saves nothing for the caller.
    #[must_use]
    pub(crate) fn in_background(self) -> Self {
        Self { standings: Arc::new([]), call: None, ..self }
    }

    /// The rows that the scope can access.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// The person whose own rows the scope can access.
    pub fn person(&self) -> Option<UserId> {
        match self.reach {
            Reach::Rows { person, .. } => person,
            Reach::System(_) => None,
        }
    }

    /// The workspace whose rows the scope can access; `None` for the system, which can access all.
    pub fn workspace(&self) -> Option<WorkspaceId> {
        match self.reach {
            Reach::Rows { workspace, .. } => workspace,
            Reach::System(_) => None,
        }
    }

    /// The actor of the call.
    pub fn actor(&self) -> Actor {
        self.actor
    }

    /// Whether the caller is authenticated. At sign-up they are not: their actor is new with each call, so that only
    /// [`Scope::network`] identifies them.
    pub fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// The client's network; see [`Ctx::network`](crate::Ctx::network).
    pub fn network(&self) -> Option<IpAddr> {
        self.call.as_ref()?.network()
    }

    /// What the call was let in by, all of which the commit re-checks; empty for a sign-in, a sign-up and the system.
    pub fn standings(&self) -> &[Standing] {
        &self.standings
    }

    /// For adapters: whether the commit may go on although the version of the workspace changed, because everything that the
    /// call used is still allowed in its new state.
    pub fn survives(&self, state: &WorkspaceState) -> bool {
        self.call.as_ref().is_some_and(|call| call.survives(state))
    }

    /// The call; `None` for the system and for work in the background.
    pub fn call(&self) -> Option<&Arc<Call>> {
        self.call.as_ref()
    }

    /// Idempotency key under which the response is stored, if the caller sent one.
    pub fn idempotency(&self) -> Option<&IdempotencyKey> {
        self.call.as_ref()?.idempotency()
    }
}

impl seal::Sealed for Grant {}

/// The grant's workspace. Once a commit changed the caller's own membership or key, the grant is stale: a transaction begun
/// with it cannot commit.
impl Proof for Grant {
    fn scope(&self) -> Scope {
        let reach = Reach::workspace(self.workspace());
        let scope = Scope::new(reach, self.actor(), self.call().clone());
        Scope { standings: self.authority().standings().clone(), ..scope }
    }
}

impl<T: Deref<Target: Proof>> seal::Sealed for T {}

/// What holds a proof gives the proof's scope: an `Arc<Grant>`, a [`Can`](crate::Can), an HTTP adapter's extractor.
impl<T: Deref<Target: Proof>> Proof for T {
    fn scope(&self) -> Scope {
        (**self).scope()
    }
}

impl seal::Sealed for Session {}

/// The signed-in person's own rows.
impl Proof for Session {
    fn scope(&self) -> Scope {
        Scope::of_session(self, Reach::person(self.user()))
    }
}

impl Grant {
    /// Checks that `tx` is a transaction of this grant's workspace, also one in which a person creates or joins it. Row-level
    /// security alone would not notice that a proof of one workspace is used in a transaction of another, or of the system: this
    /// compares 16 bytes.
    ///
    /// # Errors
    /// `Scope` if it is not.
    pub fn enter<'t>(&self, tx: &'t mut dyn Tx) -> Result<&'t mut dyn Tx, StoreError> {
        if tx.scope().workspace() == Some(self.workspace()) { Ok(tx) } else { Err(StoreError::Scope) }
    }

    /// As [`Grant::enter`], for a flow that only reads: gives the reading parts of the repositories.
    ///
    /// # Errors
    /// `Scope` if `tx` is not a transaction of this grant's workspace.
    pub fn enter_read<'t>(&self, tx: &'t mut dyn ReadTx) -> Result<&'t mut dyn Reads, StoreError> {
        if tx.scope().workspace() == Some(self.workspace()) { Ok(tx.reads()) } else { Err(StoreError::Scope) }
    }
}
