//! Memberships.

use chrono::{DateTime, SubsecRound, Utc};

use crate::Outcome;
use crate::world::{Person, World, over, refused};
use saas_kernel::StoreError;
use saas_kernel::access::OWNER;
use saas_kernel::access::catalog::SEATS;
use saas_kernel::id::WorkspaceId;
use saas_kernel::identity::lookups::WorkspaceRef;
use saas_kernel::page::PageRequest;
use saas_kernel::store::{Proof, Store};
use saas_kernel::tenancy::members::{Member, NewMembership};
use saas_kernel::tenancy::workspaces::WorkspaceCreation;

pub(crate) async fn suite() -> Outcome {
    let world = World::new().await?;
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
    let creation = WorkspaceCreation::by(&eve.session);
    for (workspace, user, why) in [
        (ada.workspace(), eve.user(), "another workspace"),
        (creation.workspace(), ada.user(), "another person"),
        (creation.workspace(), eve.user(), "a workspace that is not there yet"),
    ] {
        let mut tx = world.store.begin(creation.scope()).await?;
        let write = tx.members().insert(&new(workspace, user)).await;
        assert!(write.is_err(), "{why}");
        over(&mut *tx).await;
    }

    // The system does; from the next call on the person belongs there, as what they were made.
    let asked = WorkspaceRef::Id(ada.workspace());
    assert!(world.authenticate(&eve.token, Some(&asked)).await?.ok_or("a caller")?.member().is_err());
    let mut tx = world.system().await?;
    tx.members().insert(&new(ada.workspace(), eve.user())).await?;
    drop(tx);
    assert!(world.authenticate(&eve.token, Some(&asked)).await?.ok_or("a caller")?.member().is_err(), "rolled back");
    let mut tx = world.system().await?;
    tx.members().insert(&new(ada.workspace(), eve.user())).await?;
    tx.commit().await?;
    let grant = world.authenticate(&eve.token, Some(&asked)).await?.ok_or("a caller")?.member()?.clone();
    assert_eq!((grant.role().name.as_str(), grant.workspace()), ("member", ada.workspace()));
    let mut tx = world.own(&eve).await?;
    assert_eq!(tx.workspaces().of_user(eve.user(), &PageRequest::first(9)).await?.items.len(), 2);
    drop(tx);

    listed_changed_removed(&world, &ada, &eve).await?;

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

/// Eve belongs to Ada's workspace too; Mallory does not.
async fn listed_changed_removed(world: &World, ada: &Person, eve: &Person) -> Outcome {
    let (id, page, at) = (ada.workspace(), PageRequest::first(9), world.now());
    let mallory = world.person("Mallory").await?;
    let seats = async || -> Result<u64, StoreError> {
        Ok(world.tenant(ada).await?.limits().usage(id, SEATS).await?.map_or(0, |usage| usage.used))
    };
    assert_eq!(seats().await?, 2, "members take seats");
    let mut tx = world.tenant(ada).await?;
    let listed = tx.members().list(id, &page).await?.items;
    assert_eq!(listed.iter().map(|member| member.name.as_str()).collect::<Vec<_>>(), ["Ada", "Eve"]);
    let mut rest = page;
    rest.after = listed.first().map(Member::position);
    assert_eq!(tx.members().list(id, &rest).await?.items.as_slice(), listed.get(1..).unwrap_or_default());
    assert_eq!(tx.members().find(id, eve.user()).await?.as_ref(), listed.get(1));
    assert_eq!(tx.members().find(id, mallory.user()).await?, None);
    assert!(tx.members().has_email(id, &"EVE@example.com".parse()?).await?);
    assert!(!tx.members().has_email(id, &mallory.email).await?);
    assert!(
        tx.members().has_other_with_role(id, "member", ada.user()).await?
            && !tx.members().has_other_with_role(id, OWNER, ada.user()).await?
    );
    drop(tx);
    let mut tx = world.own(eve).await?;
    let mine = tx.members().of_user(eve.user(), &page).await?.items;
    assert_eq!(
        mine.iter().map(|b| (b.slug.as_str(), b.role.as_str())).collect::<Vec<_>>(),
        [("ada", "member"), ("eve", OWNER)]
    );
    assert_eq!(tx.members().of_user(ada.user(), &page).await?.items, [], "another person's");
    drop(tx);

    // Another workspace sees and changes nothing.
    let mut tx = world.tenant(&mallory).await?;
    assert_eq!(tx.members().list(id, &page).await?.items, []);
    assert_eq!(tx.members().find(id, ada.user()).await?, None);
    assert!(
        !tx.members().has_email(id, &ada.email).await?
            && !tx.members().has_other_with_role(id, OWNER, eve.user()).await?
    );
    assert!(!tx.members().set_role(id, eve.user(), OWNER, at).await? && !tx.members().remove(id, eve.user()).await?);
    tx.commit().await?;

    let mut tx = world.tenant(ada).await?;
    assert!(tx.members().set_role(id, eve.user(), "admin", at).await?);
    assert_eq!(tx.members().find(id, eve.user()).await?.ok_or("Eve")?.role, "admin");
    assert!(!tx.members().set_role(id, mallory.user(), "admin", at).await?);
    assert!(tx.members().remove(id, eve.user()).await? && !tx.members().remove(id, eve.user()).await?);
    drop(tx);
    assert_eq!(seats().await?, 2, "dropping rolls back");
    let mut tx = world.tenant(ada).await?;
    assert!(tx.members().remove(id, eve.user()).await?);
    tx.commit().await?;
    assert_eq!(seats().await?, 1, "the seat is free again");
    let at = "2026-03-04T05:06:07.123456789Z".parse::<DateTime<Utc>>()?;
    let mut tx = world.system().await?;
    tx.members().insert(&NewMembership { workspace: id, user: eve.user(), role: "member", at }).await?;
    tx.commit().await?;
    let joined = world.tenant(ada).await?.members().find(id, eve.user()).await?.ok_or("Eve")?.joined_at;
    assert_eq!(joined, at.trunc_subsecs(6), "in microseconds");
    Ok(())
}
