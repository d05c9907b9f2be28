//! Limits.

use std::collections::BTreeMap;

use crate::world::{Person, World, catalog_with, delete_row, insert_row, over, refused};
use crate::{LIMIT, Outcome};
use saas_kernel::StoreError;
use saas_kernel::access::catalog::{Cap, SEATS};
use saas_kernel::billing::limits::{Reserved, Usage};
use saas_kernel::error::BoxError;

async fn used(world: &World, person: &Person) -> Result<u64, BoxError> {
    let usage = world.tenant(person).await?.limits().usage(person.workspace(), LIMIT.0).await?;
    Ok(usage.ok_or("a counter")?.used)
}

pub(crate) async fn suite() -> Outcome {
    reserving().await?;
    rows().await?;
    caps().await?;
    missing().await
}

async fn reserving() -> Outcome {
    let world = World::new().await?;
    let (ada, eve) = (world.person("Ada").await?, world.person("Eve").await?);
    let id = ada.workspace();
    let free = |used| Usage { used, cap: Cap::Finite(3) };
    let seats = Usage { used: 1, cap: Cap::Unlimited };
    let mut tx = world.tenant(&ada).await?;
    assert_eq!(tx.limits().all(id).await?, BTreeMap::from([(LIMIT.0.to_owned(), free(0)), (SEATS.to_owned(), seats)]));
    assert_eq!(tx.limits().reserve(id, LIMIT.0, 4).await?, Reserved::Full(free(0)), "more than there are");
    assert_eq!(tx.limits().reserve(id, LIMIT.0, 2).await?, Reserved::Yes, "and the transaction goes on");
    assert_eq!(tx.limits().reserve(id, LIMIT.0, 2).await?, Reserved::Full(free(2)));
    assert_eq!(tx.limits().reserve(id, LIMIT.0, 1).await?, Reserved::Yes);
    assert_eq!(tx.limits().usage(id, LIMIT.0).await?, Some(free(3)), "held in the transaction");
    assert_eq!(tx.limits().reserve(id, "unknown", 1).await?, Reserved::Unknown);
    assert_eq!(tx.limits().usage(id, "unknown").await?, None);
    // Another workspace's counters are not there.
    assert_eq!(tx.limits().reserve(eve.workspace(), LIMIT.0, 1).await?, Reserved::Unknown);
    assert_eq!(tx.limits().usage(eve.workspace(), LIMIT.0).await?, None);
    assert!(tx.limits().all(eve.workspace()).await?.is_empty());
    drop(tx);
    assert_eq!(used(&world, &ada).await?, 0, "dropping rolls back");
    let mut tx = world.own(&ada).await?;
    assert_eq!(tx.limits().reserve(id, LIMIT.0, 1).await?, Reserved::Unknown, "a person's scope has no counters");
    drop(tx);
    let mut tx = world.tenant(&ada).await?;
    assert_eq!(tx.limits().reserve(id, LIMIT.0, 2).await?, Reserved::Yes);
    tx.commit().await?;
    assert_eq!(used(&world, &ada).await?, 0, "places for which no row came are given back");

    // The system too reserves a limit in one workspace at a time.
    let mut tx = world.system().await?;
    assert_eq!(tx.limits().reserve(id, LIMIT.0, 2).await?, Reserved::Yes);
    let second = tx.limits().reserve(eve.workspace(), LIMIT.0, 1).await;
    assert!(matches!(second, Err(StoreError::Scope)), "in a second workspace: {second:?}");
    assert_eq!(tx.limits().reserve(id, LIMIT.0, 1).await?, Reserved::Yes, "and the transaction goes on");
    tx.commit().await?;
    assert_eq!((used(&world, &ada).await?, used(&world, &eve).await?), (0, 0), "all are given back");
    Ok(())
}

async fn rows() -> Outcome {
    let world = World::new().await?;
    let ada = world.person("Ada").await?;
    let id = ada.workspace();
    let mut tx = world.tenant(&ada).await?;
    assert_eq!(tx.limits().reserve(id, LIMIT.0, 2).await?, Reserved::Yes);
    insert_row(&mut *tx).await?;
    tx.commit().await?;
    assert_eq!(used(&world, &ada).await?, 1, "a row uses up the place it was reserved for, the other is given back");
    let mut tx = world.tenant(&ada).await?;
    insert_row(&mut *tx).await?;
    insert_row(&mut *tx).await?;
    let full = insert_row(&mut *tx).await;
    assert!(matches!(&full, Err(StoreError::Limit(key)) if key == LIMIT.0), "without a reservation too: {full:?}");
    over(&mut *tx).await;
    drop(tx);
    assert_eq!(used(&world, &ada).await?, 1);
    let mut tx = world.tenant(&ada).await?;
    insert_row(&mut *tx).await?;
    delete_row(&mut *tx).await?;
    delete_row(&mut *tx).await?;
    tx.commit().await?;
    assert_eq!(used(&world, &ada).await?, 0, "a deleted row gives its place back");
    Ok(())
}

