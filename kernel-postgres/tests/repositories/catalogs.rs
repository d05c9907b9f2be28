//! Applied catalogs.

use std::time::Duration;

use crate::Outcome;
use crate::world::{World, catalog_with, refused};
use saas_kernel::access::catalog::{Access, Cap};
use saas_kernel::access::entitlements::PlanTerms;
use saas_kernel::billing::entitlements::set_plan;
use saas_kernel::error::{BoxError, Explained};
use saas_kernel_postgres::CatalogOutcome;

pub(crate) async fn suite() -> Outcome {
    let world = World::new().await?;
    let (ada, now) = (world.person("Ada").await?, world.now());
    let own = PlanTerms::from(&**world.kernel.catalog());
    let mut tx = world.tenant(&ada).await?;
    let read = tx.catalogs().in_force().await;
    refused(tx, read.map(drop)).await;

    // While the system writes from the plans that are in force, no others come into force.
    let mut tx = world.system().await?;
    assert_eq!(tx.catalogs().in_force().await?, Some(own));
    let newer = catalog_with("basic", "projects", Cap::Finite(9))?;
    let (system, applied) = (world.system.clone(), newer.clone());
    let sync = tokio::spawn(async move { system.sync_catalog(&applied).await });
    waiting(&world).await?;
    let before = set_plan(&mut *tx, ada.workspace(), Some("pro"), Access::Full, now).await?;
    assert_eq!(before, world.entitlements(Some("pro"), Access::Full));
    tx.commit().await?;
    assert_eq!(sync.await??, CatalogOutcome::Applied { number: 2 });
    let mut tx = world.system().await?;
    assert_eq!(tx.catalogs().in_force().await?, Some(PlanTerms::from(&newer)));
    // Also where this process has other plans: what is written is what is in force.
    let after = set_plan(&mut *tx, ada.workspace(), Some("pro"), Access::Grace, now).await?;
    assert_eq!((after.plan(), after.cap("projects"), after.access), ("basic", Some(Cap::Finite(9)), Access::Grace));
    drop(tx);

    // Without any, no workspace is created, and the error says what to do.
    world.run("DELETE FROM kernel.catalogs").await?;
    assert_eq!(world.system().await?.catalogs().in_force().await?, None);
    let prepared = world.prepare(world.ctx(), "Eve").await?;
    let error = world.sign_up(&prepared).await.err().ok_or("an error")?;
    assert!(Explained(&error).to_string().contains("call PgSystem::sync_catalog"), "{}", Explained(&error));
    Ok(())
}

async fn waiting(world: &World) -> Result<(), BoxError> {
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity
                 WHERE datname = current_database() AND usename = 'kernel_system' AND wait_event = 'advisory')";
    let mut every = tokio::time::interval(Duration::from_millis(5));
    for _ in 0..2000 {
        every.tick().await;
        if world.is(waits).await? {
            return Ok(());
        }
    }
    Err("the plans do not wait within ten seconds".into())
}
