//! Invites: a link by mail that makes its addressee a member. The token is 256 random bits, stored as its hash, good once
//! and for seven days by default, and for the address it was sent to only.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::access::{Can, EvenReadOnly, InviteMember, Permission};
use crate::actor::{Actor, ActorRef};
use crate::audit::{AuditEntry, action};
use crate::billing::catalog::Cap;
use crate::billing::limits::{Reserved, Usage, reached};
use crate::error::{Error, Refusal, codes};
use crate::events::{OutboxEvent, subject};
use crate::id::{InviteId, UserId, WorkspaceId};
use crate::identity::lookups::InviteFound;
use crate::identity::sessions::Session;
use crate::identity::users::Email;
use crate::kernel::Kernel;
use crate::notify::mailer::Mail;
use crate::page::{Page, PageRequest, Position};
use crate::secret::{Token, TokenHash};
use crate::store::{Checkout, Reach, StoreError, Tx};
use crate::tenancy::members::{self, Member, NewMembership, SEATS};

/// What holds for invites; `invites` in `product.config.yaml`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InviteRules {
    /// How long one can be accepted; seven days by default.
    pub life: TimeDelta,
    /// How many of one workspace can be open, 100 by default: an inviter cannot be made a source of mail.
    pub most_open: u64,
}

impl Default for InviteRules {
    fn default() -> Self {
        Self { life: TimeDelta::days(7), most_open: 100 }
    }
}

/// An invite that nobody has accepted or revoked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invite {
    /// Its id.
    pub id: InviteId,
    /// To whom.
    pub email: String,
    /// As what they will join.
    pub role: String,
    /// Who invites.
    pub invited_by: ActorRef,
    /// When.
    pub created_at: DateTime<Utc>,
    /// Until when it can be accepted.
    pub expires_at: DateTime<Utc>,
}

impl Invite {
    /// Its place in lists.
    pub fn position(&self) -> Position {
        Position { at: self.created_at, id: self.id.uuid() }
    }
}

/// An invite about to exist.
#[derive(Debug)]
pub struct NewInvite<'a> {
    /// Its id.
    pub id: InviteId,
    /// Into which workspace.
    pub workspace: WorkspaceId,
    /// To whom.
    pub email: &'a Email,
    /// As what.
    pub role: &'a str,
    /// What its token hashes to.
    pub token: TokenHash,
    /// Who invites.
    pub by: UserId,
    /// When.
    pub at: DateTime<Utc>,
    /// Until when.
    pub expires_at: DateTime<Utc>,
}

