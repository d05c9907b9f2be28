//! Calls that are under way while what let them in is changed: signed out, removed, another role, a revoked key, a workspace that
//! is suspended or loses a feature. By the numbers of the records, nothing of theirs comes after the change.

use std::sync::Arc;

use futures_util::future::{join, join_all};

use crate::Outcome;
use crate::world::{Person, World};
use saas_kernel::access::catalog::Access;
use saas_kernel::access::{Call, Grant, Mode};
use saas_kernel::audit::{self, AuditEntry};
use saas_kernel::billing::entitlements::{Feature, require, set_plan};
use saas_kernel::error::BoxError;
use saas_kernel::id::ApiKeyId;
use saas_kernel::identity::api_keys::ApiKey;
use saas_kernel::identity::authenticate::{Caller, Keep};
use saas_kernel::identity::credential::Credential;
use saas_kernel::identity::login::logout;
use saas_kernel::identity::lookups::WorkspaceRef;
use saas_kernel::permissions::{ManageBilling, ReadWorkspace, UpdateWorkspace};
use saas_kernel::secret::Token;
use saas_kernel::store::{Proof, Store, TenancyRepositories, Tx};
use saas_kernel::tenancy::members::NewMembership;
use saas_kernel::{Actor, StoreError, Subject};
use saas_kernel_postgres::{PgResult, PgTx};

/// Calls at once.
const N: usize = 24;

/// Begins, records, and commits; whether it was kept.
async fn write(world: &World, proof: &impl Proof, entry: AuditEntry) -> Result<bool, BoxError> {
    let mut tx = world.store.begin(proof.scope()).await?;
    tx.records().audit(entry);
    match tx.commit().await {
        Ok(()) => Ok(true),
        Err(StoreError::AccessChanged) => Ok(false),
        Err(other) => Err(other.into()),
    }
}

/// Runs `change` in the middle of `calls`. All of the kept entries `action` come before the entry or event that `change` wrote,
/// which is the last one with another action by the highest number; returns how many were kept.
async fn overtaken(
    world: &World,
    action: &str,
    calls: Vec<impl Future<Output = Result<bool, BoxError>>>,
    change: impl Future<Output = Result<i64, BoxError>>,
) -> Result<usize, BoxError> {
    let (kept, changed) = join(join_all(calls), change).await;
    let (kept, changed) = (kept.into_iter().collect::<Result<Vec<_>, _>>()?, changed?);
    let mut tx = world.system.begin_system("test").await?;
    let after = "SELECT count(*) FILTER (WHERE seq > $2), count(*) FROM kernel.audit_log WHERE action = $1";
    let (after, all): (i64, i64) = sqlx::query_as(after).bind(action).bind(changed).fetch_one(tx.conn()).await?;
    let kept = kept.into_iter().filter(|kept| *kept).count();
    assert_eq!((after, usize::try_from(all)?), (0, kept), "{action}: nothing is kept after the change was");
    Ok(kept)
}

/// The number of the newest audit entry with this action.
async fn number(world: &World, action: &str) -> Result<i64, BoxError> {
    let mut tx = world.system.begin_system("test").await?;
    let newest = sqlx::query_scalar("SELECT max(seq) FROM kernel.audit_log WHERE action = $1");
    Ok(newest.bind(action).fetch_one(tx.conn()).await?)
}

pub(crate) async fn suite() -> Outcome {
    let world = World::new().await?;
    signed_out(&world).await?;
    removed_and_changed(&world).await?;
    key_revoked(&world).await?;
    workspace_changed(&world).await
}

