//! Many callers at once: exactly one winner.

use chrono::TimeDelta;
use serde_json::json;

use crate::billing::limits::Reserved;
use crate::billing::provider::ProviderEvent;
use crate::conformance::world::{World, join_all};
use crate::conformance::{Backend, LIMIT, Outcome};
use crate::error::{BoxError, Error};
use crate::guard::idempotency::StoredAnswer;
use crate::id::{ApiKeyId, InviteId};
use crate::identity::api_keys::ApiKey;
use crate::identity::authenticate::Keep;
use crate::identity::lookups::WorkspaceRef;
use crate::secret::Token;
use crate::store::{Replay, Scope, Store, StoreError};
use crate::tenancy::invites::NewInvite;

/// So many callers.
const N: usize = 8;

/// How many won; whatever broke is the error.
fn winners(won: Vec<Result<bool, BoxError>>) -> Result<usize, BoxError> {
    let won = won.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(won.into_iter().filter(|won| *won).count())
}

pub(super) async fn suite<B: Backend>(backend: &B) -> Outcome {
    names(backend).await?;
    keys(backend).await?;
    invites(backend).await?;
    revocations(backend).await?;
    events(backend).await
}

async fn names<B: Backend>(backend: &B) -> Outcome {
    let world = World::new(backend).await?;
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

async fn keys<B: Backend>(backend: &B) -> Outcome {
    let world = World::new(backend).await?;
    let ada = world.person("Ada").await?;
    // One key.
    let grant = world.with_key(&ada, "once", "").await?.grant.ok_or("a grant")?;
    let answer = StoredAnswer { status: 201, body: b"made".to_vec() };
    let won = join_all((0..N).map(|_| async {
        match world.store.begin(Scope::of(&grant)).await {
            Ok(mut tx) => {
                tx.records().answer(answer.clone());
                tx.commit().await?;
                Ok(true)
            }
            Err(StoreError::Replay(Replay::Answer(kept))) if *kept == answer => Ok(false),
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
            backend.insert_row(&mut *tx).await?;
            tx.commit().await?;
        }
        let won = join_all((0..N).map(|_| async {
            let mut tx = world.tenant(&eve).await?;
            if reserves && tx.limits().reserve(eve.workspace(), LIMIT.0, 1).await? != Reserved::Yes {
                return Ok(false);
            }
            match backend.insert_row(&mut *tx).await {
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

/// Without the lock that accepting takes: one statement uses an invite up.
async fn invites<B: Backend>(backend: &B) -> Outcome {
    let world = World::new(backend).await?;
    let (ada, at) = (world.person("Ada").await?, world.now());
    let (workspace, email, token) = (ada.workspace(), "eve@example.com".parse()?, Token::generate("").hash());
    let (id, expires_at) = (InviteId::generate(at), at + TimeDelta::days(7));
    let new = NewInvite { id, workspace, email: &email, role: "member", token, by: ada.user(), at, expires_at };
    let mut tx = world.tenant(&ada).await?;
    tx.invites().put(&new).await?;
    tx.commit().await?;
    let won = join_all((0..N).map(|_| async {
        let mut tx = world.tenant(&ada).await?;
        let won = tx.invites().consume(workspace, id, ada.user(), at).await?;
        tx.commit().await?;
        Ok(won)
    }))
    .await;
    assert_eq!(winners(won)?, 1, "one invite, used once");
    Ok(())
}

/// A key that revokes itself, in many calls: they neither all win nor wait for each other in a circle.
async fn revocations<B: Backend>(backend: &B) -> Outcome {
    let world = World::new(backend).await?;
    let (ada, at) = (world.person("Ada").await?, world.now());
    let (workspace, id, token) = (ada.workspace(), ApiKeyId::generate(at), Token::generate(""));
    let (name, prefix, scopes) = ("key".to_owned(), "sk_".to_owned(), vec!["workspace.read".to_owned()]);
    let (created_by, last_used_at) = (ada.user(), None);
    let key = ApiKey { id, name, prefix, scopes, created_by, created_at: at, expires_at: None, last_used_at };
    let mut tx = world.tenant(&ada).await?;
    tx.api_keys().insert(workspace, &key, &token.hash()).await?;
    tx.commit().await?;
    let asked = WorkspaceRef::Id(workspace);
    let caller = world.kernel.authenticate_key(world.ctx(), &token, Some(&asked), Keep::No).await?.ok_or("a caller")?;
    let grant = caller.grant.ok_or("a grant")?;
    let won = join_all((0..N).map(|_| async {
        let mut tx = world.store.begin(Scope::of(&grant)).await?;
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

async fn events<B: Backend>(backend: &B) -> Outcome {
    let world = World::new(backend).await?;
    let now = world.now();
    let event = ProviderEvent { id: "evt_1".to_owned(), kind: "x".to_owned(), created_at: now, payload: json!({}) };
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
