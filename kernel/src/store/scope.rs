//! What a transaction may see, made from a proof.

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

/// What a transaction may see. There is no constructor from bare ids: every scope comes from a [`Proof`].
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

/// Which rows a [`Scope`] reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// A workspace's rows, a person's own rows, or both: a person and the workspace they create or join.
    Rows {
        /// Whose own rows.
        person: Option<UserId>,
        /// Which workspace's rows.
        workspace: Option<WorkspaceId>,
    },
    /// Every workspace, for the part of the system that is named. Only a [`SystemStore`](super::SystemStore) begins it.
    System(&'static str),
}

impl Reach {
    /// A workspace's rows and nobody's own.
    pub fn workspace(workspace: WorkspaceId) -> Self {
        Self::Rows { person: None, workspace: Some(workspace) }
    }

    /// A person's own rows, in every workspace.
    pub fn person(person: UserId) -> Self {
        Self::Rows { person: Some(person), workspace: None }
    }

    /// A person's own rows and those of one workspace, which they create or join.
    pub fn both(person: UserId, workspace: WorkspaceId) -> Self {
        Self::Rows { person: Some(person), workspace: Some(workspace) }
    }
}

/// Something that proves who calls and what they may reach. Only the kernel makes proofs, each in the flow that it belongs to.
///
/// ```no_run
/// use saas_kernel::access::Grant;
/// use saas_kernel::store::{Proof, Store, StoreError, Tx};
///
/// async fn begin(store: &dyn Store, grant: &Grant) -> Result<Box<dyn Tx>, StoreError> {
///     store.begin(grant.scope()).await
/// }
/// ```
pub trait Proof: seal::Sealed {
    /// The scope that it gives.
    fn scope(&self) -> Scope;
}

pub(crate) mod seal {
    /// Implemented in this crate only, so that a scope comes from the kernel's proofs only.
    pub trait Sealed {}
}

impl Scope {
    /// A scope of `reach` for `actor`'s call.
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

    /// For implementations of [`SystemStore`](super::SystemStore) only; a [`Store`](super::Store) refuses it.
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

    /// The same scope for a caller whom nobody has authenticated: only their address tells them apart.
    pub(crate) fn unauthenticated(self) -> Self {
        Self { authenticated: false, ..self }
    }

    /// The same reach for work in the background of the call: on a connection of its own and without the call's idempotency key.
    #[must_use]
    pub(crate) fn in_background(self) -> Self {
        Self { idempotency: None, checkout: Checkout::default(), ..self }
    }

    /// Which rows it reaches.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// The person whose own rows it reaches.
    pub fn person(&self) -> Option<UserId> {
        match self.reach {
            Reach::Rows { person, .. } => person,
            Reach::System(_) => None,
        }
    }

    /// The workspace whose rows it reaches; none for the system, which reaches every one.
    pub fn workspace(&self) -> Option<WorkspaceId> {
        match self.reach {
            Reach::Rows { workspace, .. } => workspace,
            Reach::System(_) => None,
        }
    }

    /// Who acts in it.
    pub fn actor(&self) -> Actor {
        self.actor
    }

    /// Whether the caller is known. At sign-up they are not: their actor is new with each call, so that only
    /// [`Scope::network`] tells callers apart.
    pub fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// The client's network. See [`Ctx::network`].
    pub fn network(&self) -> Option<IpAddr> {
        self.network
    }

    /// What the commit looks at again; `None` where no membership and no key let the call in.
    pub fn standing(&self) -> Option<&Standing> {
        self.standing.as_ref()
    }

    /// The key under which the transaction's response is kept, if the caller sent one.
    pub fn idempotency(&self) -> Option<&IdempotencyKey> {
        self.idempotency.as_deref()
    }

    /// The connection that authenticated the call, if it still waits.
    pub fn checkout(&self) -> &Checkout {
        &self.checkout
    }
}

impl seal::Sealed for Grant {}

/// The grant's workspace. After a commit that changed its own caller's membership or key the grant is stale: what is begun with
/// it then cannot commit.
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
    /// Lets `tx` through if it is a transaction of this grant's workspace. Row-level security alone would not notice a
    /// proof for one workspace in a transaction of another, or of the system: this compares 16 bytes.
    ///
    /// # Errors
    /// `Scope` if it is not.
    pub fn enter<'t>(&self, tx: &'t mut dyn Tx) -> Result<&'t mut dyn Tx, StoreError> {
        if tx.scope().reach() == Reach::workspace(self.workspace()) { Ok(tx) } else { Err(StoreError::Scope) }
    }
}
