//! The persistence seam: a [`Store`] begins a [`Tx`] for a [`Scope`], and a scope is made from proofs only.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use uuid::Uuid;

use crate::access::Grant;
use crate::actor::Actor;
use crate::audit::AuditLog;
use crate::billing::inbox::Inbox;
use crate::billing::limits::Limits;
use crate::billing::subscription::Subscriptions;
use crate::ctx::Ctx;
use crate::error::BoxError;
use crate::guard::idempotency::{IdempotencyKey, StoredAnswer};
use crate::id::{ApiKeyId, UserId, WorkspaceId};
use crate::identity::api_keys::ApiKeys;
use crate::identity::login::VerifiedLogin;
use crate::identity::lookups::Lookups;
use crate::identity::sessions::{Session, Sessions};
use crate::identity::sign_up::SignUp;
use crate::identity::users::Users;
use crate::records::Records;
use crate::tenancy::invites::{Invited, Invites};
use crate::tenancy::members::Members;
use crate::tenancy::workspaces::{Founding, Workspaces};

/// Port: the system of record, as requests see it. It cannot begin a transaction that sees every workspace.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Begins a transaction that sees what `scope` may see and nothing else.
    async fn begin(&self, scope: Scope) -> Result<Box<dyn Tx>, StoreError>;
    /// One connection for the look-ups that come before a scope is known: the one that waits in `checkout`, or a new one.
    async fn lookups(&self, checkout: &Checkout) -> Result<Box<dyn Lookups>, StoreError>;
    /// Whether the system of record answers and has the schema that this version expects.
    async fn ready(&self) -> Result<(), StoreError>;
}

/// Port: the system of record, as the product's own machinery sees it (workers, the webhook receiver, staff routes). A
/// different type over a different login, so that a request can never reach it by a wrong argument.
#[async_trait]
pub trait SystemStore: Send + Sync + 'static {
    /// Begins a transaction over all workspaces, for the part of the system called `part`.
    async fn begin(&self, part: &'static str) -> Result<Box<dyn Tx>, StoreError>;
}

/// One transaction over every repository. Dropping it rolls back; only [`Tx::commit`] keeps anything.
///
/// Sealed by convention (a hidden marker): a new repository is not a breaking change for products. An adapter of one's own
/// implements the marker too and follows the changelog.
#[async_trait]
pub trait Tx: Any + Send + sealed::Sealed {
    /// What this transaction may see.
    fn scope(&self) -> &Scope;
    /// Accounts.
    fn users(&mut self) -> &mut dyn Users;
    /// Signed-in browsers.
    fn sessions(&mut self) -> &mut dyn Sessions;
    /// Programs' keys.
    fn api_keys(&mut self) -> &mut dyn ApiKeys;
    /// Tenants.
    fn workspaces(&mut self) -> &mut dyn Workspaces;
    /// Who is invited to a workspace.
    fn invites(&mut self) -> &mut dyn Invites;
    /// Who belongs to a workspace.
    fn members(&mut self) -> &mut dyn Members;
    /// What a workspace has used of its plan.
    fn limits(&mut self) -> &mut dyn Limits;
    /// What a workspace pays for.
    fn subscriptions(&mut self) -> &mut dyn Subscriptions;
    /// Events that billing providers sent. System scope only.
    fn inbox(&mut self) -> &mut dyn Inbox;
    /// The audit log, to be read.
    fn audit_log(&mut self) -> &mut dyn AuditLog;
    /// Audit entries and events to be written: buffered, flushed by the commit.
    fn records(&mut self) -> &mut dyn Records;
    /// Flushes the records and commits, if whoever acts still stands as they did when the call began.
    ///
    /// # Errors
    /// `AccessChanged` when they do not, and any error when a statement failed before and the caller went on: nothing was
    /// kept then.
    ///
    /// After an error it is unknown whether the transaction committed (the answer may have been lost): repeat with an
    /// idempotency key, or read.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;
}

#[doc(hidden)]
pub mod sealed {
    pub trait Sealed {}
}

