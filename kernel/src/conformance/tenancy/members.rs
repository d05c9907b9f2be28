//! Memberships.

use crate::conformance::world::{World, over, refused};
use crate::conformance::{Backend, Outcome};
use crate::id::WorkspaceId;
use crate::identity::lookups::WorkspaceRef;
use crate::page::PageRequest;
use crate::store::{Scope, Store, StoreError};
use crate::tenancy::members::NewMembership;
use crate::tenancy::workspaces::Founding;

pub(in crate::conformance) async fn suite<B: Backend>(backend: &B) -> Outcome {
    let world = World::new(backend).await?;
    let (ada, eve) = (world.person("Ada").await?, world.person("Eve").await?);
    let at = world.now();
    let new = |workspace, user| NewMembership { workspace, user, role: "member", at };

    // A request makes nobody a member, not even oneself, but where one founds a workspace.
    for user in [ada.user(), eve.user()] {
        let mut tx = world.tenant(&ada).await?;
        let write = tx.members().insert(&new(ada.workspace(), user)).await;
        refused(tx, write).await;
    }
    let mut tx = world.own(&eve).await?;
    let write = tx.members().insert(&new(ada.workspace(), eve.user())).await;
    refused(tx, write).await;
    let founding = Founding::by(&eve.session);
    for (workspace, user, why) in [
        (ada.workspace(), eve.user(), "another workspace"),
        (founding.workspace(), ada.user(), "another person"),
        (founding.workspace(), eve.user(), "a workspace that is not there yet"),
    ] {
        let mut tx = world.store.begin(Scope::founding(&founding)).await?;
        let write = tx.members().insert(&new(workspace, user)).await;
        assert!(write.is_err(), "{why}");
        over(&mut *tx).await;
    }

    // The system does; from the next call on the person belongs there, as what they were made.
    let asked = WorkspaceRef::Id(ada.workspace());
    assert!(world.authenticate(&eve.token, Some(&asked)).await?.ok_or("a caller")?.grant.is_none());
    let mut tx = world.system().await?;
    tx.members().insert(&new(ada.workspace(), eve.user())).await?;
    drop(tx);
    assert!(world.authenticate(&eve.token, Some(&asked)).await?.ok_or("a caller")?.grant.is_none(), "rolled back");
    let mut tx = world.system().await?;
    tx.members().insert(&new(ada.workspace(), eve.user())).await?;
    tx.commit().await?;
    let grant = world.authenticate(&eve.token, Some(&asked)).await?.ok_or("a caller")?.grant.ok_or("a grant")?;
    assert_eq!((grant.role().name.as_str(), grant.workspace()), ("member", ada.workspace()));
    let mut tx = world.own(&eve).await?;
    assert_eq!(tx.workspaces().of_user(eve.user(), &PageRequest::first(9)).await?.items.len(), 2);
    drop(tx);

    // Once; the error ends the transaction.
    let mut tx = world.system().await?;
    let again = tx.members().insert(&new(ada.workspace(), eve.user())).await;
    assert!(matches!(&again, Err(StoreError::Conflict(constraint)) if constraint == "memberships_pkey"), "{again:?}");
    over(&mut *tx).await;
    drop(tx);
    let mut tx = world.system().await?;
    let write = tx.members().insert(&new(WorkspaceId::generate(at), eve.user())).await;
    refused(tx, write).await;
    Ok(())
}
