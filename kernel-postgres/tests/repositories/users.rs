//! Accounts.

use chrono::SubsecRound;

use crate::Outcome;
use crate::world::{World, refused};
use saas_kernel::ctx::Ctx;
use saas_kernel::id::UserId;
use saas_kernel::identity::password::PasswordHash;
use saas_kernel::identity::users::NewUser;
use saas_kernel::store::{Proof, Store};

pub(crate) async fn suite() -> Outcome {
    let world = World::new().await?;
    let (ada, eve) = (world.person("Ada").await?, world.person("Eve").await?);

    // Oneself, and colleagues of the same workspace; in whatever scope, nobody else.
    let mut tx = world.own(&ada).await?;
    let found = tx.users().find(ada.user()).await?.ok_or("oneself")?;
    assert_eq!((found.email.as_str(), found.name.as_str()), (ada.email.as_str(), "Ada"));
    assert_eq!(tx.users().find(eve.user()).await?, None, "another person");
    drop(tx);
    let mut tx = world.tenant(&ada).await?;
    assert_eq!(tx.users().find(ada.user()).await?.as_ref(), Some(&found), "a member, as the workspace sees them");
    assert_eq!(tx.users().find(eve.user()).await?, None, "a member of another workspace");
    drop(tx);
    assert_eq!(world.system().await?.users().find(ada.user()).await?, Some(found), "the system sees everybody");

    // Times come back as they went in, in microseconds.
    let ctx = Ctx::at("2026-03-04T05:06:07.123456789Z".parse()?);
    let prepared = world.prepare(ctx.clone(), "Precise").await?;
    world.sign_up(&prepared).await?.ok_or("a free address")?;
    let mut tx = world.system().await?;
    let precise = tx.users().find(prepared.user()).await?.ok_or("it was committed")?;
    assert_eq!((precise.created_at, precise.email_verified_at), (ctx.now.trunc_subsecs(6), None));
    drop(tx);

    // An address is taken in whatever case, and the transaction goes on.
    let name = "Somebody".parse()?;
    let password = PasswordHash::stored("$argon2id$conformance".to_owned());
    let prepared = world.prepare(world.ctx(), "Somebody").await?;
    let (taken, free) = ("ADA@Example.com".parse()?, "Somebody@Example.com".parse()?);
    let mut tx = world.store.begin(prepared.scope()).await?;
    let new = |id, email| NewUser { id, email, name: &name, password: &password, at: ctx.now };
    assert!(!tx.users().insert(&new(prepared.user(), &taken)).await?, "the address is taken");
    assert!(tx.users().insert(&new(prepared.user(), &free)).await?, "the transaction goes on");
    assert_eq!(tx.users().find(prepared.user()).await?.ok_or("its own write")?.email, "Somebody@Example.com");
    drop(tx);
    assert_eq!(world.system().await?.users().find(prepared.user()).await?, None, "dropping rolls back");

    // For nobody else, and nobody at all in a workspace's scope.
    let other = UserId::generate(world.now());
    let mut tx = world.store.begin(prepared.scope()).await?;
    let write = tx.users().insert(&new(other, &free)).await;
    refused(tx, write).await;
    let mut tx = world.tenant(&ada).await?;
    let write = tx.users().insert(&new(other, &free)).await;
    refused(tx, write).await;
    Ok(())
}
