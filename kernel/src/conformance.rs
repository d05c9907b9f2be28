//! What every adapter of the persistence ports must do, as code to run (feature `conformance`). `MemoryStore` and the
//! Postgres adapter run it; so should yours:
//!
//! ```no_run
//! use saas_kernel::conformance::{self, Backend, Fresh};
//! use saas_kernel::memory::{MemoryStore, MemorySystem, MemoryTx};
//! use saas_kernel::{BoxError, StoreError, Tx};
//!
//! struct Memory;
//!
//! #[async_trait::async_trait(?Send)]
//! impl Backend for Memory {
//!     type Store = MemoryStore;
//!     type System = MemorySystem;
//!
//!     async fn fresh(&self) -> Result<Fresh<MemoryStore, MemorySystem>, BoxError> {
//!         let store = MemoryStore::default();
//!         Ok(Fresh { system: store.system(), store, keep: Box::new(()) })
//!     }
//!     async fn insert_row(&self, tx: &mut dyn Tx) -> Result<(), StoreError> {
//!         let workspace = conformance::workspace_of(tx)?;
//!         MemoryTx::of(tx)?.count_row(workspace, conformance::LIMIT.0)
//!     }
//!     async fn delete_row(&self, tx: &mut dyn Tx) -> Result<(), StoreError> {
//!         let workspace = conformance::workspace_of(tx)?;
//!         MemoryTx::of(tx)?.uncount_row(workspace, conformance::LIMIT.0)
//!     }
//! }
//!
//! // In a file of its own under `tests/`: one `#[tokio::test]` per suite, so that a failure names itself.
//! saas_kernel::conformance_tests!(Memory);
//! ```
//!
//! Proofs are made here as everywhere: people sign up, log in and are authenticated by a [`Kernel`](crate::Kernel) over the
//! backend. There is no back door.
//!
//! The other ports have a suite each, which is given the adapter: [`billing_provider`], [`mailer`], [`rate_limiter`] and
//! [`clock()`].
//!
//! After which refusal a transaction goes on: `false` from [`Users::insert`](crate::identity::users::Users::insert) and
//! [`Workspaces::claim_slug`](crate::tenancy::workspaces::Workspaces::claim_slug), `None`, and every
//! [`Reserved`](crate::billing::limits::Reserved) leave it usable, and so do the errors `Scope` and `AccessChanged`. After any other `Err` it is over: every further call fails and
//! nothing of it is kept.
//!
//! # Adding a repository
//!
//! A file of the same name below `conformance/`, with a `suite` that has the "another workspace sees nothing" twin of each
//! finder, and one line in the list below. A test compares the list with the accessors of [`Tx`].

mod audit;
mod billing;
mod cancellation;
mod clock;
mod guard;
mod identity;
mod memory;
mod notify;
mod races;
mod records;
mod standing;
mod store;
mod tenancy;
mod world;

use std::any::Any;

use async_trait::async_trait;

use crate::billing::limits::Limit;
use crate::error::BoxError;
use crate::id::WorkspaceId;
use crate::store::{Reach, Store, StoreError, SystemStore, Tx};

pub use billing::provider::{Deliveries, billing_provider};
pub use clock::clock;
pub use guard::rate_limit::rate_limiter;
pub use memory::Memory;
pub use notify::mailer::{Delivered, mailer};

/// The result of a suite. What does not conform panics with what was expected; what breaks on the way is the error.
pub type Outcome = Result<(), BoxError>;

/// The limit that the backend's rows count under. The suites' free plan allows 3, its paid plan any number.
pub const LIMIT: Limit = Limit("projects");

/// An adapter under test. Its futures need not be `Send`: a suite runs in the task that asked for it.
#[async_trait(?Send)]
pub trait Backend: Send + Sync {
    /// The system of record, as requests see it.
    type Store: Store + Clone;
    /// The same, as the system sees it.
    type System: SystemStore + Clone;

    /// An empty system of record; every suite asks for its own.
    async fn fresh(&self) -> Result<Fresh<Self::Store, Self::System>, BoxError>;
    /// Inserts one row of a product's table, counted under [`LIMIT`], into the transaction's workspace.
    async fn insert_row(&self, tx: &mut dyn Tx) -> Result<(), StoreError>;
    /// Deletes one such row.
    async fn delete_row(&self, tx: &mut dyn Tx) -> Result<(), StoreError>;
}

/// An empty system of record.
pub struct Fresh<S, Y> {
    /// As requests see it.
    pub store: S,
    /// As the system sees it.
    pub system: Y,
    /// Whatever must live as long as the suite, such as the database; dropped with it.
    pub keep: Box<dyn Any + Send + Sync>,
}

