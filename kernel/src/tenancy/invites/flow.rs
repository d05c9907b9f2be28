//! Creates, lists, revokes and accepts invites.

use serde_json::json;

use super::{Invite, InviteSettings, NewInvite};
use crate::access::catalog::{Cap, SEATS};
use crate::access::{Can, EvenReadOnly, Permission};
use crate::audit::AuditEntry;
use crate::base::actor::Actor;
use crate::base::error::{Error, Refusal, StoreError, codes};
use crate::base::id::{InviteId, WorkspaceId};
use crate::base::page::{Page, PageRequest};
use crate::base::secret::{Token, TokenHash};
use crate::billing::limits::{Reserved, Usage, reached};
use crate::billing::names::codes::LIMIT_REACHED;
use crate::events::OutboxEvent;
use crate::identity::lookups::InviteFound;
use crate::identity::sessions::Session;
use crate::identity::users::Email;
use crate::notify::mailer::Mail;
use crate::store::seal::Sealed;
use crate::store::{Proof, Reach, ReadTx, Scope, Store, Tx};
use crate::tenancy::members::{self, Member, NewMembership};
use crate::tenancy::names::codes::{ALREADY_MEMBER, INVITE_FOR_ANOTHER, INVITE_UNUSABLE, TOO_MANY_INVITES};
use crate::tenancy::names::{InviteMember, action, subject};

/// Invites `email` to join with the role `role`. The token is only in the mail; inviting the same address again sends a new
/// one.
///
/// # Errors
/// `validation_failed` for the role; `role_above_yours`; `already_member`; `limit_reached` when all seats are taken;
/// `too_many_invites`.
pub async fn create(
    can: &Can<InviteMember>,
    tx: &mut dyn Tx,
    settings: &InviteSettings,
    email: Email,
    role: &str,
) -> Result<(Invite, Token), Error> {
    let role = can.roles().named(role)?.clone();
    let mine = members::lock_and_recheck(can, tx).await?;
    members::can_assign(&mine, &role).map_err(|refusal| refusal.at("role"))?;
    let (workspace, at) = (can.workspace(), can.now());
    if tx.members().has_email(workspace, &email).await? {
        let text = format!(
            "{email} is already a member of this workspace; change their role, or restore them if they are suspended"
        );
        return Err(Refusal::new(&ALREADY_MEMBER, text).at("email").into());
    }
    let seats = tx.limits().usage(workspace, SEATS).await?;
    if let Some(seats @ Usage { used, cap }) = seats
        && !cap.allows(used + 1)
    {
        return Err(reached(can, SEATS, Some(seats), 1).into());
    }
    let InviteSettings { life, max_open } = *settings;
    if tx.invites().count_open(workspace, &email, at).await? >= max_open {
        let text = format!(
            "this workspace has {max_open} open invites, the maximum; revoke some, or wait until some are accepted"
        );
        return Err(Refusal::new(&TOO_MANY_INVITES, text).into());
    }
    let Actor::User(by) = can.actor() else { return Err(Error::broken("only people invite")) };
    let token = Token::generate("inv_");
    let new = NewInvite {
        id: InviteId::generate(at),
        workspace,
        email: &email,
        role: &role.name,
        token: token.hash(),
        by,
        at,
        expires_at: at + life,
    };
    let invite = tx.invites().put(&new).await?;
    let entry = AuditEntry::by(can, action::MEMBER_INVITE)
        .target("invite", invite.id)
        .meta(json!({ "role": invite.role }))
        .personal(json!({ "email": invite.email }));
    tx.records().audit(entry);
    Ok((invite, token))
}

/// Creates the mail to the addressee. `accept_url` must end where the token is to be appended.
pub fn mail(product: &str, to: Email, workspace: &str, invite: &Invite, token: &Token, accept_url: &str) -> Mail {
    Mail::new(
        to,
        &format!("You are invited to {workspace} on {product}"),
        format!(
            "You are invited to join {workspace} on {product} as {}.\n\nAccept here, signed in as {}:\n{accept_url}{}\n\n\
             The link can be used once, until {}. If you did not expect it, do nothing.\n",
            invite.role,
            invite.email,
            token.expose(),
            invite.expires_at.format("%-d %B %Y, %H:%M UTC"),
        ),
    )
}

/// Lists the open invites, newest first.
pub async fn list(
    can: &Can<EvenReadOnly<InviteMember>>,
    tx: &mut dyn ReadTx,
    page: &PageRequest,
) -> Result<Page<Invite>, Error> {
    Ok(can.enter_read(tx)?.invites().list(can.workspace(), page).await?)
}

/// Revokes an invite. Its link is invalid at once.
///
/// # Errors
/// `not_found` if there is no open invite with this id.
pub async fn revoke(can: &Can<EvenReadOnly<InviteMember>>, tx: &mut dyn Tx, id: InviteId) -> Result<(), Error> {
    let tx = can.enter(tx)?;
    let revoked = tx.invites().revoke(can.workspace(), id, can.now()).await?;
    let revoked = revoked.ok_or_else(|| {
        Refusal::new(&codes::NOT_FOUND, "there is no such open invite in this workspace; GET …/invites lists them")
    })?;
    let entry = AuditEntry::by(can, action::MEMBER_INVITE_REVOKE)
        .target("invite", id)
        .personal(json!({ "email": revoked.email }));
    tx.records().audit(entry);
    Ok(())
}

