//! One transaction on one connection, over every repository.

use std::any::Any;

use async_trait::async_trait;
use saas_kernel::idempotency::StorableResponse;
use saas_kernel::records::Records;
use saas_kernel::store::sealed::Sealed;
use saas_kernel::{Scope, StoreError, Tx};
use sqlx::{PgConnection, Postgres, Transaction};

use crate::error::PgResult;
use crate::records::Buffer;
use crate::share::HeldShares;

/// A Postgres transaction of one scope. Dropping it rolls back.
#[derive(Debug)]
pub struct PgTx {
    open: Open,
    scope: Scope,
    pub(crate) buffer: Buffer,
    /// The transaction itself changed what let its caller in: they leave, say.
    pub(crate) changed_own_standing: bool,
}

/// The transaction and the shares of the pool that it counts in. Dropping it rolls back. Dropped in the middle of a statement that
/// waits for others, because its caller left, it keeps the shares until the statement has ended: the connection is not free
/// before.
#[derive(Debug)]
struct Open {
    /// Taken by the commit and by dropping only, after which nobody has the value.
    tx: Option<Transaction<'static, Postgres>>,
    shares: HeldShares,
    in_statement: bool,
}

impl Open {
    fn conn(&mut self) -> &mut PgConnection {
        match &mut self.tx {
            Some(tx) => tx,
            None => unreachable!("a transaction is used after its commit, which takes it"),
        }
    }

    async fn commit(mut self) -> Result<(), StoreError> {
        match self.tx.take() {
            Some(tx) => tx.commit().await.store(),
            None => Ok(()),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let (Some(tx), shares) = (self.tx.take(), std::mem::take(&mut self.shares)) else { return };
        if self.in_statement
            && !shares.is_empty()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                // Waits for the statement first. Should it fail, the connection is gone.
                drop(tx.rollback().await);
                drop(shares);
            });
        }
    }
}

impl PgTx {
    pub(crate) fn new(tx: Transaction<'static, Postgres>, scope: Scope, shares: HeldShares) -> Self {
        let open = Open { tx: Some(tx), shares, in_statement: false };
        Self { open, scope, buffer: Buffer::default(), changed_own_standing: false }
    }

    /// The connection, for the product's own SQL: the same transaction, under the same row-level security. Do not begin or
    /// end transactions with SQL text; drop or [`PgTx::commit`] this one. One made `READ ONLY` can only be dropped.
    pub fn conn(&mut self) -> &mut PgConnection {
        self.open.conn()
    }

    /// The Postgres transaction behind the port, for hooks.
    ///
    /// # Errors
    /// `Scope` when the product runs on another adapter.
    pub fn of(tx: &mut dyn Tx) -> Result<&mut Self, StoreError> {
        (tx as &mut dyn Any).downcast_mut().ok_or(StoreError::Scope)
    }

    /// Writes the records and commits, if whoever acts still is what let them in.
    ///
    /// # Errors
    /// `AccessChanged` if not: nothing was kept. After another error it is unknown whether it committed.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        self.flush().await?;
        self.open.commit().await
    }

    /// Commits and hands `answer` on. If the request had an idempotency key, the answer is kept by the same commit, for
    /// the next 24 hours.
    ///
    /// # Errors
    /// As [`PgTx::commit`].
    pub async fn commit_with<A: StorableResponse>(mut self, answer: A) -> Result<A, StoreError> {
        if self.scope.idempotency().is_some() {
            self.buffer.response(answer.stored().map_err(StoreError::Backend)?);
        }
        self.commit().await?;
        Ok(answer)
    }

    /// For a statement that may wait for other transactions, until [`PgTx::waited`].
    pub(crate) fn conn_for_blocking_statement(&mut self) -> &mut PgConnection {
        self.open.in_statement = true;
        self.open.conn()
    }

    pub(crate) fn blocking_statement_ended(&mut self) {
        self.open.in_statement = false;
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
    fn records(&mut self) -> &mut dyn Records {
        &mut self.buffer
    }
    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        (*self).commit().await
    }
}