/// What a transaction may see. There is no constructor from bare ids: every scope comes from a proof.
#[derive(Clone, Debug)]
pub struct Scope {
    reach: Reach,
    actor: Actor,
    standing: Option<Standing>,
    idempotency: Option<Arc<IdempotencyKey>>,
    checkout: Checkout,
}

/// What let a call into its workspace. The call may take its time; a commit looks whether this still holds, and holds it
/// until it is through, so that nothing is kept for somebody after they were removed.
#[derive(Clone, Debug)]
pub enum Standing {
    /// A person's membership in the role of this name, as stored.
    Member(UserId, Arc<str>),
    /// A key that is not revoked.
    Key(ApiKeyId),
}

impl Standing {
    /// The id of the person or the key.
    pub fn uuid(&self) -> Uuid {
        match self {
            Self::Member(user, _) => user.uuid(),
            Self::Key(key) => key.uuid(),
        }
    }
}

/// How far a [`Scope`] reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// One workspace.
    Tenant(WorkspaceId),
    /// One person's own rows, in every workspace.
    User(UserId),
    /// A person and the workspace they are founding, in one transaction.
    Founding(UserId, WorkspaceId),
    /// A person and the workspace they are invited to, in one transaction.
    Joining(UserId, WorkspaceId),
    /// Everything; only a [`SystemStore`] begins it.
    System(&'static str),
}

impl Scope {
    /// The grant's workspace. After a commit that changed its own caller's membership or key the grant is stale: what is
    /// begun with it then cannot commit.
    pub fn of(grant: &Grant) -> Self {
        let reach = Reach::Tenant(grant.workspace());
        Self {
            standing: Some(grant.standing.clone()),
            ..Self::new(reach, grant.actor(), grant.ctx(), grant.checkout().clone())
        }
    }

    /// The signed-in person's own rows.
    pub fn of_user(session: &Session) -> Self {
        Self::new(Reach::User(session.user()), Actor::User(session.user()), session.ctx(), session.checkout().clone())
    }

    /// A person whose password was just verified, before they have a session.
    pub fn login(login: &VerifiedLogin) -> Self {
        Self::new(Reach::User(login.user()), Actor::User(login.user()), login.ctx(), Checkout::default())
    }

    /// A new person and their first workspace.
    pub fn sign_up(sign_up: &SignUp) -> Self {
        let reach = Reach::Founding(sign_up.user(), sign_up.workspace());
        Self::new(reach, Actor::User(sign_up.user()), sign_up.ctx(), Checkout::default())
    }

    /// A signed-in person and the workspace they are invited to.
    pub fn invited(invited: &Invited) -> Self {
        let session = invited.session();
        let reach = Reach::Joining(session.user(), invited.workspace());
        Self::new(reach, Actor::User(session.user()), session.ctx(), invited.checkout().clone())
    }

    /// A signed-in person and the workspace they found.
    pub fn founding(founding: &Founding) -> Self {
        let session = founding.session();
        let reach = Reach::Founding(session.user(), founding.workspace());
        Self::new(reach, Actor::User(session.user()), session.ctx(), session.checkout().clone())
    }

    /// For implementations of [`SystemStore`] only; a [`Store`] refuses it.
    #[doc(hidden)]
    pub fn system(part: &'static str) -> Self {
        Self {
            reach: Reach::System(part),
            actor: Actor::System(part),
            standing: None,
            idempotency: None,
            checkout: Checkout::default(),
        }
    }

    fn new(reach: Reach, actor: Actor, ctx: &Ctx, checkout: Checkout) -> Self {
        Self { reach, actor, standing: None, idempotency: ctx.idempotency.clone(), checkout }
    }

    /// The same, for work beside the request: with a connection and an answer of its own.
    #[must_use]
    pub(crate) fn apart(self) -> Self {
        Self { idempotency: None, checkout: Checkout::default(), ..self }
    }

    /// How far it reaches.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// Who acts in it.
    pub fn actor(&self) -> Actor {
        self.actor
    }