/// Proof that a signed-in person has an open invite to their account's address. Its scope includes the workspace, so that they
/// can join it.
#[derive(Debug)]
pub struct Invited {
    session: Session,
    workspace: WorkspaceId,
    token: TokenHash,
}

impl Invited {
    /// Looks up the token, on the connection that authenticated the call.
    ///
    /// # Errors
    /// `not_found` for an unknown token; `invite_for_another` if the account has another address than the invite;
    /// `invite_unusable` if the invite was used or revoked, or has expired.
    pub async fn with(store: &dyn Store, session: &Session, token: &Token) -> Result<Self, Error> {
        let mut lookups = store.lookups(session.call()).await?;
        let found = lookups.invite(&token.hash(), session.user(), session.ctx().now).await?;
        match found {
            Some(InviteFound::Open(workspace)) => {
                lookups.park(Actor::User(session.user()), session.call());
                Ok(Self { session: session.clone(), workspace, token: token.hash() })
            }
            Some(InviteFound::ForAnother) => {
                let text = "this invite was sent to another address than your account's; sign in or sign up with the \
                            address it was sent to";
                Err(Refusal::new(&INVITE_FOR_ANOTHER, text).into())
            }
            Some(InviteFound::Accepted) => Err(unusable("was already accepted by you")),
            Some(InviteFound::Closed) => Err(unusable("was used or revoked, or has expired")),
            None => {
                let text = "there is no such invite; use the whole link, or ask for a new one";
                Err(Refusal::new(&codes::NOT_FOUND, text).into())
            }
        }
    }

    /// Id of the workspace to be joined.
    pub fn workspace(&self) -> WorkspaceId {
        self.workspace
    }
}

impl Sealed for Invited {}

/// The person's own rows and the workspace to be joined.
impl Proof for Invited {
    fn scope(&self) -> Scope {
        Scope::of_session(&self.session, Reach::both(self.session.user(), self.workspace))
    }
}

/// Makes the addressee a member, with the invite's current role. Somebody who is a member already keeps their role.
///
/// # Errors
/// `invite_unusable` if it was used, revoked or sent again in the meantime, or if its creator may no longer assign its role;
/// `limit_reached` if all seats are taken.
pub async fn accept(invited: &Invited, tx: &mut dyn Tx) -> Result<Member, Error> {
    let (session, workspace) = (&invited.session, invited.workspace);
    let (user, at) = (session.user(), session.ctx().now);
    let roles = &session.policy().roles;
    if tx.scope().reach() != Reach::both(user, workspace) {
        return Err(StoreError::Scope.into());
    }
    // Serialised with all other changes of the workspace's members.
    if !tx.workspaces().lock(workspace).await? {
        return Err(unusable("is for a workspace that no longer exists"));
    }
    let member = tx.members().find(workspace, user).await?;
    let consumed = tx.invites().consume(workspace, &invited.token, user, at).await?;
    if let Some(member) = member {
        return Ok(member);
    }
    let invite = consumed.ok_or_else(|| unusable("was used or revoked, or has expired"))?;
    let inviter = tx.members().find(workspace, invite.invited_by).await?;
    let inviter = roles.get(inviter.as_ref().map_or("", |member| &member.role));
    if !inviter.bits.has(InviteMember::bit()) || members::can_assign(inviter, roles.get(&invite.role)).is_err() {
        return Err(unusable("was sent by somebody who may no longer assign its role"));
    }
    take_a_seat(tx, workspace).await?;
    match tx.members().insert(&NewMembership { workspace, user, role: &invite.role, at }).await {
        // Their membership exists but is not active: an invite must not restore a suspended member.
        Err(StoreError::Conflict(_)) => {
            let text = "your membership of this workspace is suspended; ask one of its owners to restore it";
            return Err(Refusal::new(&INVITE_UNUSABLE, text).into());
        }
        inserted => inserted?,
    }
    let (ctx, actor) = (session.ctx(), Actor::User(user));
    let entry = AuditEntry::new(ctx, actor, workspace, action::MEMBER_JOIN)
        .target("invite", invite.id)
        .meta(json!({ "role": invite.role }));
    tx.records().audit(entry);
    tx.records().event(OutboxEvent::new(ctx, actor, workspace, subject::MEMBER_JOINED, json!({ "user": user })));
    let joined = tx.members().find(workspace, user).await?;
    joined.ok_or_else(|| Error::broken("a member is not visible to the transaction that made it"))
}

/// Takes a seat. The addressee cannot change the plan, so the refusal tells them whom to ask.
async fn take_a_seat(tx: &mut dyn Tx, workspace: WorkspaceId) -> Result<(), Error> {
    let seats = match tx.limits().reserve(workspace, SEATS, 1).await? {
        Reserved::Yes => return Ok(()),
        Reserved::Full(Usage { cap: Cap::Finite(cap), .. }) => format!("all {cap} seats"),
        Reserved::Full(_) | Reserved::Unknown => "all seats".to_owned(),
    };
    let text = format!(
        "{seats} of this workspace are taken; ask the person who invited you to free one or take a larger plan"
    );
    Err(Refusal::new(&LIMIT_REACHED, text).into())
}

fn unusable(why: &str) -> Error {
    Refusal::new(&INVITE_UNUSABLE, format!("this invite {why}; ask for a new one")).into()
}
