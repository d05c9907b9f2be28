//! Idempotency keys.

use crate::Outcome;
use crate::world::{Person, World};
use saas_kernel::StoreError;
use saas_kernel::error::{BoxError, Replay};
use saas_kernel::guard::idempotency;
use saas_kernel::response::StoredResponse;
use saas_kernel::store::{Proof, Store, Tx};
use saas_kernel::tenancy::workspaces::WorkspaceCreation;

/// Begins the call of `key` with `body` in the person's workspace.
async fn begin(
    world: &World,
    person: &Person,
    key: &str,
    body: &str,
) -> Result<Result<Box<dyn Tx>, StoreError>, BoxError> {
    let grant = world.with_key(person, key, body).await?.member()?.clone();
    Ok(world.store.begin(grant.scope()).await)
}

pub(crate) async fn suite() -> Outcome {
    let world = World::new().await?;
    let (ada, eve) = (world.person("Ada").await?, world.person("Eve").await?);
    let answer = StoredResponse::new(201, "{\"made\":1}").header("Location", "/made/1").header("ETag", "\"1\"");

    drop(begin(&world, &ada, "k", "a").await??);
    let mut tx = begin(&world, &ada, "k", "a").await??;
    tx.records().response(answer.clone());
    tx.commit().await?;
    let again = begin(&world, &ada, "k", "a").await?.err().ok_or("the key is used")?;
    assert!(matches!(&again, StoreError::Replay(Replay::Response(kept)) if **kept == answer), "{again:?}");
    let other = begin(&world, &ada, "k", "b").await?.err().ok_or("the key is used")?;
    assert!(matches!(other, StoreError::Replay(Replay::OtherRequest)), "{other:?}");
    drop(begin(&world, &ada, "another", "a").await??);
    drop(begin(&world, &eve, "k", "a").await??);

    // Committed without an answer, it is still used.
    begin(&world, &ada, "silent", "a").await??.commit().await?;
    let done = begin(&world, &ada, "silent", "a").await?.err().ok_or("the key is used")?;
    assert!(matches!(done, StoreError::Replay(Replay::Done)), "{done:?}");

    // Freed, it runs again, also with another body; another caller's is not freed by it.
    drop(begin(&world, &eve, "freed", "a").await??);
    for person in [&ada, &eve] {
        let mut tx = begin(&world, person, "freed", "a").await??;
        tx.records().response(answer.clone());
        tx.commit().await?;
    }
    let grant = world.with_key(&ada, "freed", "a").await?.member()?.clone();
    idempotency::free(&world.store, &grant).await?;
    drop(begin(&world, &ada, "freed", "b").await??);
    let again = begin(&world, &eve, "freed", "a").await?.err().ok_or("the key is used")?;
    assert!(matches!(&again, StoreError::Replay(Replay::Response(_))), "{again:?}");

    // Whoever founds has a new workspace each time: the key is the person's.
    for expect in [None, Some(())] {
        let session = world.with_key(&ada, "k", "a").await?.person()?.clone();
        let begun = world.store.begin(WorkspaceCreation::by(&session).scope()).await;
        match (begun, expect) {
            (Ok(mut tx), None) => {
                tx.records().response(answer.clone());
                tx.commit().await?;
            }
            (Err(StoreError::Replay(Replay::Response(kept))), Some(())) => assert_eq!(*kept, answer),
            (begun, _) => assert!(begun.is_err() && expect.is_none(), "the first runs, the second gets its answer"),
        }
    }
    // An answer without a key is kept nowhere, and is no mistake.
    let mut tx = world.tenant(&ada).await?;
    tx.records().response(answer);
    tx.commit().await?;
    Ok(())
}
