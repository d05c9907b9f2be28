//! Read transactions: their scope, what Postgres refuses in them, and what they leave alone.

use std::error::Error as _;

use crate::world::{self, World};
use crate::{LIMIT, Outcome};
use saas_kernel::audit::{self, AuditFilter};
use saas_kernel::billing::{entitlements, limits, subscription};
use saas_kernel::error::{Error, Replay};
use saas_kernel::id::WorkspaceId;
use saas_kernel::identity::{api_keys, users};
use saas_kernel::page::PageRequest;
use saas_kernel::store::{Proof, Reach, ReadTx, Store};
use saas_kernel::tenancy::{invites, members, workspaces};
use saas_kernel::{BoxError, StoreError};
use saas_kernel_postgres::{PgTx, TxMode};
use sqlx::Row;
use sqlx::postgres::PgRow;

pub(crate) async fn suite() -> Outcome {
    let world = World::new().await?;
    every_reading_flow_is_served(&world).await?;
    another_workspace_sees_nothing(&world).await?;
    postgres_refuses_to_write(&world).await?;
    no_idempotency_key_is_claimed(&world).await?;
    one_function_serves_both(&world).await
}

/// Through the port, as routes call it.
async fn every_reading_flow_is_served(world: &World) -> Outcome {
    let ada = world.person("Ada").await?;
    let (grant, page) = (&ada.grant, PageRequest::first(9));
    let store: &dyn Store = &world.store;
    let mut tx = store.read(grant.scope()).await?;
    assert_eq!(tx.scope().reach(), Reach::workspace(ada.workspace()));
    assert_eq!(workspaces::get(&grant.allow()?, &mut *tx).await?.id, ada.workspace());
    assert_eq!(members::list(&grant.allow()?, &mut *tx, &page).await?.items.len(), 1);
    assert_eq!(invites::list(&grant.allow()?, &mut *tx, &page).await?.items, []);
    assert_eq!(api_keys::list(&grant.allow()?, &mut *tx, &page).await?.items, []);
    assert_eq!(audit::list(&grant.allow()?, &mut *tx, &AuditFilter::default(), &page).await?.items.len(), 1);
    assert!(limits::check_limit(grant, &mut *tx, LIMIT).await?.allowed);
    assert_eq!(entitlements::list(&grant.allow()?, &mut *tx).await?.plan, "free");
    assert_eq!(subscription::current(&grant.allow()?, &mut *tx).await?.subscription, None);
    let mut tx = store.read(ada.session.scope()).await?;
    assert_eq!(users::me(&ada.session, &mut *tx).await?.id, ada.user());
    assert_eq!(workspaces::of_user(&ada.session, &mut *tx, &page).await?.items.len(), 1);
    assert_eq!(members::of_user(&ada.session, &mut *tx, &page).await?.items.len(), 1);

    let system = world.system().await?;
    assert!(matches!(store.read(system.scope().clone()).await, Err(StoreError::Scope)), "never the system's scope");
    Ok(())
}

async fn another_workspace_sees_nothing(world: &World) -> Outcome {
    let (bea, eve) = (world.person("Bea").await?, world.person("Eve").await?);
    let mut tx = world.store.begin(bea.grant.scope()).await?;
    world::insert_row(&mut *tx).await?;
    tx.commit().await?;
    let mut own = world.store.read(&bea.grant).await?;
    assert_eq!(rows(&mut own, bea.workspace()).await?, 1);
    drop(own);

    let mut other = world.store.read(&eve.grant).await?;
    assert_eq!(rows(&mut other, bea.workspace()).await?, 0, "under row-level security");
    let page = PageRequest::first(9);
    let reads = ReadTx::reads(&mut other);
    assert_eq!(reads.workspaces().find(bea.workspace()).await?, None);
    assert_eq!(reads.members().list(bea.workspace(), &page).await?.items, []);
    assert_eq!(reads.audit_log().list(bea.workspace().into(), &AuditFilter::default(), &page).await?.items, []);
    assert_eq!(reads.limits().usage(bea.workspace(), LIMIT.0).await?, None);
    let refused = workspaces::get(&bea.grant.allow()?, &mut other).await;
    assert!(matches!(refused, Err(Error::Store(StoreError::Scope))), "a proof counts in its own workspace only");
    let mut own = world.store.read(&bea.session).await?;
    let refused = limits::check_limit(&bea.grant, &mut own, LIMIT).await;
    assert!(matches!(refused, Err(Error::Store(StoreError::Scope))), "a person's scope is not a workspace's");
    Ok(())
}