impl<S, Y> std::fmt::Debug for Fresh<S, Y> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fresh").finish_non_exhaustive()
    }
}

/// The workspace of a transaction that has one, for [`Backend::insert_row`].
///
/// # Errors
/// `Scope` for a transaction of a person or of the system.
pub fn workspace_of(tx: &dyn Tx) -> Result<WorkspaceId, StoreError> {
    match tx.scope().reach() {
        Reach::Tenant(workspace) | Reach::Founding(_, workspace) | Reach::Joining(_, workspace) => Ok(workspace),
        Reach::User(_) | Reach::System(_) => Err(StoreError::Scope),
    }
}

/// Declares the suites once: a function each, their list, [`all`], and [`conformance_tests!`](crate::conformance_tests).
macro_rules! suites {
    (($dollar:tt) $($(#[$doc:meta])* $name:ident = $($path:ident)::+;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// What broke on the way.
            ///
            /// # Panics
            /// With what was expected, where the adapter does not conform.
            pub async fn $name<B: Backend>(backend: &B) -> Outcome {
                $($path)::+(backend).await
            }
        )*

        /// The names of all suites.
        pub const SUITES: &[&str] = &[$(stringify!($name)),*];

        /// Every suite, one after the other.
        ///
        /// # Errors
        /// The first suite that broke, by name, and why.
        ///
        /// # Panics
        /// With what was expected, where the adapter does not conform.
        pub async fn all<B: Backend>(backend: &B) -> Outcome {
            $($name(backend).await.map_err(|error| format!("{}: {error}", stringify!($name)))?;)*
            Ok(())
        }

        /// One `#[tokio::test]` for each suite, on the backend that the expression makes. The crate that calls it needs
        /// `tokio` with `macros` and `rt-multi-thread`. Each expands to:
        ///
        /// ```text
        /// #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        /// async fn users() -> Result<(), saas_kernel::BoxError> {
        ///     saas_kernel::conformance::users(&backend).await
        /// }
        /// ```
        #[macro_export]
        macro_rules! conformance_tests {
            ($dollar backend:expr) => {$(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() -> ::std::result::Result<(), $crate::BoxError> {
                    $crate::conformance::$name(&$dollar backend).await
                }
            )*};
        }
    };
}

suites! {
    ($)
    /// [`Tx::users`]: unique by lower-case address, visible to oneself and to colleagues.
    users = identity::users::suite;
    /// [`Tx::sessions`]: begun for oneself only, ended by whoever holds the token, never extended beyond their end.
    sessions = identity::sessions::suite;
    /// [`Store::lookups`]: committed data, by exact key; a stranger and a missing workspace look alike.
    lookups = identity::lookups::suite;
    /// [`Tx::api_keys`]: found by their secret until they end, in their own workspace only.
    api_keys = identity::api_keys::suite;
    /// [`Tx::workspaces`]: slugs, names, listing, and what only the system may change.
    workspaces = tenancy::workspaces::suite;
    /// [`Tx::invites`]: one to an address, used once, found by their token.
    invites = tenancy::invites::suite;
    /// [`Tx::members`]: nobody adds anybody but themselves, where they found a workspace; listed, changed and removed there.
    members = tenancy::members::suite;
    /// [`Tx::limits`]: places reserved, used up, given back and refused.
    limits = billing::limits::suite;
    /// [`Tx::subscriptions`]: read by their workspace, written by the system.
    subscriptions = billing::subscription::suite;
    /// [`Tx::inbox`]: kept once, claimed with a lease, finished by who holds it; not for requests.
    inbox = billing::inbox::suite;
    /// [`Tx::audit_log`]: newest first, with filters and pages.
    audit_log = audit::suite;
    /// [`Tx::records`]: written by the commit, in their order, for the own workspace.
    records = records::suite;
    /// Idempotency keys: claimed by `begin`, answered by the commit, free again after a rollback.
    idempotency = guard::idempotency::suite;
    /// [`Store`], [`SystemStore`] and [`Tx`]: dropping rolls back, an error ends the transaction.
    transactions = store::transactions;
    /// Proofs count in their own workspace's transactions only.
    proofs = store::proofs;
    /// What let a call in, a membership in a role or a key, must still hold when it commits.
    standing = standing::suite;
    /// Futures dropped at every await: all or nothing, and the store goes on.
    cancellation = cancellation::suite;
    /// Many callers at once: exactly one winner.
    races = races::suite;
}