/// Repository of invites.
#[async_trait]
pub trait Invites: Send {
    /// Adds an invite. An open one to the same address is replaced: its link is void from then on.
    async fn put(&mut self, invite: &NewInvite<'_>) -> Result<Invite, StoreError>;
    /// The open ones, newest first; also those that have expired.
    async fn list(&mut self, workspace: WorkspaceId, page: &PageRequest) -> Result<Page<Invite>, StoreError>;
    /// How many are open and not expired, apart from one to `besides`.
    async fn open(&mut self, workspace: WorkspaceId, besides: &Email, now: DateTime<Utc>) -> Result<u64, StoreError>;
    /// Revokes an open one; `None` when there is none of that id.
    async fn revoke(
        &mut self,
        workspace: WorkspaceId,
        id: InviteId,
        at: DateTime<Utc>,
    ) -> Result<Option<Invite>, StoreError>;
    /// Uses it up for `user`, in one statement: `false` when it is not open any more.
    async fn consume(
        &mut self,
        workspace: WorkspaceId,
        id: InviteId,
        user: UserId,
        at: DateTime<Utc>,
    ) -> Result<bool, StoreError>;
}

/// Invites `email` to join as `role`. The token is in nothing but the mail; inviting the same address again sends a new one.
///
/// # Errors
/// `validation_failed` for the role; `role_above_yours`; `already_member`; `limit_reached` when all seats are taken;
/// `too_many_invites`.
pub async fn create(
    can: &Can<InviteMember>,
    tx: &mut dyn Tx,
    email: Email,
    role: &str,
) -> Result<(Invite, Token), Error> {
    let role = can.roles().named(role)?.clone();
    let mine = members::standing(can, tx).await?;
    members::within(&mine, &role).map_err(|refusal| refusal.at("role"))?;
    let (workspace, at) = (can.workspace(), can.now());
    if tx.members().has_email(workspace, &email).await? {
        let text = format!("{email} belongs to this workspace already; change their role, or restore them, instead");
        return Err(Refusal::new(&codes::ALREADY_MEMBER, text).at("email").into());
    }
    let seats = tx.limits().usage(workspace, SEATS).await?;
    if let Some(seats @ Usage { used, cap }) = seats
        && !cap.allows(used + 1)
    {
        return Err(reached(can, SEATS, Some(seats), 1).into());
    }
    let InviteRules { life, most_open } = can.kernel.settings().invites;
    if tx.invites().open(workspace, &email, at).await? >= most_open {
        let text = format!("{most_open} invites are open; revoke some, or wait until they are accepted");
        return Err(Refusal::new(&codes::TOO_MANY_INVITES, text).into());
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
    let entry = AuditEntry::new(can.ctx(), can.actor(), workspace, action::MEMBER_INVITE)
        .target("invite", invite.id)
        .meta(json!({ "email": invite.email, "role": invite.role }));
    tx.records().audit(entry);
    Ok((invite, token))
}

/// What the addressee is sent. `accept_url` ends where the token goes.
pub fn mail(kernel: &Kernel, to: Email, workspace: &str, invite: &Invite, token: &Token, accept_url: &str) -> Mail {
    let product = &kernel.settings().brand.name;
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

/// The open invites, newest first.
pub async fn list(
    can: &Can<EvenReadOnly<InviteMember>>,
    tx: &mut dyn Tx,
    page: &PageRequest,
) -> Result<Page<Invite>, Error> {
    Ok(can.enter(tx)?.invites().list(can.workspace(), page).await?)
}

/// Revokes an invite: its link is void at once.
///
/// # Errors
/// `not_found` when it is not open.
pub async fn revoke(can: &Can<EvenReadOnly<InviteMember>>, tx: &mut dyn Tx, id: InviteId) -> Result<(), Error> {
    let tx = can.enter(tx)?;
    let revoked = tx.invites().revoke(can.workspace(), id, can.now()).await?;
    let revoked = revoked.ok_or_else(|| {
        Refusal::new(&codes::NOT_FOUND, "there is no such open invite in this workspace; GET …/invites lists them")
    })?;
    let entry = AuditEntry::new(can.ctx(), can.actor(), can.workspace(), action::MEMBER_INVITE_REVOKE)
        .target("invite", id)
        .meta(json!({ "email": revoked.email }));
    tx.records().audit(entry);
    Ok(())
}

/// Somebody signed in who holds an invite to their own address. The scope made of it reaches the workspace, to join it.
#[derive(Debug)]
pub struct Invited {
    session: Session,
    invite: InviteFound,
    checkout: Checkout,
}

impl Invited {
    /// Looks the token up, on the connection that authenticated the call.
    ///
    /// # Errors
    /// `not_found` for an unknown token.
    pub async fn with(kernel: &Kernel, session: &Session, token: &Token) -> Result<Self, Error> {
        let mut lookups = kernel.store().lookups(session.checkout()).await?;
        let invite = lookups.invite(&token.hash()).await?.ok_or_else(|| {
            Refusal::new(&codes::NOT_FOUND, "there is no such invite; use the whole link, or ask for a new one")
        })?;
        Ok(Self { session: session.clone(), invite, checkout: lookups.park() })
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn checkout(&self) -> &Checkout {
        &self.checkout
    }

    /// The workspace to be joined.
    pub fn workspace(&self) -> WorkspaceId {
        self.invite.workspace
    }
}

/// Makes the addressee a member. Somebody who belongs already stays what they are.
///
/// # Errors
/// `invite_for_another` unless the signed-in account has the invite's address; `invite_unusable` when it was used, revoked
/// or has expired, or when its inviter may not give that role any more; `limit_reached` when all seats are taken.
pub async fn accept(kernel: &Kernel, invited: &Invited, tx: &mut dyn Tx) -> Result<Member, Error> {
    let (session, invite) = (&invited.session, &invited.invite);
    let (user, workspace, at) = (session.user(), invite.workspace, session.ctx().now);
    if tx.scope().reach() != Reach::Joining(user, workspace) {
        return Err(StoreError::Scope.into());
    }
    let account = tx.users().find(user).await?.ok_or_else(|| Error::broken("a session's account does not exist"))?;
    if account.email.to_lowercase() != invite.email_lower {
        let text = format!(
            "this invite is for another address than {}; sign in as, or sign up with, the address it was sent to",
            account.email
        );
        return Err(Refusal::new(&codes::INVITE_FOR_ANOTHER, text).into());
    }
    // One after the other with everything that changes members.
    if !tx.workspaces().lock(workspace).await? {
        return Err(unusable("leads to a workspace that is gone"));
    }
    if let Some(member) = tx.members().find(workspace, user).await? {
        tx.invites().consume(workspace, invite.id, user, at).await?;
        return Ok(member);
    }
    if !tx.invites().consume(workspace, invite.id, user, at).await? {
        return Err(unusable("was used or revoked, or has expired"));
    }
    let inviter = tx.members().find(workspace, invite.invited_by).await?;
    let inviter = kernel.roles().get(inviter.as_ref().map_or("", |member| &member.role));
    let role = kernel.roles().get(&invite.role);
    if !inviter.bits.has(InviteMember::bit()) || members::within(inviter, role).is_err() {
        return Err(unusable("is from somebody who may not give that role any more"));
    }
    take_a_seat(tx, workspace).await?;
    match tx.members().insert(&NewMembership { workspace, user, role: &invite.role, at }).await {
        // They belong there already, and were not found: nobody is let back in by an invite.
        Err(StoreError::Conflict(_)) => {
            let text = "your membership of this workspace is suspended; ask one of its owners to restore it";
            return Err(Refusal::new(&codes::INVITE_UNUSABLE, text).into());
        }
        inserted => inserted?,
    }
    let entry = AuditEntry::new(session.ctx(), Actor::User(user), workspace, action::MEMBER_JOIN)
        .target("invite", invite.id)
        .meta(json!({ "role": invite.role }));
    tx.records().audit(entry);
    tx.records().event(OutboxEvent::new(at, workspace, subject::MEMBER_JOINED, json!({ "user": user })));
    let joined = tx.members().find(workspace, user).await?;
    joined.ok_or_else(|| Error::broken("a member is not visible to the transaction that made it"))
}

/// The addressee can do nothing about plans: they are told whom to ask.
async fn take_a_seat(tx: &mut dyn Tx, workspace: WorkspaceId) -> Result<(), Error> {
    let seats = match tx.limits().reserve(workspace, SEATS, 1).await? {
        Reserved::Yes => return Ok(()),
        Reserved::Full(Usage { cap: Cap::Finite(cap), .. }) => format!("all {cap} seats"),
        Reserved::Full(_) | Reserved::Unknown => "all seats".to_owned(),
    };
    let text =
        format!("{seats} of this workspace are taken; ask whoever invited you to free one or take a larger plan");
    Err(Refusal::new(&codes::LIMIT_REACHED, text).into())
}

fn unusable(why: &str) -> Error {
    Refusal::new(&codes::INVITE_UNUSABLE, format!("this invite {why}; ask for a new one")).into()
}
