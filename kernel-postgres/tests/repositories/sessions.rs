//! Sessions.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use crate::Outcome;
use crate::world::{Person, World, refused};
use saas_kernel::StoreError;
use saas_kernel::error::BoxError;
use saas_kernel::id::{SessionId, UserId};
use saas_kernel::identity::lookups::SessionFound;
use saas_kernel::identity::sessions::{NewSession, SessionLife};
use saas_kernel::secret::Token;

fn life() -> SessionLife {
    let mut life = SessionLife::default();
    (life.idle, life.absolute) = (TimeDelta::days(14), TimeDelta::days(20));
    life
}

fn new(user: UserId, token: &Token, at: DateTime<Utc>) -> NewSession {
    let (id, expires_at) = (SessionId::generate(at), life().expires(at, at));
    NewSession { id, user, token: token.hash(), created_at: at, expires_at, ip: None, user_agent: Some("x".into()) }
}

async fn found(world: &World, token: &Token, at: DateTime<Utc>) -> Result<Option<SessionFound>, StoreError> {
    world.lookups().await?.session(&token.hash(), None, at).await
}

async fn touch(world: &World, by: &Person, session: &NewSession, at: DateTime<Utc>) -> Result<(), BoxError> {
    let mut tx = world.own(by).await?;
    tx.sessions().touch(session.user, session.id, at, life()).await?;
    Ok(tx.commit().await?)
}

pub(crate) async fn suite() -> Outcome {
    let world = World::new().await?;
    let (ada, eve) = (world.person("Ada").await?, world.person("Eve").await?);
    let at = "2026-03-04T05:06:07.123456789Z".parse::<DateTime<Utc>>()?;
    let token = Token::generate("");
    let session = new(ada.user(), &token, at);

    let mut tx = world.own(&ada).await?;
    tx.sessions().insert(&session).await?;
    assert_eq!(found(&world, &token, at).await?, None, "nobody sees it before the commit");
    drop(tx);
    assert_eq!(found(&world, &token, at).await?, None, "dropping rolls back");
    let mut tx = world.own(&ada).await?;
    tx.sessions().insert(&session).await?;
    tx.commit().await?;
    let seen = found(&world, &token, at).await?.ok_or("it was committed")?;
    assert_eq!((seen.id, seen.user, seen.seen_at), (session.id, ada.user(), at.trunc_subsecs(6)));
    assert_eq!(found(&world, &Token::generate(""), at).await?, None, "another token");

    // In force until its end, to the microsecond.
    let (end, tick) = (session.expires_at.trunc_subsecs(6), TimeDelta::microseconds(1));
    assert!(found(&world, &token, end - tick).await?.is_some());
    assert_eq!(found(&world, &token, end).await?, None, "it has ended");

    // Used, it lasts longer, but not beyond its absolute end; others' use of it counts for nothing.
    touch(&world, &eve, &session, at + TimeDelta::days(1)).await?;
    assert_eq!(found(&world, &token, at).await?.ok_or("it is there")?.seen_at, at.trunc_subsecs(6), "by a stranger");
    touch(&world, &ada, &session, at + TimeDelta::days(10)).await?;
    let later = found(&world, &token, end).await?.ok_or("it lasts longer")?;
    assert_eq!(later.seen_at, (at + TimeDelta::days(10)).trunc_subsecs(6));
    let last = (at + life().absolute).trunc_subsecs(6);
    assert!(found(&world, &token, last - tick).await?.is_some());
    assert_eq!(found(&world, &token, last).await?, None, "never beyond its absolute end");
    touch(&world, &ada, &session, at + TimeDelta::days(2)).await?;
    assert_eq!(found(&world, &token, at).await?.ok_or("it is there")?.seen_at, later.seen_at, "never back in time");
    touch(&world, &ada, &session, last + tick).await?;
    assert_eq!(found(&world, &token, last).await?, None, "what has ended does not come back");

    // Begun for oneself only.
    let mut tx = world.own(&eve).await?;
    let write = tx.sessions().insert(&new(ada.user(), &Token::generate(""), at)).await;
    refused(tx, write).await;
    let mut tx = world.tenant(&ada).await?;
    let write = tx.sessions().insert(&new(ada.user(), &Token::generate(""), at)).await;
    refused(tx, write).await;
    let mut tx = world.own(&ada).await?;
    let again = tx.sessions().insert(&session).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "an id is used once: {again:?}");
    drop(tx);

    // To know the token is to hold the session: also while signed in as somebody else.
    for (expect, why) in [(true, "it was there"), (false, "and is gone")] {
        let mut tx = world.own(&eve).await?;
        assert_eq!(tx.sessions().delete_by_token(&token.hash()).await?, expect, "{why}");
        tx.commit().await?;
    }
    assert_eq!(found(&world, &token, at).await?, None);
    assert!(found(&world, &ada.token, world.now()).await?.is_some(), "the other session stays");
    Ok(())
}