async fn caps() -> Outcome {
    let world = World::new().await?;
    let (ada, eve) = (world.person("Ada").await?, world.person("Eve").await?);
    let id = ada.workspace();
    let caps = |cap| BTreeMap::from([(LIMIT.0.to_owned(), cap)]);
    let mut tx = world.tenant(&ada).await?;
    let write = tx.limits().set_caps(id, &caps(Cap::Unlimited)).await;
    refused(tx, write).await;
    let mut tx = world.tenant(&eve).await?;
    let write = tx.limits().set_caps(id, &BTreeMap::from([("more".to_owned(), Cap::Unlimited)])).await;
    refused(tx, write).await;

    for _ in 0..3 {
        let mut tx = world.tenant(&ada).await?;
        insert_row(&mut *tx).await?;
        tx.commit().await?;
    }
    // A downgrade deletes nothing and holds at once; more is more at once.
    for (cap, expect) in
        [(Cap::Finite(1), Reserved::Full(Usage { used: 3, cap: Cap::Finite(1) })), (Cap::Unlimited, Reserved::Yes)]
    {
        let mut tx = world.system().await?;
        tx.limits().set_caps(id, &caps(cap)).await?;
        tx.commit().await?;
        let mut tx = world.tenant(&ada).await?;
        assert_eq!(tx.limits().reserve(id, LIMIT.0, 1).await?, expect);
    }
    let mut tx = world.system().await?;
    tx.limits().set_caps(id, &BTreeMap::from([("boards".to_owned(), Cap::Finite(2))])).await?;
    tx.commit().await?;
    let keys: Vec<String> = world.tenant(&ada).await?.limits().all(id).await?.into_keys().collect();
    assert_eq!(keys, ["boards", SEATS, LIMIT.0], "a new limit adds its counter");
    Ok(())
}

/// A limit that came with another version of the product.
async fn missing() -> Outcome {
    let world = World::new().await?;
    let ada = world.person("Ada").await?;
    let id = ada.workspace();
    let free = |used| Usage { used, cap: Cap::Finite(3) };
    // The cap is the workspace's, whoever makes the counter: a reservation, or a row that comes without one.
    for by_row in [false, true] {
        world.run("DELETE FROM kernel.usage").await?;
        let mut tx = world.tenant(&ada).await?;
        assert_eq!(tx.limits().usage(id, LIMIT.0).await?, Some(free(0)), "it is known without being made");
        assert!(tx.limits().all(id).await?.is_empty());
        if by_row {
            insert_row(&mut *tx).await?;
        } else {
            assert_eq!(tx.limits().reserve(id, LIMIT.0, 4).await?, Reserved::Full(free(0)));
            assert_eq!(tx.limits().reserve(id, LIMIT.0, 1).await?, Reserved::Yes);
            assert_eq!(tx.limits().reserve(id, LIMIT.0, 3).await?, Reserved::Full(free(1)));
        }
        assert_eq!(tx.limits().usage(id, LIMIT.0).await?, Some(free(1)));
    }
    let mut tx = world.own(&ada).await?;
    assert_eq!(tx.limits().usage(id, LIMIT.0).await?, None, "a person's scope has no counters");
    assert_eq!(tx.limits().reserve(id, LIMIT.0, 1).await?, Reserved::Unknown);
    drop(tx);

    // Plans that drop the limit and bring another: those who still count the old one do so by the last plans that had it.
    let newer = catalog_with("free", "boards", Cap::Finite(2))?;
    world.system.sync_catalog(&newer).await?;
    world.run("DELETE FROM kernel.usage").await?;
    let mut tx = world.system().await?;
    assert_eq!(tx.limits().reserve(id, LIMIT.0, 3).await?, Reserved::Yes);
    assert_eq!(tx.limits().reserve(id, LIMIT.0, 1).await?, Reserved::Full(free(3)));
    assert_eq!(tx.limits().reserve(id, "boards", 2).await?, Reserved::Yes);
    assert_eq!(tx.limits().reserve(id, "nobodys", 1).await?, Reserved::Unknown);
    assert_eq!(tx.limits().usage(id, "nobodys").await?, None);
    Ok(())
}
