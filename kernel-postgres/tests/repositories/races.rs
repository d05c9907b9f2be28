//! Many callers at once: exactly one winner.

use chrono::TimeDelta;
use serde_json::json;

use crate::world::{World, insert_row};
use crate::{LIMIT, Outcome};
use futures_util::future::join_all;
use saas_kernel::Call;
use saas_kernel::StoreError;
use saas_kernel::access::catalog::Cap;
use saas_kernel::billing::limits::Reserved;
use saas_kernel::billing::provider::ProviderEvent;
use saas_kernel::error::{BoxError, Error, Replay};
use saas_kernel::id::{ApiKeyId, InviteId};
use saas_kernel::identity::api_keys::ApiKey;
use saas_kernel::identity::authenticate::Keep;
use saas_kernel::identity::credential::Credential;
use saas_kernel::identity::lookups::WorkspaceRef;
use saas_kernel::response::StoredResponse;
use saas_kernel::secret::Token;
use saas_kernel::store::{Proof, Store};
use saas_kernel::tenancy::invites::{Invited, NewInvite};

/// So many callers.
const N: usize = 8;

/// How many won; whatever broke is the error.
fn winners(won: Vec<Result<bool, BoxError>>) -> Result<usize, BoxError> {
    let won = won.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(won.into_iter().filter(|won| *won).count())
}

pub(crate) async fn suite() -> Outcome {
    names().await?;
    missing_counters().await?;
    keys().await?;
    invites().await?;
    revocations().await?;
    events().await
}

async fn names() -> Outcome {
    let world = World::new().await?;
    // One address.
    let mut prepared = Vec::new();
    for _ in 0..N {
        prepared.push(world.prepare(world.ctx(), "Twin").await?);
    }
    let won = join_all(prepared.iter().map(|prepared| async { Ok(world.sign_up(prepared).await?.is_some()) })).await;
    assert_eq!(winners(won)?, 1, "one address, one account");
    // One slug.
    let ada = world.person("Ada").await?;
    let won = join_all((0..N).map(|_| async {
        match world.found(&ada.session, "wanted").await {
            Ok(_) => Ok(true),
            Err(Error::Refused(refusal)) if refusal.code() == "slug_taken" => Ok(false),
            Err(other) => Err(other.into()),
        }
    }))
    .await;
    assert_eq!(winners(won)?, 1, "one slug, one workspace");
    Ok(())
}