    /// What the commit looks at again; `None` where no membership and no key let the call in.
    pub fn standing(&self) -> Option<&Standing> {
        self.standing.as_ref()
    }

    /// The key under which the transaction's answer is kept, if the caller sent one.
    pub fn idempotency(&self) -> Option<&IdempotencyKey> {
        self.idempotency.as_deref()
    }

    /// The connection that authenticated the call, if it still waits.
    pub fn checkout(&self) -> &Checkout {
        &self.checkout
    }
}

/// A connection that authenticated a call and waits for its transaction, so that one checkout serves the whole request.
/// It goes back to its pool when the last clone is dropped.
#[derive(Clone, Default)]
pub struct Checkout(Option<Arc<Slot>>);

type Slot = Mutex<Option<Box<dyn Any + Send>>>;

impl Checkout {
    /// Parks an adapter's connection.
    pub fn holding(connection: impl Any + Send) -> Self {
        Self(Some(Arc::new(Mutex::new(Some(Box::new(connection))))))
    }

    /// Takes the connection if it is there and of the adapter's type; a second taker gets `None`.
    pub fn take<C: Any>(&self) -> Option<C> {
        let mut slot = self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref()?.is::<C>() { slot.take()?.downcast().ok().map(|connection| *connection) } else { None }
    }
}

impl fmt::Debug for Checkout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checkout")
    }
}

/// What the system of record has to say when it does not do it. An enum of meanings; the adapter's own error is inside.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A uniqueness rule refused the write; the constraint's name says which.
    #[error("conflict on {0}")]
    Conflict(String),
    /// A reference refused the write: a row of `table` refers by `field` to one that does not exist in its workspace, or,
    /// `in_use`, what was to be deleted or changed is still referred to by such rows.
    #[error("the reference `{field}` of `{table}` refused the write")]
    Reference {
        /// The table whose rows refer.
        table: String,
        /// The column, or the name that the product gave the constraint.
        field: String,
        /// Whether the row referred to was the one being written.
        in_use: bool,
    },
    /// A limit refused a row that came without a reservation; the key says which.
    #[error("limit `{0}` is reached")]
    Limit(String),
    /// Two transactions collided: run the whole transaction again.
    #[error("the transaction collided with another one")]
    Serialization,
    /// A row is locked by another transaction for too long.
    #[error("a row is locked by another transaction")]
    Locked,
    /// A statement took longer than its limit.
    #[error("the statement took too long")]
    Timeout,
    /// The workspace's own calls use all of its share of the connections, and went on for too long.
    #[error("too many calls of the workspace run at once")]
    Crowded,
    /// No connection, or none free in time: nothing is known to be wrong with the request.
    #[error("the system of record is not available")]
    Unavailable(#[source] BoxError),
    /// A proof of one scope was used in a transaction of another. A bug in the caller; nothing was done.
    #[error("a proof was used in a transaction of another scope")]
    Scope,
    /// Whoever acts was removed, has another role, or their key was revoked since the call began: nothing was kept.
    #[error("the caller's membership, role or key changed while the call ran")]
    AccessChanged,
    /// The request's idempotency key has been used: here is what to answer instead.
    #[error("the idempotency key has been used")]
    Replay(Replay),
    /// Anything else that broke.
    #[error("the system of record failed")]
    Backend(#[source] BoxError),
}

/// What a used idempotency key means for this request.
#[derive(Clone, Debug)]
pub enum Replay {
    /// The same request was answered before: answer the same.
    Answer(Box<StoredAnswer>),
    /// The same request still runs.
    InFlight,
    /// The same request succeeded, but its handler kept no answer.
    Done,
    /// The key belongs to a different request.
    OtherRequest,
}

impl StoreError {
    /// A row, a driver or a database that is not as it must be.
    pub fn backend(source: impl Into<BoxError>) -> Self {
        Self::Backend(source.into())
    }

    /// Whether running the whole transaction again may help.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Serialization)
    }
}
