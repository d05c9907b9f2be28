//! All tables in one value, and the store that begins transactions over it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

use super::audit::AuditRow;
use super::billing::inbox::{EventKey, EventRow};
use super::billing::limits::UsageRow;
use super::billing::subscription::SubscriptionRow;
use super::guard::idempotency::{AnswerRow, KeyOfCaller};
use super::identity::api_keys::KeyRow;
use super::identity::lookups::MemoryLookups;
use super::identity::sessions::SessionRow;
use super::identity::users::UserRow;
use super::system::MemorySystem;
use super::tenancy::invites::InviteRow;
use super::tenancy::members::MemberRow;
use super::tenancy::workspaces::WorkspaceRow;
use super::turn::Turns;
use super::tx::MemoryTx;
use crate::access::Grant;
use crate::clock::{Clock, SystemClock};
use crate::events::OutboxEvent;
use crate::id::{ApiKeyId, InviteId, SessionId, SubscriptionId, UserId, WorkspaceId};
use crate::identity::lookups::Lookups;
use crate::store::{Checkout, Reach, Scope, Store, StoreError, Tx};

/// A table. A copy costs nothing until it is written to: a transaction works on a copy and its commit publishes it.
pub(crate) type Table<K, V> = Arc<BTreeMap<K, V>>;

/// Every table, in the order of the repositories on [`Tx`].
#[derive(Clone, Default)]
pub(crate) struct State {
    pub(crate) users: Table<UserId, UserRow>,
    pub(crate) sessions: Table<SessionId, SessionRow>,
    pub(crate) api_keys: Table<(WorkspaceId, ApiKeyId), KeyRow>,
    pub(crate) workspaces: Table<WorkspaceId, WorkspaceRow>,
    /// Every slug a workspace has or had.
    pub(crate) slugs: Table<String, WorkspaceId>,
    pub(crate) invites: Table<(WorkspaceId, InviteId), InviteRow>,
    pub(crate) members: Table<(WorkspaceId, UserId), MemberRow>,
    pub(crate) usage: Table<(WorkspaceId, String), UsageRow>,
    pub(crate) subscriptions: Table<(WorkspaceId, SubscriptionId), SubscriptionRow>,
    pub(crate) inbox: Table<EventKey, EventRow>,
    pub(crate) audit_log: Table<(WorkspaceId, DateTime<Utc>, Uuid), Arc<AuditRow>>,
    pub(crate) outbox: Table<(WorkspaceId, DateTime<Utc>, Uuid), Arc<OutboxEvent>>,
    pub(crate) answers: Table<KeyOfCaller, AnswerRow>,
}

/// What all transactions share.
pub(crate) struct Shared {
    committed: RwLock<State>,
    pub(crate) turns: Arc<Turns>,
    clock: Arc<dyn Clock>,
}

impl Shared {
    /// What is committed at this moment.
    pub(crate) fn committed(&self) -> State {
        self.committed.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn publish(&self, state: State) {
        *self.committed.write().unwrap_or_else(PoisonError::into_inner) = state;
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        micros(self.clock.now())
    }
}

/// Times are kept in microseconds, as Postgres keeps them, whatever the caller's clock gives.
pub(crate) fn micros(at: DateTime<Utc>) -> DateTime<Utc> {
    at.trunc_subsecs(6)
}

/// The system of record as requests see it, in this process's memory. Cheap to clone: clones share the data.
///
/// ```
/// # async fn demo() -> Result<(), saas_kernel::BoxError> {
/// use saas_kernel::memory::MemoryStore;
/// use saas_kernel::{Kernel, ProductConfig};
///
/// let store = MemoryStore::default();
/// let config = ProductConfig::parse("brand: { name: Demo }\nplans: [{ key: free, name: Free }]")?;
/// let kernel = Kernel::builder(config).store(store.clone()).system(store.system()).build()?;
/// # Ok(()) }
/// ```
///
/// # Panics
/// Transactions run one at a time. In a debug build, a `begin` panics that has waited for two seconds while a transaction
/// of the same task was open: that transaction cannot end before `begin` returns. The two are told to be of one task by
/// tokio's task id, or by the thread under `block_on`, which has no task id. Futures joined within one task may wait for
/// each other: they end theirs in time. A wait for another task's transaction ends with `Unavailable` after ten seconds, as
/// a pool without a free connection does. The waiting needs tokio's timer, as [`Kernel`](crate::Kernel) does.
#[derive(Clone)]
pub struct MemoryStore(pub(crate) Arc<Shared>);

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl MemoryStore {
    /// Empty. `clock` stamps what Postgres would stamp: the time of audit entries and events, and when keys expire.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared { committed: RwLock::default(), turns: Arc::default(), clock }))
    }

    /// The same data as workers and the webhook receiver see it.
    pub fn system(&self) -> MemorySystem {
        MemorySystem(self.0.clone())
    }

    /// Begins a transaction in the proof's workspace.
    ///
    /// # Errors
    /// `Replay` when the request's idempotency key was used: return it, the HTTP layer answers with what is kept.
    pub async fn begin_tenant(&self, grant: &Grant) -> Result<MemoryTx, StoreError> {
        self.open(Scope::of(grant)).await
    }

    /// The events that committed transactions have published, by workspace and in their order.
    pub fn outbox(&self) -> Vec<OutboxEvent> {
        self.0.committed().outbox.values().map(|event| (**event).clone()).collect()
    }

    async fn open(&self, scope: Scope) -> Result<MemoryTx, StoreError> {
        if let Reach::System(_) = scope.reach() {
            return Err(StoreError::Scope);
        }
        let mut tx = MemoryTx::begin(&self.0, scope).await?;
        tx.claim_idempotency_key()?;
        Ok(tx)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn begin(&self, scope: Scope) -> Result<Box<dyn Tx>, StoreError> {
        Ok(Box::new(self.open(scope).await?))
    }

    async fn lookups(&self, _: &Checkout) -> Result<Box<dyn Lookups>, StoreError> {
        Ok(Box::new(MemoryLookups(self.0.clone())))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}