async fn signed_out(world: &World) -> Outcome {
    let ada = world.person("Ada").await?;
    // What is under way is not kept, in a workspace and for what is one's own.
    let (own, tenant) = (world.own(&ada).await?, world.tenant(&ada).await?);
    let mut tx = world.own(&ada).await?;
    logout(&ada.session, &mut *tx, &ada.token).await?;
    tx.commit().await?;
    for (mut tx, about) in [(own, Subject::Person(ada.user())), (tenant, Subject::Workspace(ada.workspace()))] {
        tx.records().audit(AuditEntry::new(&world.ctx(), Actor::User(ada.user()), about, "test.late"));
        let commit = tx.commit().await;
        assert!(matches!(commit, Err(StoreError::AccessChanged)), "signed out: {commit:?}");
    }
    world.kernel.log_out(&ada.session, &ada.token).await?; // again, as by a double click
    // At the same moment.
    for own in [true, false] {
        let eve = world.person(if own { "Eve" } else { "Joan" }).await?;
        let action = if own { "test.own" } else { "test.tenant" };
        let call = async || {
            let ctx = world.ctx();
            if own {
                write(world, &eve.session, AuditEntry::new(&ctx, Actor::User(eve.user()), eve.user(), action)).await
            } else {
                write(world, &*eve.grant, AuditEntry::by(&eve.grant, action)).await
            }
        };
        let change = async {
            let mut tx = world.own(&eve).await?;
            logout(&eve.session, &mut *tx, &eve.token).await?;
            tx.commit().await?;
            number(world, "user.logout").await
        };
        overtaken(world, action, (0..N).map(|_| call()).collect(), change).await?;
        assert!(!call().await?, "and nothing afterwards");
    }
    Ok(())
}

async fn join_as(world: &World, ada: &Person, name: &str) -> Result<(Person, Arc<Grant>), BoxError> {
    let person = world.person(name).await?;
    let new = NewMembership { workspace: ada.workspace(), user: person.user(), role: "admin", at: world.now() };
    let mut tx = world.system().await?;
    tx.members().insert(&new).await?;
    tx.commit().await?;
    let grant = enter(world, &person.token, ada).await?.member()?.clone();
    Ok((person, grant))
}

async fn enter(world: &World, token: &Token, ada: &Person) -> Result<Caller, BoxError> {
    let caller = world.authenticate(token, Some(&WorkspaceRef::Id(ada.workspace()))).await?;
    Ok(caller.ok_or("a caller")?)
}

async fn removed_and_changed(world: &World) -> Outcome {
    let ada = world.person("Ann").await?;
    for (name, action) in [("Bea", "test.removed"), ("Cora", "test.changed"), ("Dora", "test.suspended")] {
        let (person, grant) = join_as(world, &ada, name).await?;
        let calls = (0..N).map(|_| write(world, &*grant, AuditEntry::by(&grant, action))).collect();
        let change = async {
            let (id, user, at) = (ada.workspace(), person.user(), world.now());
            let mut tx = world.system.begin_system("test").await?;
            match action {
                "test.removed" => assert!(tx.members().remove(id, user).await?),
                "test.changed" => assert!(tx.members().set_role(id, user, "viewer", at).await?),
                // By hand, as staff may do.
                _ => {
                    let suspend =
                        "UPDATE kernel.memberships SET status = 'suspended' WHERE workspace_id = $1 AND user_id = $2";
                    sqlx::query(suspend).bind(id.uuid()).bind(user.uuid()).execute(tx.conn()).await.store()?;
                    sqlx::query("SET CONSTRAINTS kernel.wait_for_commits IMMEDIATE").execute(tx.conn()).await?;
                }
            }
            let note = format!("{action}_by_system");
            Tx::records(&mut tx).audit(AuditEntry::new(&world.ctx(), Actor::System("test"), id, note.clone()));
            tx.commit().await?;
            number(world, &note).await
        };
        overtaken(world, action, calls, change).await?;
        assert!(!write(world, &*grant, AuditEntry::by(&grant, action)).await?, "{action}: nothing afterwards");
    }
    Ok(())
}

