//! Transactions and proofs.

use crate::world::{self, Person, World, delete_row, insert_row, over};
use crate::{LIMIT, Outcome};
use saas_kernel::StoreError;
use saas_kernel::access::catalog::Access;
use saas_kernel::actor::Actor;
use saas_kernel::audit::{self, AuditFilter};
use saas_kernel::billing::{entitlements, limits};
use saas_kernel::error::Error;
use saas_kernel::id::{ApiKeyId, InviteId};
use saas_kernel::identity::api_keys::{self, ApiKeySettings, NewApiKey};
use saas_kernel::identity::users;
use saas_kernel::page::PageRequest;
use saas_kernel::permissions::{ReadAudit, ReadWorkspace, UpdateWorkspace};
use saas_kernel::store::{Proof, Reach, Store, Tx};
use saas_kernel::tenancy::invites::{self, InviteSettings, Invited};
use saas_kernel::tenancy::members;
use saas_kernel::tenancy::workspaces::{self, Rename};

pub(crate) async fn transactions() -> Outcome {
    let world = World::new().await?;
    let ada = world.person("Ada").await?;
    world.store.ready().await?;

    // The scope is the proof's, and the system's is not to be had from the application's store.
    let tx = world.tenant(&ada).await?;
    assert_eq!((tx.scope().reach(), tx.scope().actor()), (Reach::workspace(ada.workspace()), Actor::User(ada.user())));
    drop(tx);
    let tx = world.own(&ada).await?;
    assert_eq!((tx.scope().reach(), tx.scope().actor()), (Reach::person(ada.user()), Actor::User(ada.user())));
    drop(tx);
    let tx = world.system().await?;
    let scope = tx.scope().clone();
    assert_eq!((scope.reach(), scope.actor()), (Reach::System("conformance"), Actor::System("conformance")));
    drop(tx);
    assert!(matches!(world.store.begin(scope).await, Err(StoreError::Scope)), "the system's scope is refused");

    // An error ends the transaction: nothing before it is kept, and the commit says so.
    let rename = Rename { name: Some("Never".parse()?), slug: None };
    let mut tx = world.tenant(&ada).await?;
    tx.workspaces().rename(ada.workspace(), &rename, world.now()).await?.ok_or("its own")?;
    let write = tx.limits().set_caps(ada.workspace(), &world.kernel.catalog().free().limits).await;
    assert!(write.is_err(), "a request cannot raise its own limits");
    over(&mut *tx).await;
    assert!(insert_row(&mut *tx).await.is_err() && delete_row(&mut *tx).await.is_err());
    assert!(tx.commit().await.is_err(), "a commit that keeps nothing is no success");
    let mut tx = world.tenant(&ada).await?;
    assert_eq!(tx.workspaces().find(ada.workspace()).await?.ok_or("it is there")?.name, "Ada's workspace");
    let write = tx.subscriptions().workspace_of("x", "y").await;
    assert!(matches!(write, Ok(None)), "the next transaction is a new one");
    drop(tx);

    // One after the other, many.
    for n in 0..20 {
        let mut tx = world.tenant(&ada).await?;
        let rename = Rename { name: Some(format!("Number {n}").parse()?), slug: None };
        tx.workspaces().rename(ada.workspace(), &rename, world.now()).await?.ok_or("its own")?;
        if n % 2 == 0 {
            tx.commit().await?;
        }
    }
    let mut tx = world.tenant(&ada).await?;
    assert_eq!(tx.workspaces().find(ada.workspace()).await?.ok_or("it is there")?.name, "Number 18");
    let entitlements = world.entitlements(Some("pro"), Access::Full);
    let write = tx.workspaces().set_plan(ada.workspace(), None, &entitlements, world.now()).await;
    world::refused(tx, write).await;
    Ok(())
}