async fn postgres_refuses_to_write(world: &World) -> Outcome {
    let ada = world.person("Cleo").await?;
    for write in [
        "INSERT INTO counted.rows (workspace_id, id) VALUES (kernel.ws(), gen_random_uuid()) RETURNING id",
        "DELETE FROM counted.rows RETURNING id",
        "SELECT id FROM counted.rows FOR UPDATE",
    ] {
        let mut tx = world.store.read(&ada.grant).await?;
        let refused = tx.fetch_optional(sqlx::query(write)).await.err().ok_or("a read wrote")?;
        assert!(matches!(refused, StoreError::Backend(_)), "a mistake of the caller, not an outage: {refused:?}");
        let source = refused.source().map(ToString::to_string).unwrap_or_else(|| refused.to_string());
        assert!(source.contains("begin_tenant") && source.contains("read-only transaction"), "{source}");
        assert!(tx.fetch_one(sqlx::query("SELECT 1")).await.is_err(), "an error ends the transaction");
    }
    // The code alone does not tell: where a transaction that writes meets it, the server is a standby.
    let mut tx = world.store.begin_tenant(&ada.grant).await?;
    sqlx::query("SET TRANSACTION READ ONLY").execute(tx.conn()).await?;
    let write = sqlx::query("DELETE FROM counted.rows RETURNING id");
    assert!(matches!(tx.fetch_all(write).await, Err(StoreError::Unavailable(_))));
    Ok(())
}

/// The key stays for the call's transaction that writes, and a stored response does not stop a read.
async fn no_idempotency_key_is_claimed(world: &World) -> Outcome {
    let dora = world.person("Dora").await?;
    let call = world.with_key(&dora, "key-of-dora", "{}").await?;
    let grant = call.member()?;
    let mut tx = world.store.read(grant).await?;
    assert!(tx.fetch_optional(sqlx::query("SELECT 1")).await?.is_some());
    drop(tx);
    assert!(world.is("SELECT NOT EXISTS (SELECT FROM kernel.idempotency_keys)").await?, "a read claims no key");
    world.store.begin_tenant(grant).await?.commit().await?;

    let retry = world.with_key(&dora, "key-of-dora", "{}").await?;
    let repeated = world.store.begin_tenant(retry.member()?).await;
    assert!(matches!(repeated, Err(StoreError::Replay(Replay::Done))), "the key was used");
    assert!(world.store.read(retry.member()?).await.is_ok());
    Ok(())
}

/// Each kind of query, and one function for a read and for a transaction that writes.
async fn one_function_serves_both(world: &World) -> Outcome {
    let finn = world.person("Finn").await?;
    let mut write = world.store.begin_tenant(&finn.grant).await?;
    world::insert_row(&mut write).await?;
    assert_eq!(rows(&mut write, finn.workspace()).await?, 1);
    drop(write);
    let mut read = world.store.read(&finn.grant).await?;
    assert_eq!(rows(&mut read, finn.workspace()).await?, 0);
    assert_eq!(read.fetch_all(sqlx::query_as::<_, (i32,)>("SELECT generate_series(1, 3)")).await?, [(1,), (2,), (3,)]);
    let doubled = sqlx::query("SELECT $1::int AS n").bind(4).try_map(|row: PgRow| Ok(2 * row.try_get::<i32, _>("n")?));
    assert_eq!(read.fetch_one(doubled).await?, 8);
    let none = read.fetch_optional(sqlx::query_scalar::<_, i32>("SELECT 1 WHERE false")).await?;
    assert_eq!(none, None);
    assert!(matches!(read.fetch_one(sqlx::query("SELECT 1 WHERE false")).await, Err(StoreError::Backend(_))));
    Ok(())
}

async fn rows(tx: &mut PgTx<impl TxMode>, workspace: WorkspaceId) -> Result<i64, BoxError> {
    let count = sqlx::query_scalar("SELECT count(*) FROM counted.rows WHERE workspace_id = $1");
    Ok(tx.fetch_one(count.bind(workspace.uuid())).await?)
}