async fn key_revoked(world: &World) -> Outcome {
    let ada = world.person("Kay").await?;
    let (id, token, at) = (ApiKeyId::generate(world.now()), Token::generate(""), world.now());
    let (name, prefix, scopes) = ("key".to_owned(), "sk_".to_owned(), vec!["workspace.read".to_owned()]);
    let key = ApiKey {
        id,
        name,
        prefix,
        scopes,
        created_by: ada.user(),
        created_at: at,
        expires_at: None,
        last_used_at: None,
    };
    let mut tx = world.tenant(&ada).await?;
    tx.api_keys().insert(ada.workspace(), &key, &token.hash()).await?;
    tx.commit().await?;
    let (call, asked) = (Call::new(world.ctx()), WorkspaceRef::Id(ada.workspace()));
    let caller = world.kernel.authenticate(&call, &Credential::ApiKey(token), Some(&asked), Keep::No).await?;
    let grant = caller.ok_or("a caller")?.member()?.clone();

    let calls = (0..N).map(|_| write(world, &*grant, AuditEntry::by(&grant, "test.by_key"))).collect();
    let change = async {
        let mut tx = world.tenant(&ada).await?;
        assert!(tx.api_keys().revoke(ada.workspace(), id, world.now()).await?);
        audit::record(&ada.grant, &mut *tx, "test.revoked", "api_key", id)?;
        tx.commit().await?;
        number(world, "test.revoked").await
    };
    overtaken(world, "test.by_key", calls, change).await?;
    Ok(())
}

/// An upgrade stops nothing; what takes something that the call used stops it, and what it did not use does not.
async fn workspace_changed(world: &World) -> Outcome {
    const SSO: Feature = Feature("sso");
    let plan = async |person: &Person, plan, access| -> Outcome {
        let mut tx = world.system().await?;
        set_plan(&mut *tx, person.workspace(), plan, access, world.now()).await?;
        Ok(tx.commit().await?)
    };
    let fresh = async |person: &Person| -> Result<Arc<Grant>, BoxError> {
        Ok(enter(world, &person.token, person).await?.member()?.clone())
    };
    let may_go_on = async |grant: &Arc<Grant>| write(world, &**grant, AuditEntry::by(grant, "test.workspace")).await;

    let ada = world.person("Wanda").await?;
    let grant = fresh(&ada).await?;
    grant.allow::<UpdateWorkspace>()?;
    plan(&ada, Some("pro"), Access::Full).await?;
    assert!(may_go_on(&grant).await?, "an upgrade");

    let (relies, reads) = (fresh(&ada).await?, fresh(&ada).await?);
    require(&relies, SSO)?;
    reads.allow::<ReadWorkspace>()?;
    let writes = fresh(&ada).await?;
    writes.allow::<UpdateWorkspace>()?;
    plan(&ada, None, Access::Full).await?;
    assert!(!may_go_on(&relies).await?, "the feature is gone");
    assert!(may_go_on(&writes).await? && may_go_on(&reads).await?, "what they used is there");

    plan(&ada, None, Access::ReadOnly).await?;
    assert!(!may_go_on(&writes).await?, "read-only");
    assert!(may_go_on(&reads).await?);

    let pays = fresh(&ada).await?;
    pays.allow::<ManageBilling>()?;
    let mut tx = world.system.begin_system("test").await?;
    let suspend = "UPDATE kernel.workspaces SET status = 'suspended' WHERE id = $1";
    sqlx::query(suspend).bind(ada.workspace().uuid()).execute(PgTx::conn(&mut tx)).await?;
    tx.commit().await?;
    assert!(!may_go_on(&reads).await?, "suspended");
    assert!(may_go_on(&pays).await?, "paying is always allowed");
    let caller = enter(world, &ada.token, &ada).await?;
    assert_eq!(caller.member().err().map(|refusal| refusal.code()), Some("workspace_suspended"));
    caller.member_for(Mode::Always)?.allow::<ManageBilling>()?;
    let refused = caller.member_for(Mode::Always)?.allow::<ReadWorkspace>();
    assert_eq!(refused.err().map(|refusal| refusal.code()), Some("workspace_suspended"));
    let stranger = world.person("Sten").await?;
    assert_eq!(
        enter(world, &stranger.token, &ada).await?.member().err().map(|refusal| refusal.code()),
        Some("not_found")
    );
    Ok(())
}
