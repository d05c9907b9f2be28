//! [`PgTx`], one transaction on one connection, over all repositories. What only reads is in `read.rs`.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;

use async_trait::async_trait;
use saas_kernel::idempotency::StorableResponse;
use saas_kernel::records::Records;
use saas_kernel::store::Reads;
use saas_kernel::store::sealed::Sealed;
use saas_kernel::{ReadTx, Scope, StoreError, Tx};
use sqlx::{PgConnection, Postgres, SqlStr, Transaction};
use uuid::Uuid;

use crate::error::PgResult;
use crate::names::Names;
use crate::records::Buffer;
use crate::share::HeldShares;

/// What a [`PgTx`] may do: [`ReadWrite`] or [`ReadOnly`].
pub trait TxMode: sealed::Sealed + fmt::Debug + Send + Sync + 'static {
    /// Whether the transaction refuses to write.
    const READ_ONLY: bool;
}

/// A transaction that reads and writes, and is committed.
#[derive(Debug)]
pub enum ReadWrite {}

/// A transaction that only reads, and ends when it is dropped.
#[derive(Debug)]
pub enum ReadOnly {}

impl TxMode for ReadWrite {
    const READ_ONLY: bool = false;
}

impl TxMode for ReadOnly {
    const READ_ONLY: bool = true;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::ReadWrite {}
    impl Sealed for super::ReadOnly {}
}

/// A Postgres transaction with one scope. Dropping it rolls back. With [`ReadOnly`] it is a [`PgRead`](crate::PgRead).
#[derive(Debug)]
pub struct PgTx<M = ReadWrite> {
    open: Open,
    mode: PhantomData<fn() -> M>,
    scope: Scope,
    pub(crate) names: Names,
    pub(crate) buffer: Buffer,
    /// Ids of the standings that the transaction itself changed, such as the membership of a member who leaves.
    pub(crate) changed_own_standing: Vec<Uuid>,
    /// Whether the transaction changed a session, membership, API key or workspace that lets calls in.
    pub(crate) changes_standing: bool,
    /// The scope in which the transaction claimed the call's idempotency key.
    pub(crate) claimed: Option<Uuid>,
}

/// The transaction and its places in the shares of the pool. Dropping it rolls back. If it is dropped during a statement that
/// waits for others, because its caller disconnected, it keeps the places until the statement has ended: the connection is not
/// free before.
#[derive(Debug)]
struct Open {
    /// Taken only by the commit and by dropping; afterwards the value cannot be used.
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
                // The rollback waits for the statement first. If it fails, the connection is closed.
                drop(tx.rollback().await);
                drop(shares);
            });
        }
    }
}

impl<M: TxMode> PgTx<M> {
    pub(crate) fn new(tx: Transaction<'static, Postgres>, scope: Scope, shares: HeldShares, names: Names) -> Self {
        let open = Open { tx: Some(tx), shares, in_statement: false };
        Self {
            open,
            mode: PhantomData,
            scope,
            names,
            buffer: Buffer::default(),
            changed_own_standing: Vec::new(),
            changes_standing: false,
            claimed: None,
        }
    }

    /// The connection, for this crate only: a read gives it to nobody.
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        self.open.conn()
    }

    /// The statement with the names of this product's schema and roles. All SQL of this crate goes through it.
    pub(crate) fn sql(&self, text: &'static str) -> SqlStr {
        self.names.sql(text)
    }

    pub(crate) fn scope_ref(&self) -> &Scope {
        &self.scope
    }
}

impl PgTx {
    /// The connection, for the product's own SQL: the same transaction, under the same row-level security. Do not begin or end
    /// transactions with SQL; drop or [`PgTx::commit`] this one. A transaction that was made `READ ONLY` can only be dropped.
    pub fn conn(&mut self) -> &mut PgConnection {
        self.connection()
    }

    /// The Postgres transaction behind the port; for hooks.
    ///
    /// # Errors
    /// `Scope` if the product uses another adapter.
    pub fn of(tx: &mut dyn Tx) -> Result<&mut Self, StoreError> {
        (tx as &mut dyn Any).downcast_mut().ok_or(StoreError::Scope)
    }

    /// Writes the records and commits, after re-checking what the caller was let in by.
    ///
    /// # Errors
    /// `AccessChanged` if one of the scope's standings changed since the call began: nothing was saved. After another error it is unknown whether it
    /// committed.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        self.flush().await?;
        self.open.commit().await?;
        if let (Some(call), Some(claimed)) = (self.scope.call(), self.claimed) {
            call.mark_claimed(claimed);
        }
        Ok(())
    }

    /// Commits and returns `answer`. If the request had an idempotency key, the same commit stores the answer for 24 hours.
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

    /// The connection for a statement that may wait for other transactions; call [`PgTx::blocking_statement_ended`] after it.
    pub(crate) fn conn_for_blocking_statement(&mut self) -> &mut PgConnection {
        self.open.in_statement = true;
        self.open.conn()
    }

    pub(crate) fn blocking_statement_ended(&mut self) {
        self.open.in_statement = false;
    }
}

impl<M> Sealed for PgTx<M> {}

impl<M: TxMode> ReadTx for PgTx<M> {
    fn scope(&self) -> &Scope {
        &self.scope
    }
    fn reads(&mut self) -> &mut dyn Reads {
        self
    }
}

#[async_trait]
impl Tx for PgTx {
    fn records(&mut self) -> &mut dyn Records {
        &mut self.buffer
    }
    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        (*self).commit().await
    }
}
