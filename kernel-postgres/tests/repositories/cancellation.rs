//! Callers leave: a future is polled n times and dropped, for every n until it finishes.

use std::future::{Future, poll_fn};
use std::task::Poll;

use crate::world::{Person, World, address, insert_row};
use crate::{LIMIT, Outcome};
use saas_kernel::StoreError;
use saas_kernel::audit::{self, AuditFilter};
use saas_kernel::billing::limits;
use saas_kernel::error::{BoxError, Error, Replay};
use saas_kernel::id::{UserId, WorkspaceId};
use saas_kernel::page::PageRequest;
use saas_kernel::permissions::{ReadAudit, UpdateWorkspace};
use saas_kernel::response::StoredResponse;
use saas_kernel::store::{Proof, Store};
use saas_kernel::tenancy::workspaces::{self, Rename};

/// More awaits than any call here has.
const MOST: usize = 1000;

/// The output, or `None` if it was dropped after `polls`.
async fn leaving<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let (mut future, mut polled) = (Box::pin(future), 0);
    poll_fn(move |cx| {
        if polled == polls {
            return Poll::Ready(None);
        }
        polled += 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if polled == polls => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A moment at which one can leave also where the adapter itself never waits.
async fn moment() {
    let mut waited = false;
    poll_fn(|cx| {
        if waited {
            return Poll::Ready(());
        }
        waited = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

pub(crate) async fn suite() -> Outcome {
    sign_ups().await?;
    mutations().await
}

async fn sign_ups() -> Outcome {
    let world = World::new().await?;
    for polls in 0..MOST {
        let name = format!("Leaver {polls}");
        let prepared = world.prepare(world.ctx(), &name).await?;
        let signing_up = async {
            let mut tx = world.store.begin(prepared.scope()).await?;
            moment().await;
            world.kernel.sign_up(&prepared, &mut *tx).await?.ok_or("a free address")?;
            moment().await;
            tx.commit().await?;
            moment().await;
            Ok::<_, BoxError>(())
        };
        let finished = leaving(polls, signing_up).await.transpose()?.is_some();
        let made = settled(&world, &name).await?;
        assert!(made || !finished, "what was acknowledged is there");
        let expect = if made { (true, true, 2, 1) } else { (false, false, 0, 0) };
        assert_eq!(parts(&world, prepared.user(), prepared.workspace()).await?, expect, "after {polls} polls");
        if finished {
            // The store goes on, and what was left half done is free again.
            world.person("Stayer").await?;
            return Ok(());
        }
    }
    Err("a sign-up never finished".into())
}

/// Whether `name` has signed up, once whoever left is really gone: a second sign-up waits for the first to end.
async fn settled(world: &World, name: &str) -> Result<bool, BoxError> {
    let second = world.prepare(world.ctx(), name).await?;
    let mut tx = world.store.begin(second.scope()).await?;
    let taken = world.kernel.sign_up(&second, &mut *tx).await?.is_none();
    drop(tx);
    let found = world.lookups().await?.login(&address(name).parse()?).await?.is_some();
    assert_eq!(found, taken, "an address is taken exactly if somebody can log in with it");
    Ok(found)
}

/// Account, workspace, counters, audit entries.
async fn parts(world: &World, user: UserId, workspace: WorkspaceId) -> Result<(bool, bool, usize, usize), StoreError> {
    let mut tx = world.system().await?;
    Ok((
        tx.users().find(user).await?.is_some(),
        tx.workspaces().find(workspace).await?.is_some(),
        tx.limits().all(workspace).await?.len(),
        tx.audit_log().list(workspace.into(), &AuditFilter::default(), &PageRequest::first(9)).await?.items.len(),
    ))
}

async fn mutations() -> Outcome {
    let world = World::new().await?;
    let ada = world.person("Ada").await?;
    let mut tx = world.system().await?;
    tx.limits().set_caps(ada.workspace(), &world.kernel.catalog().plan_of(Some("pro")).limits).await?;
    tx.commit().await?;
    let mut made = 0;
    for polls in 0..MOST {
        let key = format!("key-{polls}");
        let finished = leaving(polls, mutation(&world, &ada, &key)).await.transpose()?.is_some();
        // The key tells whether it was committed; to ask waits for whoever left.
        let grant = world.with_key(&ada, &key, "").await?.member()?.clone();
        let committed = match world.store.begin(grant.scope()).await {
            Ok(_free) => false,
            Err(StoreError::Replay(Replay::Response(answer))) => answer.body == key.as_bytes(),
            Err(other) => return Err(other.into()),
        };
        assert!(committed || !finished, "what was acknowledged is there");
        made += u64::from(committed);
        let mut tx = world.tenant(&ada).await?;
        let name = workspaces::get(&ada.grant.allow()?, &mut *tx).await?.name;
        assert_eq!(name == key, committed, "after {polls} polls");
        let usage = limits::check_limit(&ada.grant, &mut *tx, LIMIT).await?.usage;
        let filter = AuditFilter { action: Some("workspace.update".to_owned()), ..AuditFilter::default() };
        let log = audit::list(&ada.grant.allow::<ReadAudit>()?, &mut *tx, &filter, &PageRequest::first(100)).await?;
        assert_eq!((usage, log.items.len() as u64), (made, made), "after {polls} polls");
        if finished {
            return Ok(());
        }
    }
    Err("a mutation never finished".into())
}

/// A limit, a row, a change, its records and an answer.
async fn mutation(world: &World, person: &Person, key: &str) -> Result<(), Error> {
    let grant = world.with_key(person, key, "").await.map_err(Error::broken)?.member()?.clone();
    let can = grant.allow::<UpdateWorkspace>()?;
    let mut tx = world.store.begin(grant.scope()).await?;
    moment().await;
    limits::reserve(&can, &mut *tx, LIMIT, 2).await?;
    moment().await;
    insert_row(&mut *tx).await?;
    moment().await;
    workspaces::rename(&can, &mut *tx, Rename { name: Some(key.parse()?), slug: None }).await?;
    tx.records().response(StoredResponse::new(200, key.as_bytes().to_vec()));
    moment().await;
    tx.commit().await?;
    moment().await;
    Ok(())
}
