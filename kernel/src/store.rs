//! Port of the database: a [`Store`] begins a [`Tx`] or a [`ReadTx`] for a [`Scope`], and a scope can only
//! be made from a proof.

mod answer;
mod scope;

use std::any::Any;

use async_trait::async_trait;

use crate::access::Call;
use crate::base::error::StoreError;
use crate::identity::lookups::Lookups;
use crate::records::Records;

pub use answer::commit_with;
pub(crate) use scope::seal;
// The accessors of the pillars' repositories: available on a `dyn Tx` without an import, on an adapter's own type with one.
pub use crate::audit::{AuditReads, AuditRepositories};
pub use crate::billing::{BillingReads, BillingRepositories};
pub use crate::identity::{IdentityReads, IdentityRepositories};
pub use crate::tenancy::{TenancyReads, TenancyRepositories};
pub use scope::{Proof, Reach, Scope};

/// The database, as used by requests. It cannot begin a transaction that sees every workspace.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Begins a transaction that sees only the rows in `scope`.
    async fn begin(&self, scope: Scope) -> Result<Box<dyn Tx>, StoreError>;
    /// Begins a transaction that reads the rows in `scope` and cannot write. It never claims the call's idempotency key: a call
    /// that has one and only reads is not stored.
    async fn read(&self, scope: Scope) -> Result<Box<dyn ReadTx>, StoreError>;
    /// One connection for the look-ups that precede a scope: the one kept in `call`, or a new one, which counts towards the
    /// share of the client's address.
    async fn lookups(&self, call: &Call) -> Result<Box<dyn Lookups>, StoreError>;
    /// Checks that the database answers and has the schema that this version needs.
    async fn ready(&self) -> Result<(), StoreError>;
}

/// The database, as used by workers, the webhook receiver and staff routes. It is a type of its own with a database role
/// of its own, so that a request cannot reach it by passing a wrong argument.
#[async_trait]
pub trait SystemStore: Send + Sync + 'static {
    /// Begins a transaction over all workspaces, for the part of the system named `part`.
    async fn begin(&self, part: &'static str) -> Result<Box<dyn Tx>, StoreError>;
}

/// A transaction that can read. There is nothing to commit; dropping it ends it. It gives neither the connection nor a
/// [`Tx`], so that an adapter may serve it from a replica.
///
/// A [`Tx`] is one too, so that a flow that only reads takes `&mut dyn ReadTx` and is called with both.
pub trait ReadTx: Send + sealed::Sealed {
    /// Scope of the transaction.
    fn scope(&self) -> &Scope;
    /// The reading parts of all repositories. Where there is a grant, [`Grant::enter_read`](crate::Grant::enter_read) checks
    /// the scope too.
    fn reads(&mut self) -> &mut dyn Reads;
}

/// The reading parts of all repositories.
pub trait Reads: IdentityReads + TenancyReads + BillingReads + AuditReads {}

impl<T: IdentityReads + TenancyReads + BillingReads + AuditReads> Reads for T {}

/// A transaction over all repositories. Dropping it rolls back; only [`Tx::commit`] saves anything.
///
/// Sealed by convention (a hidden marker), so that a new repository is not a breaking change for products. An adapter of your
/// own implements the marker and follows the changelog.
#[async_trait]
pub trait Tx:
    Any + ReadTx + IdentityRepositories + TenancyRepositories + BillingRepositories + AuditRepositories
{
    /// Buffer of the audit entries and events that the commit writes.
    fn records(&mut self) -> &mut dyn Records;
    /// Writes the records and commits, after re-checking what the caller was let in by.
    ///
    /// # Errors
    /// `AccessChanged` if one of the scope's standings changed since the call began (session, membership, API key, workspace),
    /// and any error if an earlier statement failed: nothing was saved then.
    ///
    /// After another error it is unknown whether the transaction committed, as the response may have been lost: repeat it with
    /// an idempotency key, or read the data.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;
}

#[doc(hidden)]
pub mod sealed {
    pub trait Sealed {}
}

/// The names of all repositories of a [`Tx`].
pub fn repositories() -> Vec<&'static str> {
    [
        crate::identity::REPOSITORIES,
        crate::tenancy::REPOSITORIES,
        crate::billing::REPOSITORIES,
        crate::audit::REPOSITORIES,
    ]
    .concat()
}
