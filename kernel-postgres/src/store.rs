//! The application login: begins transactions that see one scope.

use std::sync::Arc;

use async_trait::async_trait;
use saas_kernel::identity::lookups::Lookups;
use saas_kernel::store::{Checkout, Reach};
use saas_kernel::{Grant, Scope, Store, StoreError, Tx};
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};

use crate::begin::begin;
use crate::connect::{self, ConnectError, PgOptions};
use crate::error::PgResult;
use crate::identity::lookups::PgLookups;
use crate::share::{Share, Shares};
use crate::tx::PgTx;

/// The system of record as requests see it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PgStore {
    pool: Arc<PgPool>,
    shares: Arc<Shares>,
}

/// A connection that authenticated a request, and the pool it belongs to.
pub(crate) struct Parked {
    pub(crate) pool: Arc<PgPool>,
    pub(crate) connection: PoolConnection<Postgres>,
}

impl PgStore {
    /// Connects as `kernel_app` with the defaults of [`PgOptions::app`].
    ///
    /// # Errors
    /// Refuses a login that row-level security does not hold, and a schema that is too old; the error says what to run.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::connect_with(url, PgOptions::app()).await
    }

    /// [`PgStore::connect`] with a pool of one's own measure.
    ///
    /// # Errors
    /// As [`PgStore::connect`].
    pub async fn connect_with(url: &str, options: PgOptions) -> Result<Self, ConnectError> {
        let pool = connect::pool(url, options, "kernel_app").await?;
        Ok(Self { pool: Arc::new(pool), shares: Arc::new(Shares::new(options.share(), options.acquire_timeout)) })
    }

    /// Begins a transaction in the proof's workspace, ready for the product's own SQL through [`PgTx::conn`]. `BEGIN` and
    /// scope are one round trip; a request's idempotency key is claimed here too.
    ///
    /// # Errors
    /// `Replay` when the key was used: return it, the HTTP layer answers with what is kept.
    pub async fn begin_tenant(&self, grant: &Grant) -> Result<PgTx, StoreError> {
        self.open(Scope::of(grant)).await
    }

    /// The connection that waits in `checkout`, if it is of this pool, or another one.
    async fn checkout(&self, checkout: &Checkout) -> Result<PoolConnection<Postgres>, StoreError> {
        match checkout.take::<Parked>().filter(|parked| Arc::ptr_eq(&parked.pool, &self.pool)) {
            Some(parked) => Ok(parked.connection),
            None => self.pool.acquire().await.store(),
        }
    }

    /// A place in the share of the scope's workspace. The connection that authenticated the call does not wait for it: it
    /// goes back to the pool, where somebody else may need it.
    async fn share(&self, scope: &Scope) -> Result<Option<Share>, StoreError> {
        let workspace = match scope.reach() {
            Reach::Tenant(workspace) | Reach::Founding(_, workspace) | Reach::Joining(_, workspace) => workspace,
            Reach::User(_) | Reach::System(_) => return Ok(None),
        };
        if let Some(share) = self.shares.try_take(workspace) {
            return Ok(Some(share));
        }
        drop(scope.checkout().take::<Parked>());
        self.shares.take(workspace).await.map(Some)
    }

    async fn open(&self, scope: Scope) -> Result<PgTx, StoreError> {
        // Only typed UUIDs are put into the text.
        let sql = match scope.reach() {
            Reach::Tenant(workspace) => format!("BEGIN; SET LOCAL app.workspace_id = '{}'", workspace.uuid()),
            Reach::User(user) => format!("BEGIN; SET LOCAL app.self_id = '{}'", user.uuid()),
            Reach::Founding(user, workspace) | Reach::Joining(user, workspace) => format!(
                "BEGIN; SET LOCAL app.workspace_id = '{}'; SET LOCAL app.self_id = '{}'",
                workspace.uuid(),
                user.uuid()
            ),
            Reach::System(_) => return Err(StoreError::Scope),
        };
        let share = self.share(&scope).await?;
        let connection = self.checkout(scope.checkout()).await?;
        let mut tx = PgTx::new(begin(connection, sql).await?, scope, share);
        tx.claim_idempotency_key().await?;
        Ok(tx)
    }
}

#[async_trait]
impl Store for PgStore {
    async fn begin(&self, scope: Scope) -> Result<Box<dyn Tx>, StoreError> {
        Ok(Box::new(self.open(scope).await?))
    }

    async fn lookups(&self, checkout: &Checkout) -> Result<Box<dyn Lookups>, StoreError> {
        let connection = self.checkout(checkout).await?;
        Ok(Box::new(PgLookups(Parked { pool: self.pool.clone(), connection })))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        let applied: i64 = sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM kernel.migrations WHERE success")
            .fetch_one(&*self.pool)
            .await
            .store()?;
        let needed = connect::needed_version();
        if applied >= needed {
            Ok(())
        } else {
            Err(StoreError::Unavailable(
                format!("the schema is at version {applied}, this version needs {needed}").into(),
            ))
        }
    }
}