pub(crate) async fn proofs() -> Outcome {
    let world = World::new().await?;
    let (ada, eve) = (world.person("Ada").await?, world.person("Eve").await?);
    let (read, update) = (ada.grant.allow::<ReadWorkspace>()?, ada.grant.allow::<UpdateWorkspace>()?);
    let log = ada.grant.allow::<ReadAudit>()?;
    for whose in ["another workspace", "a person", "the system"] {
        let mut tx = match whose {
            "another workspace" => world.tenant(&eve).await?,
            "a person" => world.own(&ada).await?,
            _ => world.system().await?,
        };
        let page = PageRequest::first(1);
        refused(workspaces::get(&read, &mut *tx).await.map(drop), whose);
        let rename = Rename { name: Some("Mine".parse()?), slug: None };
        refused(workspaces::rename(&update, &mut *tx, rename).await.map(drop), whose);
        refused(limits::reserve(&ada.grant, &mut *tx, LIMIT, 1).await, whose);
        refused(limits::check_limit(&ada.grant, &mut *tx, LIMIT).await.map(drop), whose);
        refused(entitlements::list(&read, &mut *tx).await.map(drop), whose);
        refused(audit::list(&log, &mut *tx, &AuditFilter::default(), &page).await.map(drop), whose);
        refused(audit::record(&update, &mut *tx, "test.noted", "x", "y"), whose);
        people(&ada, &mut *tx, whose).await?;
        // Nothing was done: the transaction goes on, and its commit keeps nothing of it.
        tx.commit().await?;
    }
    // An invite counts in the scope that is made of it only.
    let mut tx = world.tenant(&ada).await?;
    let (_, token) =
        invites::create(&ada.grant.allow()?, &mut *tx, &InviteSettings::default(), eve.email.clone(), "member").await?;
    tx.commit().await?;
    let invited = Invited::with(&**world.kernel.store(), &eve.session, &token).await?;
    for whose in ["the inviter", "the invited", "the person", "the system"] {
        let mut tx = match whose {
            "the inviter" => world.tenant(&ada).await?,
            "the invited" => world.tenant(&eve).await?,
            "the person" => world.own(&eve).await?,
            _ => world.system().await?,
        };
        refused(invites::accept(&invited, &mut *tx).await.map(drop), whose);
        tx.commit().await?;
    }
    let mut tx = world.store.begin(invited.scope()).await?;
    assert_eq!(tx.scope().reach(), Reach::both(eve.user(), ada.workspace()));
    let page = PageRequest::first(9);
    assert_eq!(tx.members().of_user(eve.user(), &page).await?.items, [], "no membership elsewhere");
    assert_eq!(tx.workspaces().of_user(eve.user(), &page).await?.items, [], "no workspace elsewhere");
    assert_eq!(invites::accept(&invited, &mut *tx).await?.role, "member");
    tx.commit().await?;

    let mut tx = world.tenant(&ada).await?;
    assert_eq!(workspaces::get(&read, &mut *tx).await?.name, "Ada's workspace");
    limits::reserve(&ada.grant, &mut *tx, LIMIT, 1).await?;
    drop(tx);
    let mut tx = world.own(&eve).await?;
    assert!(matches!(users::me(&ada.session, &mut *tx).await, Err(Error::Broken(_))), "another person's scope");
    assert_eq!(workspaces::of_user(&ada.session, &mut *tx, &PageRequest::first(9)).await?.items, []);
    Ok(())
}

/// What Ada may do about people and keys, she may do in her own workspace's transactions only.
async fn people(ada: &Person, tx: &mut dyn Tx, whose: &str) -> Outcome {
    let (at, page, user) = (ada.grant.now(), PageRequest::first(1), ada.user());
    refused(members::list(&ada.grant.allow()?, tx, &page).await.map(drop), whose);
    refused(members::change_role(&ada.grant.allow()?, tx, user, "viewer").await.map(drop), whose);
    refused(members::remove(&ada.grant.allow()?, tx, user).await, whose);
    refused(members::leave(&ada.grant, tx).await, whose);
    refused(
        invites::create(&ada.grant.allow()?, tx, &InviteSettings::default(), ada.email.clone(), "viewer")
            .await
            .map(drop),
        whose,
    );
    refused(invites::list(&ada.grant.allow()?, tx, &page).await.map(drop), whose);
    refused(invites::revoke(&ada.grant.allow()?, tx, InviteId::generate(at)).await, whose);
    let new = NewApiKey { name: "key".to_owned(), scopes: vec!["workspace.read".to_owned()], expires_at: None };
    refused(api_keys::create(&ada.grant.allow()?, tx, &ApiKeySettings::default(), new).await.map(drop), whose);
    refused(api_keys::list(&ada.grant.allow()?, tx, &page).await.map(drop), whose);
    refused(api_keys::revoke(&ada.grant.allow()?, tx, ApiKeyId::generate(at)).await, whose);
    Ok(())
}

fn refused(result: Result<(), Error>, whose: &str) {
    assert!(matches!(result, Err(Error::Store(StoreError::Scope))), "in a transaction of {whose}: {result:?}");
}
