//! The persistence seam: a [`Store`] begins a [`Tx`] for a [`Scope`], and a scope is made from proofs only.

mod scope;

use std::any::Any;

use async_trait::async_trait;

use crate::base::checkout::Checkout;
use crate::base::ctx::Ctx;
use crate::base::error::StoreError;
use crate::identity::lookups::Lookups;
use crate::records::Records;

pub(crate) use scope::seal;
// What a pillar's accessors are methods of: in scope by itself for a `dyn Tx`, to be imported for an adapter's own type.
pub use crate::audit::AuditRepositories;
pub use crate::billing::BillingRepositories;
pub use crate::identity::IdentityRepositories;
pub use crate::tenancy::TenancyRepositories;
pub use scope::{Proof, Reach, Scope};

/// Port: the system of record, as requests see it. It cannot begin a transaction that sees every workspace.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Begins a transaction that sees what `scope` may see and nothing else.
    async fn begin(&self, scope: Scope) -> Result<Box<dyn Tx>, StoreError>;
    /// One connection for the look-ups that come before a scope is known: the one that waits in `checkout`, or a new one that
    /// counts in the share of the client's address.
    async fn lookups(&self, ctx: &Ctx, checkout: &Checkout) -> Result<Box<dyn Lookups>, StoreError>;
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
pub trait Tx:
    Any + Send + sealed::Sealed + IdentityRepositories + TenancyRepositories + BillingRepositories + AuditRepositories
{
    /// What this transaction may see.
    fn scope(&self) -> &Scope;
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

/// The names of all repositories, as [`Tx`] has them.
pub fn repositories() -> Vec<&'static str> {
    [
        crate::identity::REPOSITORIES,
        crate::tenancy::REPOSITORIES,
        crate::billing::REPOSITORIES,
        crate::audit::REPOSITORIES,
    ]
    .concat()
}
