//! What let a call in is looked at again by its commit.

use std::sync::Arc;

use chrono::TimeDelta;

use crate::Outcome;
use crate::world::{Person, World};
use saas_kernel::Call;
use saas_kernel::StoreError;
use saas_kernel::access::{Grant, OWNER};
use saas_kernel::audit::{self, AuditFilter};
use saas_kernel::error::BoxError;
use saas_kernel::id::{ApiKeyId, WorkspaceId};
use saas_kernel::identity::api_keys::ApiKey;
use saas_kernel::identity::authenticate::Keep;
use saas_kernel::identity::credential::Credential;
use saas_kernel::identity::lookups::WorkspaceRef;
use saas_kernel::page::PageRequest;
use saas_kernel::secret::Token;
use saas_kernel::store::{Proof, Store, Tx};
use saas_kernel::tenancy::members::NewMembership;
use saas_kernel::tenancy::workspaces::Rename;

pub(crate) async fn suite() -> Outcome {
    let world = World::new().await?;
    let (ada, eve) = (world.person("Ada").await?, world.person("Eve").await?);
    members(&world, &ada, &eve).await?;
    keys(&world, &ada).await
}

/// Eve joins Ada's workspace; the grant is of a call that she makes then.
async fn joined(world: &World, ada: &Person, eve: &Person) -> Result<Arc<Grant>, BoxError> {
    let new = NewMembership { workspace: ada.workspace(), user: eve.user(), role: "admin", at: world.now() };
    let mut tx = world.system().await?;
    tx.members().insert(&new).await?;
    tx.commit().await?;
    let asked = WorkspaceRef::Id(ada.workspace());
    Ok(world.authenticate(&eve.token, Some(&asked)).await?.ok_or("a caller")?.member()?.clone())
}

/// Writes under `grant` and commits, with and without a record.
async fn writes(world: &World, grant: &Arc<Grant>, name: &str) -> Result<(), BoxError> {
    for records in [false, true] {
        let mut tx = world.store.begin(grant.scope()).await?;
        let rename = Rename { name: Some(name.parse()?), slug: None };
        tx.workspaces().rename(grant.workspace(), &rename, world.now()).await?.ok_or("its own workspace")?;
        if records {
            audit::record(grant, &mut *tx, "test.renamed", "workspace", grant.workspace())?;
        }
        tx.commit().await?;
    }
    Ok(())
}

/// Nothing of what it writes is kept.
async fn refused(world: &World, grant: &Arc<Grant>, why: &str) -> Outcome {
    let workspace = grant.workspace();
    let before = kept(world, workspace).await?;
    let refused = writes(world, grant, "Overtaken").await.err().ok_or(why)?;
    assert!(matches!(refused.downcast_ref(), Some(StoreError::AccessChanged)), "{why}: {refused}");
    assert_eq!(kept(world, workspace).await?, before, "{why}: nothing is kept");
    Ok(())
}

async fn kept(world: &World, workspace: WorkspaceId) -> Result<(String, usize), BoxError> {
    let mut tx = world.system().await?;
    let name = tx.workspaces().find(workspace).await?.ok_or("a workspace")?.name;
    let log = tx.audit_log().list(workspace.into(), &AuditFilter::default(), &PageRequest::first(100)).await?;
    Ok((name, log.items.len()))
}