async fn keys() -> Outcome {
    let world = World::new().await?;
    let ada = world.person("Ada").await?;
    // One key.
    let answer = StoredResponse::new(201, b"made".to_vec());
    let won = join_all((0..N).map(|_| async {
        let grant = world.with_key(&ada, "once", "").await?.member()?.clone();
        match world.store.begin(grant.scope()).await {
            Ok(mut tx) => {
                tx.records().response(answer.clone());
                tx.commit().await?;
                Ok(true)
            }
            Err(StoreError::Replay(Replay::Response(kept))) if *kept == answer => Ok(false),
            Err(StoreError::Replay(Replay::InFlight)) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }))
    .await;
    assert_eq!(winners(won)?, 1, "one key, one answer");
    // The last place: with a reservation, and by a row that comes without one.
    for reserves in [true, false] {
        let eve = world.person(if reserves { "Eve" } else { "Joan" }).await?;
        for _ in 0..2 {
            let mut tx = world.tenant(&eve).await?;
            insert_row(&mut *tx).await?;
            tx.commit().await?;
        }
        let won = join_all((0..N).map(|_| async {
            let mut tx = world.tenant(&eve).await?;
            if reserves && tx.limits().reserve(eve.workspace(), LIMIT.0, 1).await? != Reserved::Yes {
                return Ok(false);
            }
            match insert_row(&mut *tx).await {
                Ok(()) => tx.commit().await.map(|()| true).map_err(BoxError::from),
                Err(StoreError::Limit(_)) => Ok(false),
                Err(other) => Err(other.into()),
            }
        }))
        .await;
        assert_eq!(winners(won)?, 1, "one place, one row");
        let usage = world.tenant(&eve).await?.limits().usage(eve.workspace(), LIMIT.0).await?.ok_or("a counter")?;
        assert_eq!(usage.used, 3);
    }
    Ok(())
}

/// The counter is made by the first of them: exactly the cap is admitted, and all are counted.
async fn missing_counters() -> Outcome {
    let world = World::new().await?;
    for reserves in [true, false] {
        let eve = world.person(if reserves { "Eve" } else { "Joan" }).await?;
        world.run("DELETE FROM kernel.usage WHERE key = 'projects'").await?;
        let won = join_all((0..N).map(|n| {
            let (world, eve) = (&world, &eve);
            async move {
                let mut tx = world.tenant(eve).await?;
                if reserves && tx.limits().reserve(eve.workspace(), LIMIT.0, 1).await? != Reserved::Yes {
                    return Ok(false);
                }
                match insert_row(&mut *tx).await {
                    // One leaves without a commit: those who wait for its counter make it then.
                    Ok(()) if n == 0 => Ok(false),
                    Ok(()) => tx.commit().await.map(|()| true).map_err(BoxError::from),
                    Err(StoreError::Limit(_)) => Ok(false),
                    Err(other) => Err(other.into()),
                }
            }
        }))
        .await;
        assert_eq!(winners(won)?, 3, "three places, three rows (reserves: {reserves})");
        let usage = world.tenant(&eve).await?.limits().usage(eve.workspace(), LIMIT.0).await?.ok_or("a counter")?;
        assert_eq!((usage.used, usage.cap), (3, Cap::Finite(3)));
    }
    Ok(())
}

/// Without the lock that accepting takes: one statement uses an invite up.
async fn invites() -> Outcome {
    let world = World::new().await?;
    let (ada, eve, at) = (world.person("Ada").await?, world.person("Eve").await?, world.now());
    let (workspace, token) = (ada.workspace(), Token::generate(""));
    let (id, expires_at, email) = (InviteId::generate(at), at + TimeDelta::days(7), &eve.email);
    let new = NewInvite { id, workspace, email, role: "member", token: token.hash(), by: ada.user(), at, expires_at };
    let mut tx = world.tenant(&ada).await?;
    tx.invites().put(&new).await?;
    tx.commit().await?;
    let invited = Invited::with(&world.store, &eve.session, &token).await?;
    let won = join_all((0..N).map(|_| async {
        let mut tx = world.store.begin(invited.scope()).await?;
        let won = tx.invites().consume(workspace, &token.hash(), eve.user(), at).await?.is_some();
        tx.commit().await?;
        Ok(won)
    }))
    .await;
    assert_eq!(winners(won)?, 1, "one invite, used once");
    Ok(())
}

/// A key that revokes itself, in many calls: they neither all win nor wait for each other in a circle.
async fn revocations() -> Outcome {
    let world = World::new().await?;
    let (ada, at) = (world.person("Ada").await?, world.now());
    let (workspace, id, token) = (ada.workspace(), ApiKeyId::generate(at), Token::generate(""));
    let (name, prefix, scopes) = ("key".to_owned(), "sk_".to_owned(), vec!["workspace.read".to_owned()]);
    let (created_by, last_used_at) = (ada.user(), None);
    let key = ApiKey { id, name, prefix, scopes, created_by, created_at: at, expires_at: None, last_used_at };
    let mut tx = world.tenant(&ada).await?;
    tx.api_keys().insert(workspace, &key, &token.hash()).await?;
    tx.commit().await?;
    let asked = WorkspaceRef::Id(workspace);
    let caller = world
        .kernel
        .authenticate(&Call::new(world.ctx()), &Credential::ApiKey(token), Some(&asked), Keep::No)
        .await?
        .ok_or("a caller")?;
    let grant = caller.member()?.clone();
    let won = join_all((0..N).map(|_| async {
        let mut tx = world.store.begin(grant.scope()).await?;
        match tx.api_keys().revoke(workspace, id, at).await {
            Ok(won) => tx.commit().await.map(|()| won).map_err(BoxError::from),
            Err(StoreError::AccessChanged) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }))
    .await;
    assert_eq!(winners(won)?, 1, "one key, revoked once");
    Ok(())
}

async fn events() -> Outcome {
    let world = World::new().await?;
    let now = world.now();
    let event = ProviderEvent::new("evt_1", "x", now, json!({}));
    let won = join_all((0..N).map(|_| async {
        let mut tx = world.system().await?;
        let new = tx.inbox().receive("conformance", &event, now).await?;
        tx.commit().await?;
        Ok(new)
    }))
    .await;
    assert_eq!(winners(won)?, 1, "one event, kept once");
    let won = join_all((0..N).map(|_| async {
        let mut tx = world.system().await?;
        let claimed = tx.inbox().claim("conformance", 1, now, now + TimeDelta::minutes(5)).await?;
        tx.commit().await?;
        Ok(!claimed.is_empty())
    }))
    .await;
    assert_eq!(winners(won)?, 1, "one event, one processor");
    Ok(())
}
