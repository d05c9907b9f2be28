//! Invites.

use chrono::{SubsecRound, TimeDelta};

use crate::Outcome;
use crate::world::{World, refused};
use saas_kernel::id::InviteId;
use saas_kernel::identity::lookups::InviteFound;
use saas_kernel::identity::users::Email;
use saas_kernel::page::PageRequest;
use saas_kernel::secret::Token;
use saas_kernel::store::{Proof, Store, Tx};
use saas_kernel::tenancy::invites::{Invited, NewInvite};

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

    // By its token, for the account with its address: the newest one to the address, and nothing for the one it replaced.
    let carol = world.person("Carol").await?;
    let for_carol = Token::generate("");
    let mut tx = world.tenant(&ada).await?;
    let far = world.now().trunc_subsecs(6) + TimeDelta::days(1);
    let to_carol = NewInvite { expires_at: far, ..new(&carol.email, &for_carol, 3) };
    let fourth = tx.invites().put(&to_carol).await?;
    tx.commit().await?;
    let mut lookups = world.lookups().await?;
    assert_eq!(lookups.invite(&first_token.hash(), carol.user(), at).await?, None, "replaced");
    assert_eq!(lookups.invite(&newer_token.hash(), carol.user(), at).await?, Some(InviteFound::ForAnother));
    assert_eq!(lookups.invite(&for_carol.hash(), carol.user(), at).await?, Some(InviteFound::Open(id)));
    assert_eq!(lookups.invite(&for_carol.hash(), eve.user(), at).await?, Some(InviteFound::ForAnother));
    assert_eq!(lookups.invite(&for_carol.hash(), carol.user(), fourth.expires_at).await?, Some(InviteFound::Closed));
    drop(lookups);

    // Another workspace sees, counts, revokes and uses up nothing, and invites nobody in.
    let mut tx = world.tenant(&eve).await?;
    assert_eq!(tx.invites().list(id, &page).await?.items, []);
    assert_eq!(tx.invites().count_open(id, &ada.email, at).await?, 0);
    assert_eq!(tx.invites().revoke(id, third.id, at).await?, None);
    assert_eq!(tx.invites().consume(id, &for_carol.hash(), carol.user(), at).await?, None);
    let write = tx.invites().put(&new(first_email, first_token, 0)).await;
    refused(tx, write).await;

    // Until its end, once, and not after it was revoked.
    let mut tx = world.tenant(&ada).await?;
    let end = third.expires_at;
    let open = async |tx: &mut dyn Tx, besides, at| tx.invites().count_open(id, besides, at).await;
    assert_eq!((open(&mut *tx, &ada.email, at).await?, open(&mut *tx, &ada.email, end).await?), (3, 1));
    assert_eq!(open(&mut *tx, same_email, at).await?, 2, "apart from those to an address");
    assert_eq!(tx.invites().revoke(id, second.id, at).await?, Some(second.clone()));
    assert_eq!(tx.invites().revoke(id, second.id, at).await?, None, "once");
    tx.commit().await?;

    // Accepted by the account with its address, by the token it has now, once.
    let invited = Invited::with(&world.store, &carol.session, &for_carol).await?;
    let newest = Token::generate("");
    let mut tx = world.tenant(&ada).await?;
    let again = NewInvite { role: "viewer", expires_at: far, ..new(&carol.email, &newest, 4) };
    tx.invites().put(&again).await?;
    tx.commit().await?;
    let mut tx = world.store.begin(invited.scope()).await?;
    assert_eq!(tx.invites().consume(id, &for_carol.hash(), carol.user(), at).await?, None, "the link was replaced");
    let consumed = tx.invites().consume(id, &newest.hash(), carol.user(), far).await?;
    assert_eq!(consumed, None, "it has expired");
    let before = far - TimeDelta::microseconds(1);
    let consumed = tx.invites().consume(id, &newest.hash(), carol.user(), before).await?.ok_or("it is open")?;
    assert_eq!((consumed.id, &*consumed.role, consumed.invited_by), (fourth.id, "viewer", ada.user()));
    assert_eq!(tx.invites().consume(id, &newest.hash(), carol.user(), at).await?, None, "once");
    tx.commit().await?;
    let mut lookups = world.lookups().await?;
    assert_eq!(lookups.invite(&newest.hash(), carol.user(), at).await?, Some(InviteFound::Accepted));
    drop(lookups);
    let mut tx = world.tenant(&ada).await?;
    assert_eq!(tx.invites().revoke(id, fourth.id, at).await?, None, "what was used cannot be revoked");
    tx.invites().put(&new(first_email, first_token, 0)).await?;
    tx.commit().await?;
    Ok(())
}
