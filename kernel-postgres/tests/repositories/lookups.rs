//! Look-ups before a scope is known.

use crate::Outcome;
use crate::world::World;
use saas_kernel::access::catalog::Access;
use saas_kernel::access::{Call, OWNER, WorkspaceStatus};
use saas_kernel::actor::Actor;
use saas_kernel::ctx::Ctx;
use saas_kernel::id::WorkspaceId;
use saas_kernel::identity::lookups::{SessionFound, WorkspaceRef};
use saas_kernel::secret::Token;
use saas_kernel::tenancy::workspaces::{self, Rename};

/// Workspace, role, plan and access of the membership that was found.
fn membership(found: &SessionFound) -> Option<(WorkspaceId, &str, Option<&str>, Access)> {
    let (workspace, member) = found.entry.as_ref()?;
    assert_eq!((workspace.status, member.active), (WorkspaceStatus::Active, true));
    assert!(workspace.version > 0 && member.version > 0);
    Some((workspace.id, member.role.as_str(), workspace.plan.as_deref(), workspace.access))
}

pub(crate) async fn suite() -> Outcome {
    let world = World::new().await?;
    let (ada, eve) = (world.person("Ada").await?, world.person("Eve").await?);
    let (hash, now) = (ada.token.hash(), world.now());
    let old: WorkspaceRef = "ada".parse()?;
    let own = (ada.workspace(), OWNER, None, Access::Full);

    // The membership in the workspace asked for, by id and by slug; none for strangers and where there is nothing.
    let missing = WorkspaceRef::Id(WorkspaceId::generate(now));
    for (asked, expect) in [
        (None, None),
        (Some(WorkspaceRef::Id(ada.workspace())), Some(own)),
        (Some(old.clone()), Some(own)),
        (Some(WorkspaceRef::Id(eve.workspace())), None),
        (Some("eve".parse()?), None),
        (Some(missing), None),
        (Some("no-such-slug".parse()?), None),
    ] {
        let found = world.lookups().await?.session(&hash, asked.as_ref(), now).await?.ok_or("a session")?;
        assert_eq!((found.user, membership(&found)), (ada.user(), expect), "{asked:?}");
    }
    let unknown = Token::generate("").hash();
    assert_eq!(world.lookups().await?.session(&unknown, Some(&old), now).await?, None);

    // By an address in whatever case.
    let found = world.lookups().await?.login(&"ADA@EXAMPLE.COM".parse()?).await?.ok_or("an account")?;
    assert_eq!(found.user, ada.user());
    assert!(world.lookups().await?.login(&"nobody@example.com".parse()?).await?.is_none());

    // What is committed, and not before; an earlier slug keeps leading to its workspace.
    let new: WorkspaceRef = "ada-renamed".parse()?;
    let can = ada.grant.allow()?;
    let mut tx = world.tenant(&ada).await?;
    let rename = Rename { name: None, slug: Some("ada-renamed".parse()?) };
    workspaces::rename(&can, &mut *tx, rename).await?;
    let before = world.lookups().await?.session(&hash, Some(&new), now).await?.ok_or("a session")?;
    assert_eq!(membership(&before), None, "not committed yet");
    tx.commit().await?;
    for slug in [&new, &old] {
        let after = world.lookups().await?.session(&hash, Some(slug), now).await?.ok_or("a session")?;
        assert_eq!(membership(&after), Some(own), "{slug:?}");
    }

    // Plan and access are those of the commit before.
    let mut tx = world.system().await?;
    tx.workspaces().set_plan(ada.workspace(), Some("pro"), Access::Grace, now).await?;
    tx.commit().await?;
    let found = world.lookups().await?.session(&hash, Some(&new), now).await?.ok_or("a session")?;
    assert_eq!(membership(&found), Some((ada.workspace(), OWNER, Some("pro"), Access::Grace)));

    // A parked connection serves the transaction that follows, and the next one has another.
    let mut lookups = world.lookups().await?;
    lookups.session(&hash, None, now).await?;
    lookups.park(Actor::User(ada.user()), &Call::new(Ctx::at(now)));
    drop(world.tenant(&ada).await?);
    Ok(())
}
