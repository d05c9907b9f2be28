//! [`PgStore`], which connects as `kernel_app` and begins transactions that see one scope.

use std::sync::Arc;

use async_trait::async_trait;
use saas_kernel::actor::Actor;
use saas_kernel::identity::lookups::Lookups;
use saas_kernel::store::Reach;
use saas_kernel::{Call, Grant, Proof, ReadTx, Scope, Store, StoreError, Tx};
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};

use crate::begin::begin;
use crate::connect::{self, ConnectError, PgOptions};
use crate::error::PgResult;
use crate::identity::lookups::PgLookups;
use crate::migrate::Role;
use crate::names::Names;
use crate::read::PgRead;
use crate::share::{HeldShares, Share, ShareOf, Shares};
use crate::tx::{PgTx, TxMode};

/// The database as used by requests. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PgStore {
    pool: Arc<PgPool>,
    shares: Arc<Shares>,
    pub(crate) names: Names,
}

/// A connection that authenticated a request, with its pool and its place in the caller's share.
pub(crate) struct Parked {
    pool: Arc<PgPool>,
    connection: PoolConnection<Postgres>,
    share: Option<Share>,
}

impl PgStore {
    /// Connects as `kernel_app` with the defaults of [`PgOptions::app`].
    ///
    /// # Errors
    /// If the database role could bypass row-level security, or the schema is too old; the error says what to do.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::connect_with(url, PgOptions::app()).await
    }

    /// Like [`PgStore::connect`], with other pool options.
    ///
    /// # Errors
    /// As [`PgStore::connect`].
    pub async fn connect_with(url: &str, options: PgOptions) -> Result<Self, ConnectError> {
        let names = Names::new(options.suffix);
        let pool = connect::pool(url, options, &names, Role::App).await?;
        let shares = Arc::new(Shares::new(options.share_size(), options.acquire_timeout));
        Ok(Self { pool: Arc::new(pool), shares, names })
    }

    /// Begins a transaction in the proof's workspace, ready for the product's own SQL through [`PgTx::conn`]. `BEGIN` and
    /// scope are one round trip; a request's idempotency key is claimed here too.
    ///
    /// # Errors
    /// `Replay` if the idempotency key was used: return it, and the HTTP layer answers with the stored response.
    pub async fn begin_tenant(&self, grant: &Grant) -> Result<PgTx, StoreError> {
        self.write(grant.scope()).await
    }

    /// Begins a transaction that reads what `proof` proves: a grant's workspace, a session's own rows. Postgres refuses to write
    /// in it, and it claims no idempotency key. `BEGIN READ ONLY` and scope are one round trip.
    ///
    /// # Errors
    /// `Unavailable` if there is no connection in time.
    pub async fn read(&self, proof: &(impl Proof + ?Sized)) -> Result<PgRead, StoreError> {
        self.open(proof.scope()).await
    }

    /// Keeps `connection` in `call`, for the transaction of the caller that was looked up with it, if their share has a free place.
    /// Otherwise the connection returns to the pool, and the transaction waits for a place without holding a connection.
    pub(crate) fn park(&self, connection: PoolConnection<Postgres>, actor: Actor, call: &Call) {
        let share = ShareOf::actor(actor).map(|of| self.shares.try_take(of));
        if !matches!(share, Some(None)) {
            call.park(Parked { pool: self.pool.clone(), connection, share: share.flatten() });
        }
    }

    fn parked(&self, call: &Call) -> Option<Parked> {
        call.take_connection::<Parked>().filter(|parked| Arc::ptr_eq(&parked.pool, &self.pool))
    }

    /// Acquires a connection, and places in the shares of the scope's caller and workspace. The connection that authenticated
    /// the call is used if the places are free at once; otherwise it returns to the pool for others while this call waits.
    async fn connection(&self, scope: &Scope) -> Result<(PoolConnection<Postgres>, HeldShares), StoreError> {
        let (caller, workspace) = (ShareOf::caller(scope), scope.workspace().map(ShareOf::Workspace));
        let parked = scope.call().and_then(|call| self.parked(call));
        let (connection, share) = match parked {
            Some(parked) => (Some(parked.connection), parked.share),
            None => (None, None),
        };
        let share = share.or_else(|| caller.and_then(|of| self.shares.try_take(of)));
        let held = HeldShares { caller: share, workspace: workspace.and_then(|of| self.shares.try_take(of)) };
        if held.caller.is_some() == caller.is_some() && held.workspace.is_some() == workspace.is_some() {
            return match connection {
                Some(connection) => Ok((connection, held)),
                None => Ok((self.pool.acquire().await.store()?, held)),
            };
        }
        drop((connection, held));
        let mut held = HeldShares::default();
        if let Some(of) = caller {
            held.caller = Some(self.shares.take(of).await?);
        }
        if let Some(of) = workspace {
            held.workspace = Some(self.shares.take(of).await?);
        }
        Ok((self.pool.acquire().await.store()?, held))
    }

    async fn write(&self, scope: Scope) -> Result<PgTx, StoreError> {
        let mut tx: PgTx = self.open(scope).await?;
        tx.claim_idempotency_key().await?;
        Ok(tx)
    }

    async fn open<M: TxMode>(&self, scope: Scope) -> Result<PgTx<M>, StoreError> {
        let Reach::Rows { person, workspace } = scope.reach() else { return Err(StoreError::Scope) };
        // Only typed UUIDs are put into the text.
        let mut sql = if M::READ_ONLY { "BEGIN READ ONLY" } else { "BEGIN" }.to_owned();
        if let Some(workspace) = workspace {
            sql.push_str(&format!("; SET LOCAL app.workspace_id = '{}'", workspace.uuid()));
        }
        if let Some(person) = person {
            sql.push_str(&format!("; SET LOCAL app.self_id = '{}'", person.uuid()));
        }
        let (connection, shares) = self.connection(&scope).await?;
        Ok(PgTx::new(begin(connection, sql).await?, scope, shares, self.names.clone()))
    }
}

#[async_trait]
impl Store for PgStore {
    async fn begin(&self, scope: Scope) -> Result<Box<dyn Tx>, StoreError> {
        Ok(Box::new(self.write(scope).await?))
    }

    async fn read(&self, scope: Scope) -> Result<Box<dyn ReadTx>, StoreError> {
        let read: PgRead = self.open(scope).await?;
        Ok(Box::new(read))
    }

    async fn lookups(&self, call: &Call) -> Result<Box<dyn Lookups>, StoreError> {
        let (connection, share) = match self.parked(call) {
            Some(parked) => (parked.connection, parked.share),
            None => {
                let share = match call.network() {
                    Some(address) => Some(self.shares.take(ShareOf::Address(address)).await?),
                    None => None,
                };
                (self.pool.acquire().await.store()?, share)
            }
        };
        Ok(Box::new(PgLookups { store: self.clone(), connection, _share: share }))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        let applied: i64 =
            sqlx::query_scalar(self.names.sql(connect::SCHEMA_VERSION)).fetch_one(&*self.pool).await.store()?;
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
