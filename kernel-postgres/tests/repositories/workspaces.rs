//! Workspaces.

use chrono::SubsecRound;

use crate::Outcome;
use crate::world::{World, refused};
use saas_kernel::StoreError;
use saas_kernel::access::catalog::Access;
use saas_kernel::id::WorkspaceId;
use saas_kernel::page::PageRequest;
use saas_kernel::store::{Proof, Store};
use saas_kernel::tenancy::workspaces::{NewWorkspace, Rename, WorkspaceCreation};

pub(crate) async fn suite() -> Outcome {
    reading().await?;
    slugs_and_names().await?;
    the_systems().await
}

async fn reading() -> Outcome {
    let world = World::new().await?;
    let (ada, eve) = (world.person("Ada").await?, world.person("Eve").await?);
    for slug in ["second", "third", "fourth"] {
        let session = world.authenticate(&ada.token, None).await?.ok_or("a caller")?.person()?.clone();
        world.found(&session, slug).await?;
    }
    let slugs = ["ada", "second", "third", "fourth"];

    // Oldest first, in pages; one's own only.
    let mut tx = world.own(&ada).await?;
    let (mut page, mut seen) = (PageRequest::first(3), Vec::new());
    for expect in [3, 1] {
        let found = tx.workspaces().of_user(ada.user(), &page).await?;
        assert_eq!(found.items.len(), expect);
        page.after = found.next;
        seen.extend(found.items);
    }
    assert_eq!(page.after, None, "the last page says so");
    assert_eq!(seen.iter().map(|w| w.slug.as_str()).collect::<Vec<_>>(), slugs);
    for workspace in &seen {
        assert_eq!(tx.workspaces().find(workspace.id).await?.as_ref(), Some(workspace), "one's own can be found");
    }
    assert_eq!(tx.workspaces().of_user(eve.user(), &PageRequest::first(3)).await?.items, [], "another person's");
    assert_eq!(tx.workspaces().find(eve.workspace()).await?, None, "another person's");
    drop(tx);

    // A workspace's scope sees that one.
    let mut tx = world.tenant(&ada).await?;
    assert_eq!(tx.workspaces().find(ada.workspace()).await?.as_ref(), seen.first());
    for other in [eve.workspace(), seen.last().ok_or("the fourth")?.id, WorkspaceId::generate(world.now())] {
        assert_eq!(tx.workspaces().find(other).await?, None, "another workspace sees nothing");
        assert!(!tx.workspaces().lock(other).await?, "and locks nothing");
        let rename = Rename { name: Some("Mine".parse()?), slug: None };
        assert_eq!(tx.workspaces().rename(other, &rename, world.now()).await?, None, "and changes nothing");
    }
    drop(tx);
    // To be read is not to be changed.
    let mut tx = world.own(&ada).await?;
    assert!(!tx.workspaces().lock(ada.workspace()).await?, "a person's scope reads only");
    assert_eq!(tx.workspaces().rename(ada.workspace(), &Rename::default(), world.now()).await?, None);
    Ok(())
}

async fn slugs_and_names() -> Outcome {
    let world = World::new().await?;
    let (ada, eve) = (world.person("Ada").await?, world.person("Eve").await?);
    let at = "2026-03-04T05:06:07.123456789Z".parse()?;
    let (own, id) = ("ada".parse()?, ada.workspace());

    let mut tx = world.tenant(&ada).await?;
    assert!(tx.workspaces().claim_slug(id, &own, at).await?, "one's own slug again");
    assert!(!tx.workspaces().claim_slug(id, &"eve".parse()?, at).await?, "another workspace's");
    assert!(tx.workspaces().claim_slug(id, &"newer".parse()?, at).await?, "and the transaction goes on");
    let rename = Rename { name: Some("Renamed".parse()?), slug: Some("newer".parse()?) };
    let renamed = tx.workspaces().rename(id, &rename, at).await?.ok_or("its own workspace")?;
    assert_eq!((renamed.name.as_str(), renamed.slug.as_str()), ("Renamed", "newer"));
    assert_eq!(renamed.updated_at, at.trunc_subsecs(6));
    assert_eq!(tx.workspaces().find(id).await?, Some(renamed.clone()), "its own write");
    drop(tx);
    let mut tx = world.tenant(&ada).await?;
    assert_eq!(tx.workspaces().find(id).await?.ok_or("it is there")?.slug, "ada", "dropping rolls back");
    drop(tx);
    let mut tx = world.tenant(&eve).await?;
    assert!(tx.workspaces().claim_slug(eve.workspace(), &"newer".parse()?, at).await?, "also the claim");
    let kept = Rename { name: None, slug: None };
    assert_eq!(tx.workspaces().rename(eve.workspace(), &kept, at).await?.ok_or("its own")?.slug, "eve");
    drop(tx);

    // Nothing is claimed or made for another workspace, nor for one that never comes to be.
    let mut tx = world.tenant(&eve).await?;
    let write = tx.workspaces().claim_slug(id, &"stolen".parse()?, at).await;
    refused(tx, write).await;
    let name = "Mine".parse()?;
    let new = |id| NewWorkspace { id, slug: &own, name: &name, created_by: ada.grant.actor(), at };
    let mut tx = world.tenant(&eve).await?;
    let write = tx.workspaces().insert(&new(WorkspaceId::generate(at))).await;
    refused(tx, write).await;
    let mut tx = world.tenant(&ada).await?;
    let again = tx.workspaces().insert(&new(id)).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "an id is used once: {again:?}");
    drop(tx);
    let creation = WorkspaceCreation::by(&ada.session);
    let mut tx = world.store.begin(creation.scope()).await?;
    assert!(tx.workspaces().claim_slug(creation.workspace(), &"nobody".parse()?, at).await?);
    assert!(tx.commit().await.is_err(), "a slug of no workspace");
    assert_eq!(world.found(&ada.session, "nobody").await?.slug, "nobody", "is still free");
    Ok(())
}

async fn the_systems() -> Outcome {
    let world = World::new().await?;
    let ada = world.person("Ada").await?;
    let (id, now) = (ada.workspace(), world.now());
    let mut tx = world.tenant(&ada).await?;
    let write = tx.workspaces().set_plan(id, Some("pro"), Access::Full, now).await;
    refused(tx, write).await;

    let mut tx = world.system().await?;
    assert!(tx.workspaces().lock(id).await? && !tx.workspaces().lock(WorkspaceId::generate(now)).await?);
    tx.workspaces().set_plan(id, Some("pro"), Access::ReadOnly, now).await?;
    tx.commit().await?;
    let found = world.tenant(&ada).await?.workspaces().find(id).await?.ok_or("it is there")?;
    assert_eq!((found.plan.as_deref(), found.access, found.updated_at), (Some("pro"), Access::ReadOnly, now));
    let mut tx = world.system().await?;
    let write = tx.workspaces().set_plan(id, None, Access::None, now).await;
    refused(tx, write).await;
    Ok(())
}
