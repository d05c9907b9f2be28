//! One transaction: a copy of all tables, the scope's rules, and the commit that publishes the copy.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::records::Buffer;
use super::store::{Shared, State};
use super::turn::Turn;
use crate::audit::AuditLog;
use crate::billing::inbox::Inbox;
use crate::billing::limits::Limits;
use crate::billing::subscription::Subscriptions;
use crate::guard::idempotency::Answer;
use crate::id::{UserId, WorkspaceId};
use crate::identity::api_keys::ApiKeys;
use crate::identity::sessions::Sessions;
use crate::identity::users::Users;
use crate::records::Records;
use crate::store::sealed::Sealed;
use crate::store::{Reach, Scope, Standing, StoreError, Tx};
use crate::tenancy::invites::Invites;
use crate::tenancy::members::Members;
use crate::tenancy::workspaces::Workspaces;

/// A transaction in memory. Dropping it rolls back.
pub struct MemoryTx {
    shared: Arc<Shared>,
    scope: Scope,
    /// When it began: stamped on what the system of record stamps.
    pub(crate) now: DateTime<Utc>,
    pub(crate) state: State,
    pub(crate) buffer: Buffer,
    /// Places that were reserved and for which no row has come yet.
    pub(crate) credits: BTreeMap<(WorkspaceId, String), u64>,
    /// The transaction itself changed what let its caller in: they leave, say.
    changed_own_standing: bool,
    failed: bool,
    /// Kept to the end: it lets the next transaction in.
    turn: Turn,
}

impl MemoryTx {
    pub(crate) async fn begin(shared: &Arc<Shared>, scope: Scope) -> Result<Self, StoreError> {
        let turn = shared.turns.next().await?;
        Ok(Self {
            shared: shared.clone(),
            scope,
            now: shared.now(),
            state: shared.committed(),
            buffer: Buffer::default(),
            credits: BTreeMap::new(),
            changed_own_standing: false,
            failed: false,
            turn,
        })
    }

    /// The transaction in memory behind the port, for hooks.
    ///
    /// # Errors
    /// `Scope` when the product runs on another adapter.
    pub fn of(tx: &mut dyn Tx) -> Result<&mut Self, StoreError> {
        (tx as &mut dyn Any).downcast_mut().ok_or(StoreError::Scope)
    }

    /// Writes the records and commits.
    ///
    /// # Errors
    /// When a statement failed before, a record is of another workspace, or whoever acts was removed meanwhile: nothing is
    /// kept then.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        self.alive()?;
        if !self.stands() {
            return Err(StoreError::AccessChanged);
        }
        self.flush()?;
        // Slugs are claimed before their workspace exists; by now it must.
        if self.state.slugs.values().any(|workspace| !self.state.workspaces.contains_key(workspace)) {
            return Err(self.fail(dangling("slugs")));
        }
        self.shared.publish(self.state);
        drop(self.turn);
        Ok(())
    }

    /// Commits and hands `answer` on. If the request had an idempotency key, the answer is kept by the same commit.
    ///
    /// # Errors
    /// As [`MemoryTx::commit`].
    pub async fn commit_with<A: Answer>(mut self, answer: A) -> Result<A, StoreError> {
        if self.scope.idempotency().is_some() {
            self.buffer.answer(answer.stored().map_err(StoreError::Backend)?);
        }
        self.commit().await?;
        Ok(answer)
    }

    pub(crate) fn scope_ref(&self) -> &Scope {
        &self.scope
    }

    /// Before somebody's membership or key is changed. Whoever changes their own must still be what they were.
    pub(crate) fn will_change_standing(&self, of: Uuid) -> Result<(), StoreError> {
        let own = self.scope.standing().is_some_and(|own| own.uuid() == of);
        if own && !self.stands() { Err(StoreError::AccessChanged) } else { Ok(()) }
    }

    /// Somebody's membership or key was changed. Whoever changed their own may finish what they do.
    pub(crate) fn has_changed_standing(&mut self, of: Uuid) {
        self.changed_own_standing |= self.scope.standing().is_some_and(|own| own.uuid() == of);
    }

    /// Whether what let the caller in still holds.
    fn stands(&self) -> bool {
        let (Some(standing), Reach::Tenant(workspace)) = (self.scope.standing(), self.scope.reach()) else {
            return true;
        };
        self.changed_own_standing
            || match standing {
                Standing::Member(user, role) => {
                    self.state.members.get(&(workspace, *user)).is_some_and(|row| *row.role == **role)
                }
                Standing::Key(key) => self.state.api_keys.get(&(workspace, *key)).is_some_and(|row| !row.revoked),
            }
    }
}

