//! One transaction on one connection, over every repository.

use std::any::Any;

use async_trait::async_trait;
use saas_kernel::audit::AuditLog;
use saas_kernel::billing::inbox::Inbox;
use saas_kernel::billing::limits::Limits;
use saas_kernel::billing::subscription::Subscriptions;
use saas_kernel::guard::idempotency::Answer;
use saas_kernel::identity::api_keys::ApiKeys;
use saas_kernel::identity::sessions::Sessions;
use saas_kernel::identity::users::Users;
use saas_kernel::records::Records;
use saas_kernel::store::sealed::Sealed;
use saas_kernel::tenancy::invites::Invites;
use saas_kernel::tenancy::members::Members;
use saas_kernel::tenancy::workspaces::Workspaces;
use saas_kernel::{Scope, StoreError, Tx};
use sqlx::{PgConnection, Postgres, Transaction};

use crate::error::PgResult;
use crate::records::Buffer;
use crate::share::Share;

/// A Postgres transaction of one scope. Dropping it rolls back.
#[derive(Debug)]
pub struct PgTx {
    tx: Transaction<'static, Postgres>,
    scope: Scope,
    pub(crate) buffer: Buffer,
    /// The transaction itself changed what let its caller in: they leave, say.
    pub(crate) changed_own_standing: bool,
    /// Given back after the connection.
    _share: Option<Share>,
}

impl PgTx {
    pub(crate) fn new(tx: Transaction<'static, Postgres>, scope: Scope, share: Option<Share>) -> Self {
        Self { tx, scope, buffer: Buffer::default(), changed_own_standing: false, _share: share }
    }

    /// The connection, for the product's own SQL: the same transaction, under the same row-level security. Do not begin or
    /// end transactions with SQL text; drop or [`PgTx::commit`] this one.
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// The Postgres transaction behind the port, for hooks.
    ///
    /// # Errors
    /// `Scope` when the product runs on another adapter.
    pub fn of(tx: &mut dyn Tx) -> Result<&mut Self, StoreError> {
        (tx as &mut dyn Any).downcast_mut().ok_or(StoreError::Scope)
    }

    /// Writes the records and commits.
    ///
    /// # Errors
    /// After an error it is unknown whether it committed.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        self.flush().await?;
        self.tx.commit().await.store()
    }

    /// Commits and hands `answer` on. If the request had an idempotency key, the answer is kept by the same commit, for
    /// the next 24 hours.
    ///
    /// # Errors
    /// As [`PgTx::commit`].
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
}

impl Sealed for PgTx {}

#[async_trait]
impl Tx for PgTx {
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
