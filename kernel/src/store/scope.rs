//! Scopes: the rows that a transaction can access, derived from a proof.

use std::net::IpAddr;
use std::sync::Arc;

use crate::access::{Can, Grant, Standing};
use crate::base::actor::Actor;
use crate::base::checkout::Checkout;
use crate::base::ctx::Ctx;
use crate::base::error::StoreError;
use crate::base::id::{UserId, WorkspaceId};
use crate::base::idempotency::IdempotencyKey;
use crate::identity::sessions::Session;

use super::Tx;

/// The rows that a transaction can access, and for whom. There is no constructor from plain ids: every scope comes from a
/// [`Proof`].
#[derive(Clone, Debug)]
pub struct Scope {
    reach: Reach,
    actor: Actor,
    standing: Option<Standing>,
    idempotency: Option<Arc<IdempotencyKey>>,
    checkout: Checkout,
    network: Option<IpAddr>,
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
    /// Creates a scope of `reach` for a call of `actor`.
    pub(crate) fn new(reach: Reach, actor: Actor, ctx: &Ctx, checkout: Checkout) -> Self {
        Self {
            reach,
            actor,
            standing: None,
            idempotency: ctx.idempotency.clone(),
            checkout,
            network: ctx.network(),
            authenticated: true,
        }
    }

    /// For implementations of [`SystemStore`](super::SystemStore) only; a [`Store`](super::Store) refuses this scope.
    #[doc(hidden)]
    pub fn system(part: &'static str) -> Self {
        Self {
            reach: Reach::System(part),
            actor: Actor::System(part),
            standing: None,
            idempotency: None,
            checkout: Checkout::default(),
            network: None,
            authenticated: true,
        }
    }

    /// The same scope for an unauthenticated caller, who is identified only by the client's network.
    pub(crate) fn unauthenticated(self) -> Self {
        Self { authenticated: false, ..self }
    }

    /// The same rows for work in the background of the call: with another connection and without the call's idempotency key.
    #[must_use]
    pub(crate) fn in_background(self) -> Self {
        Self { idempotency: None, checkout: Checkout::default(), ..self }
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

    /// The client's network; see [`Ctx::network`].
    pub fn network(&self) -> Option<IpAddr> {
        self.network
    }

    /// The membership or API key that the commit re-checks; `None` if the call is not based on one.
    pub fn standing(&self) -> Option<&Standing> {
        self.standing.as_ref()
    }

    /// Idempotency key under which the response is stored, if the caller sent one.
    pub fn idempotency(&self) -> Option<&IdempotencyKey> {
        self.idempotency.as_deref()
    }

    /// The connection that authenticated the call, if it is still kept.
    pub fn checkout(&self) -> &Checkout {
        &self.checkout
    }
}

impl seal::Sealed for Grant {}

/// The grant's workspace. Once a commit changed the caller's own membership or key, the grant is stale: a transaction begun
/// with it cannot commit.
impl Proof for Grant {
    fn scope(&self) -> Scope {
        let reach = Reach::workspace(self.workspace());
        let scope = Scope::new(reach, self.actor(), self.ctx(), self.checkout().clone());
        Scope { standing: Some(self.standing().clone()), ..scope }
    }
}

impl<P> seal::Sealed for Can<P> {}

impl<P> Proof for Can<P> {
    fn scope(&self) -> Scope {
        Grant::scope(self)
    }
}

impl seal::Sealed for Session {}

/// The signed-in person's own rows.
impl Proof for Session {
    fn scope(&self) -> Scope {
        Scope::new(Reach::person(self.user()), Actor::User(self.user()), self.ctx(), self.checkout().clone())
    }
}

impl Grant {
    /// Checks that `tx` is a transaction of this grant's workspace. Row-level security alone would not notice that a proof of
    /// one workspace is used in a transaction of another, or of the system: this compares 16 bytes.
    ///
    /// # Errors
    /// `Scope` if it is not.
    pub fn enter<'t>(&self, tx: &'t mut dyn Tx) -> Result<&'t mut dyn Tx, StoreError> {
        if tx.scope().reach() == Reach::workspace(self.workspace()) { Ok(tx) } else { Err(StoreError::Scope) }
    }
}