async fn members(world: &World, ada: &Person, eve: &Person) -> Outcome {
    let (id, at) = (ada.workspace(), world.now());
    let grant = joined(world, ada, eve).await?;
    writes(world, &grant, "As let in").await?;

    let set_role = async |role| -> Outcome {
        let mut tx = world.tenant(ada).await?;
        assert!(tx.members().set_role(id, eve.user(), role, at).await?);
        Ok(tx.commit().await?)
    };
    set_role("viewer").await?;
    refused(world, &grant, "another role").await?;
    set_role("admin").await?;
    refused(world, &grant, "the same role again, after a change").await?;
    let asked = WorkspaceRef::Id(id);
    let grant = world.authenticate(&eve.token, Some(&asked)).await?.ok_or("a caller")?.member()?.clone();
    writes(world, &grant, "As before").await?;

    let mut tx = world.tenant(ada).await?;
    assert!(tx.members().remove(id, eve.user()).await?);
    tx.commit().await?;
    refused(world, &grant, "removed").await?;
    // What is her own is not touched by it.
    world.own(eve).await?.commit().await?;
    world.tenant(eve).await?.commit().await?;

    // Whoever changes their own standing finishes what they do, and that is all.
    let grant = joined(world, ada, eve).await?;
    let mut tx = world.store.begin(grant.scope()).await?;
    assert!(tx.members().set_role(id, eve.user(), "member", at).await?);
    assert!(tx.members().set_role(id, eve.user(), "viewer", at).await?, "once more");
    tx.commit().await?;
    // Nobody takes back what was taken from them.
    for role in ["admin", "viewer"] {
        let mut tx = world.store.begin(grant.scope()).await?;
        let back = tx.members().set_role(id, eve.user(), role, at).await;
        assert!(matches!(back, Err(StoreError::AccessChanged)), "{back:?}");
        assert!(tx.commit().await.is_err());
    }
    let mut tx = world.store.begin(grant.scope()).await?;
    let left = tx.members().remove(id, eve.user()).await;
    assert!(matches!(left, Err(StoreError::AccessChanged)), "{left:?}");
    drop(tx);
    let caller = world.authenticate(&eve.token, Some(&asked)).await?.ok_or("a caller")?;
    let grant = caller.member()?.clone();
    let mut tx = world.store.begin(grant.scope()).await?;
    assert!(tx.members().remove(id, eve.user()).await?);
    audit::record(&grant, &mut *tx, "test.left", "user", eve.user())?;
    tx.commit().await?;
    refused(world, &grant, "left").await?;

    // A role that is no longer configured holds nothing, and is no change either.
    let new = NewMembership { workspace: id, user: eve.user(), role: "of yesterday", at };
    let mut tx = world.system().await?;
    tx.members().insert(&new).await?;
    tx.commit().await?;
    let caller = world.authenticate(&eve.token, Some(&asked)).await?.ok_or("a caller")?;
    let grant = caller.member()?.clone();
    world.store.begin(grant.scope()).await?.commit().await?;
    let mut tx = world.tenant(ada).await?;
    assert!(tx.members().remove(id, eve.user()).await?);
    tx.commit().await?;

    // A change of somebody else's is no such excuse.
    let grant = joined(world, ada, eve).await?;
    let mut tx = world.tenant(ada).await?;
    assert!(tx.members().remove(id, eve.user()).await?);
    tx.commit().await?;
    let mut tx = world.store.begin(grant.scope()).await?;
    assert!(tx.members().set_role(id, ada.user(), "viewer", at).await?);
    let commit = tx.commit().await;
    assert!(matches!(commit, Err(StoreError::AccessChanged)), "{commit:?}");
    let mut tx = world.tenant(ada).await?;
    assert_eq!(tx.members().find(id, ada.user()).await?.ok_or("Ada")?.role, OWNER);
    Ok(())
}

async fn keys(world: &World, ada: &Person) -> Outcome {
    let (workspace, at) = (ada.workspace(), world.now());
    let asked = WorkspaceRef::Id(workspace);
    let made = async || -> Result<(ApiKeyId, Arc<Grant>), BoxError> {
        let (id, token) = (ApiKeyId::generate(world.now()), Token::generate(""));
        let (name, prefix, scopes) = ("key".to_owned(), "sk_".to_owned(), vec!["workspace.read".to_owned()]);
        let expires_at = Some(at + TimeDelta::days(1));
        let key =
            ApiKey { id, name, prefix, scopes, created_by: ada.user(), created_at: at, expires_at, last_used_at: None };
        let mut tx = world.tenant(ada).await?;
        tx.api_keys().insert(workspace, &key, &token.hash()).await?;
        tx.commit().await?;
        let caller = world
            .kernel
            .authenticate(&Call::new(world.ctx()), &Credential::ApiKey(token), Some(&asked), Keep::No)
            .await?;
        Ok((id, caller.ok_or("a caller")?.member()?.clone()))
    };
    let revoke = async |tx: &mut dyn Tx, id| tx.api_keys().revoke(workspace, id, at).await;

    let (id, grant) = made().await?;
    writes(world, &grant, "By a key").await?;
    let mut tx = world.tenant(ada).await?;
    assert!(revoke(&mut *tx, id).await?);
    drop(tx);
    writes(world, &grant, "Rolled back").await?;
    let mut tx = world.tenant(ada).await?;
    assert!(revoke(&mut *tx, id).await?);
    tx.commit().await?;
    refused(world, &grant, "revoked").await?;

    let (id, grant) = made().await?;
    let mut tx = world.store.begin(grant.scope()).await?;
    assert!(revoke(&mut *tx, id).await?);
    tx.commit().await?;
    refused(world, &grant, "revoked by itself").await?;
    // Again is no excuse for anything else that the transaction does.
    let mut tx = world.store.begin(grant.scope()).await?;
    let again = revoke(&mut *tx, id).await;
    assert!(matches!(again, Err(StoreError::AccessChanged)), "{again:?}");
    Ok(())
}
