//! API keys.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use crate::Outcome;
use crate::world::{World, refused};
use saas_kernel::StoreError;
use saas_kernel::id::{ApiKeyId, UserId};
use saas_kernel::identity::api_keys::ApiKey;
use saas_kernel::identity::lookups::WorkspaceRef;
use saas_kernel::page::PageRequest;
use saas_kernel::secret::Token;

fn key(by: UserId, at: DateTime<Utc>) -> ApiKey {
    ApiKey {
        id: ApiKeyId::generate(at),
        name: "key".to_owned(),
        prefix: "sk_".to_owned(),
        scopes: vec!["a.read".to_owned(), "b.read".to_owned()],
        created_by: by,
        created_at: at,
        expires_at: Some(at + TimeDelta::days(1)),
        last_used_at: None,
    }
}

pub(crate) async fn suite() -> Outcome {
    let world = World::new().await?;
    let (ada, eve) = (world.person("Ada").await?, world.person("Eve").await?);
    let at = "2026-03-04T05:06:07.123456789Z".parse::<DateTime<Utc>>()?;
    let (id, page, token) = (ada.workspace(), PageRequest::first(9), Token::generate(""));
    let (own, new) = (WorkspaceRef::Id(id), key(ada.user(), at));

    let mut tx = world.tenant(&ada).await?;
    tx.api_keys().insert(id, &new, &token.hash()).await?;
    drop(tx);
    let lookups = async || world.lookups().await;
    assert_eq!(lookups().await?.api_key(&token.hash(), Some(&own), at).await?, None, "dropping rolls back");
    let later = ApiKey { expires_at: None, ..key(ada.user(), at + TimeDelta::seconds(1)) };
    let mut tx = world.tenant(&ada).await?;
    tx.api_keys().insert(id, &new, &token.hash()).await?;
    tx.api_keys().insert(id, &later, &Token::generate("").hash()).await?;
    tx.commit().await?;

    // Newest first, in microseconds.
    let kept = |key: &ApiKey| ApiKey {
        created_at: key.created_at.trunc_subsecs(6),
        expires_at: key.expires_at.map(|at| at.trunc_subsecs(6)),
        ..key.clone()
    };
    let mut tx = world.tenant(&ada).await?;
    assert_eq!(tx.api_keys().list(id, &page).await?.items, [kept(&later), kept(&new)]);
    let mut rest = page;
    rest.after = Some(kept(&later).position());
    assert_eq!(tx.api_keys().list(id, &rest).await?.items, [kept(&new)]);
    let end = kept(&new).expires_at.ok_or("an end")?;
    assert_eq!((tx.api_keys().count(id, at).await?, tx.api_keys().count(id, end).await?), (2, 1));
    let again = tx.api_keys().insert(id, &new, &token.hash()).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "an id is used once: {again:?}");
    drop(tx);

    // By its token, until its end; its workspace for the own address only.
    let found = lookups().await?.api_key(&token.hash(), Some(&own), at).await?.ok_or("a key")?;
    assert_eq!((found.id, &found.scopes, found.last_used_at), (new.id, &new.scopes, None));
    assert_eq!(found.workspace.ok_or("its workspace")?.id, id);
    let slug = WorkspaceRef::Slug("ada".parse()?);
    assert!(lookups().await?.api_key(&token.hash(), Some(&slug), at).await?.ok_or("a key")?.workspace.is_some());
    let strange = WorkspaceRef::Slug("eve".parse()?);
    for other in [Some(&WorkspaceRef::Id(eve.workspace())), Some(&strange), None] {
        let found = lookups().await?.api_key(&token.hash(), other, at).await?.ok_or("a key")?;
        assert_eq!(found.workspace, None, "{other:?}");
    }
    assert_eq!(lookups().await?.api_key(&Token::generate("").hash(), Some(&own), at).await?, None);
    assert_eq!(lookups().await?.api_key(&token.hash(), Some(&own), end).await?, None, "it has expired");

    // Another workspace sees, revokes and touches nothing, and makes none.
    let mut tx = world.tenant(&eve).await?;
    assert_eq!(tx.api_keys().list(id, &page).await?.items, []);
    assert_eq!(tx.api_keys().count(id, at).await?, 0);
    assert!(!tx.api_keys().revoke(id, new.id, at).await?);
    tx.api_keys().touch(id, new.id, at).await?;
    let write = tx.api_keys().insert(id, &key(eve.user(), at), &Token::generate("").hash()).await;
    refused(tx, write).await;
    assert_eq!(lookups().await?.api_key(&token.hash(), Some(&own), at).await?.ok_or("a key")?.last_used_at, None);

    // Its use is noted, never back in time; revoked, it is gone.
    let mut tx = world.tenant(&ada).await?;
    tx.api_keys().touch(id, new.id, at + TimeDelta::seconds(9)).await?;
    tx.api_keys().touch(id, new.id, at).await?;
    tx.commit().await?;
    let used = lookups().await?.api_key(&token.hash(), Some(&own), at).await?.ok_or("a key")?.last_used_at;
    assert_eq!(used, Some((at + TimeDelta::seconds(9)).trunc_subsecs(6)));
    let mut tx = world.tenant(&ada).await?;
    assert!(tx.api_keys().revoke(id, new.id, at).await? && !tx.api_keys().revoke(id, new.id, at).await?);
    tx.commit().await?;
    assert_eq!(lookups().await?.api_key(&token.hash(), Some(&own), at).await?, None, "it was revoked");
    assert_eq!(world.tenant(&ada).await?.api_keys().list(id, &page).await?.items, [kept(&later)]);
    Ok(())
}
