//! Invites.

use chrono::{SubsecRound, TimeDelta};

use crate::Outcome;
use crate::world::{World, refused};
use saas_kernel::id::InviteId;
use saas_kernel::identity::users::Email;
use saas_kernel::page::PageRequest;
use saas_kernel::secret::Token;
use saas_kernel::store::Tx;
use saas_kernel::tenancy::invites::NewInvite;

pub(crate) async fn suite() -> Outcome {
    let world = World::new().await?;
    let (ada, eve) = (world.person("Ada").await?, world.person("Eve").await?);
    let at = "2026-03-04T05:06:07.123456789Z".parse()?;
    let (id, page) = (ada.workspace(), PageRequest::first(9));
    let emails: [Email; 3] = ["A@example.com".parse()?, "b@example.com".parse()?, "a@EXAMPLE.com".parse()?];
    let tokens = [Token::generate(""), Token::generate(""), Token::generate("")];
    let [first_email, other_email, same_email] = &emails;
    let [first_token, other_token, newer_token] = &tokens;
    let new = |email, token: &Token, seconds| NewInvite {
        id: InviteId::generate(at),
        workspace: id,
        email,
        role: "member",
        token: token.hash(),
        by: ada.user(),
        at: at + TimeDelta::seconds(seconds),
        expires_at: at + TimeDelta::days(7),
    };

    let mut tx = world.tenant(&ada).await?;
    let first = tx.invites().put(&new(first_email, first_token, 0)).await?;
    assert_eq!((first.email.as_str(), first.created_at), ("A@example.com", at.trunc_subsecs(6)));
    drop(tx);
    let mut tx = world.tenant(&ada).await?;
    assert_eq!(tx.invites().list(id, &page).await?.items, [], "dropping rolls back");
    tx.invites().put(&new(first_email, first_token, 0)).await?;
    let second = tx.invites().put(&new(other_email, other_token, 1)).await?;
    let third = tx.invites().put(&new(same_email, newer_token, 2)).await?;
    assert_eq!(
        tx.invites().list(id, &page).await?.items,
        [third.clone(), second.clone()],
        "one to an address, newest first"
    );
    assert_eq!(tx.invites().list(id, &PageRequest::first(1)).await?.next, Some(third.position()));
    let mut rest = page;
    rest.after = Some(third.position());
    assert_eq!(tx.invites().list(id, &rest).await?.items, std::slice::from_ref(&second));
    tx.commit().await?;

    // By its token: the newest one to the address, and nothing for the one it replaced.
    let mut lookups = world.lookups().await?;
    assert_eq!(lookups.invite(&first_token.hash()).await?, None, "replaced");
    let found = lookups.invite(&newer_token.hash()).await?.ok_or("an invite")?;
    assert_eq!((found.id, found.workspace, &*found.email_lower), (third.id, id, "a@example.com"));
    assert_eq!((found.invited_by, &*found.role), (ada.user(), "member"));
    drop(lookups);

    // Another workspace sees, counts, revokes and uses up nothing, and invites nobody in.
    let mut tx = world.tenant(&eve).await?;
    assert_eq!(tx.invites().list(id, &page).await?.items, []);
    assert_eq!(tx.invites().count_open(id, &ada.email, at).await?, 0);
    assert_eq!(tx.invites().revoke(id, third.id, at).await?, None);
    assert!(!tx.invites().consume(id, third.id, eve.user(), at).await?);
    let write = tx.invites().put(&new(first_email, first_token, 0)).await;
    refused(tx, write).await;

    // Until its end, once, and not after it was revoked.
    let mut tx = world.tenant(&ada).await?;
    let end = third.expires_at;
    let open = async |tx: &mut dyn Tx, besides, at| tx.invites().count_open(id, besides, at).await;
    assert_eq!((open(&mut *tx, &ada.email, at).await?, open(&mut *tx, &ada.email, end).await?), (2, 0));
    assert_eq!(open(&mut *tx, same_email, at).await?, 1, "apart from those to an address");
    assert!(!tx.invites().consume(id, third.id, eve.user(), end).await?, "it has expired");
    assert!(tx.invites().consume(id, third.id, eve.user(), end - TimeDelta::microseconds(1)).await?);
    assert!(!tx.invites().consume(id, third.id, eve.user(), at).await?, "once");
    assert_eq!(tx.invites().revoke(id, third.id, at).await?, None, "what was used cannot be revoked");
    assert_eq!(tx.invites().revoke(id, second.id, at).await?, Some(second.clone()));
    assert!(!tx.invites().consume(id, second.id, eve.user(), at).await?, "it was revoked");
    assert_eq!(tx.invites().list(id, &page).await?.items, []);
    tx.invites().put(&new(first_email, first_token, 0)).await?;
    tx.commit().await?;
    Ok(())
}