/// The rules of row-level security, in the words of the policies.
impl MemoryTx {
    /// `workspace_id = kernel.ws()`.
    pub(crate) fn in_workspace(&self, workspace: WorkspaceId) -> bool {
        match self.scope.reach() {
            Reach::Tenant(own) | Reach::Founding(_, own) | Reach::Joining(_, own) => own == workspace,
            Reach::User(_) => false,
            Reach::System(_) => true,
        }
    }

    /// `user_id = kernel.me()`.
    pub(crate) fn is_me(&self, user: UserId) -> bool {
        match self.scope.reach() {
            Reach::User(me) | Reach::Founding(me, _) | Reach::Joining(me, _) => me == user,
            Reach::Tenant(_) => false,
            Reach::System(_) => true,
        }
    }

    pub(crate) fn is_system(&self) -> bool {
        matches!(self.scope.reach(), Reach::System(_))
    }
}

/// After a statement failed, everything but a rollback is refused, as in Postgres. A repository calls `alive` first and
/// `fail` with every error.
impl MemoryTx {
    pub(crate) fn alive(&self) -> Result<(), StoreError> {
        if self.failed {
            Err(StoreError::backend("a statement of this transaction failed before; roll it back"))
        } else {
            Ok(())
        }
    }

    pub(crate) fn fail(&mut self, error: StoreError) -> StoreError {
        self.failed = true;
        error
    }

    /// `Err` unless the scope may write the row.
    pub(crate) fn may_write(&mut self, table: &'static str, may: bool) -> Result<(), StoreError> {
        if may {
            Ok(())
        } else {
            Err(self.fail(StoreError::backend(format!("{table}: this scope may not write that row"))))
        }
    }

    /// `Err` unless the row's key is new.
    pub(crate) fn unique(&mut self, constraint: &'static str, new: bool) -> Result<(), StoreError> {
        if new { Ok(()) } else { Err(self.fail(StoreError::Conflict(constraint.to_owned()))) }
    }

    /// `Err` unless the row that another one refers to exists, whoever may see it.
    pub(crate) fn refers(&mut self, table: &'static str, exists: bool) -> Result<(), StoreError> {
        if exists { Ok(()) } else { Err(self.fail(dangling(table))) }
    }
}

fn dangling(table: &str) -> StoreError {
    StoreError::backend(format!("{table}: the row refers to one that does not exist"))
}

impl Sealed for MemoryTx {}

#[async_trait]
impl Tx for MemoryTx {
    fn scope(&self) -> &Scope {
        &self.scope
    }
    fn users(&mut self) -> &mut dyn Users {
        self
    }
    fn sessions(&mut self) -> &mut dyn Sessions {
        self
    }
    fn api_keys(&mut self) -> &mut dyn ApiKeys {
        self
    }
    fn workspaces(&mut self) -> &mut dyn Workspaces {
        self
    }
    fn invites(&mut self) -> &mut dyn Invites {
        self
    }
    fn members(&mut self) -> &mut dyn Members {
        self
    }
    fn limits(&mut self) -> &mut dyn Limits {
        self
    }
    fn subscriptions(&mut self) -> &mut dyn Subscriptions {
        self
    }
    fn inbox(&mut self) -> &mut dyn Inbox {
        self
    }
    fn audit_log(&mut self) -> &mut dyn AuditLog {
        self
    }
    fn records(&mut self) -> &mut dyn Records {
        &mut self.buffer
    }
    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        (*self).commit().await
    }
}

impl fmt::Debug for MemoryTx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTx").field("scope", &self.scope).finish_non_exhaustive()
    }
}
