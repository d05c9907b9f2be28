//! Listing members, changing their roles, removing them, leaving.

use std::sync::Arc;

use serde_json::json;

use super::{Member, Membership};
use crate::access::{Can, EvenReadOnly, Grant, OWNER, Permission, Role};
use crate::audit::AuditEntry;
use crate::base::actor::Actor;
use crate::base::error::{Error, Refusal, codes};
use crate::base::id::UserId;
use crate::base::page::{Page, PageRequest};
use crate::events::OutboxEvent;
use crate::identity::sessions::Session;
use crate::store::Tx;
use crate::tenancy::names::codes::{LAST_OWNER, ROLE_ABOVE_YOURS};
use crate::tenancy::names::{ListMembers, RemoveMember, UpdateMember, action, subject};

/// Who belongs to the workspace, in the order in which they joined.
pub async fn list(can: &Can<ListMembers>, tx: &mut dyn Tx, page: &PageRequest) -> Result<Page<Member>, Error> {
    Ok(can.enter(tx)?.members().list(can.workspace(), page).await?)
}

/// Where the person belongs and as what, oldest workspace first.
pub async fn of_user(session: &Session, tx: &mut dyn Tx, page: &PageRequest) -> Result<Page<Membership>, Error> {
    Ok(tx.members().of_user(session.user(), page).await?)
}

/// Gives `user` another role.
///
/// # Errors
/// `not_found`; `validation_failed` for a role that does not exist; `role_above_yours` if either role is more than the
/// caller's own; `last_owner`.
pub async fn change_role(can: &Can<UpdateMember>, tx: &mut dyn Tx, user: UserId, role: &str) -> Result<Member, Error> {
    let new = can.roles().named(role)?.clone();
    let mine = lock_and_recheck(can, tx).await?;
    let mut member = tx.members().find(can.workspace(), user).await?.ok_or_else(missing)?;
    can_assign(&mine, can.roles().get(&member.role))?;
    can_assign(&mine, &new).map_err(|refusal| refusal.at("role"))?;
    if member.role == new.name {
        return Ok(member);
    }
    keep_an_owner(can, tx, &member).await?;
    tx.members().set_role(can.workspace(), user, &new.name, can.now()).await?;
    let meta = json!({ "from": member.role, "to": new.name });
    note(can, tx, action::MEMBER_ROLE_CHANGE, subject::MEMBER_UPDATED, user, meta);
    member.role.clone_from(&new.name);
    Ok(member)
}

/// Takes `user` out of the workspace. Their sessions stay, and reach it no longer.
///
/// # Errors
/// `not_found`, `role_above_yours`, `last_owner`.
pub async fn remove(can: &Can<EvenReadOnly<RemoveMember>>, tx: &mut dyn Tx, user: UserId) -> Result<(), Error> {
    let mine = lock_and_recheck(can, tx).await?;
    let member = tx.members().find(can.workspace(), user).await?.ok_or_else(missing)?;
    can_assign(&mine, can.roles().get(&member.role))?;
    take_out(can, tx, &member, action::MEMBER_REMOVE).await
}

/// Takes the caller out of the workspace. Needs no permission: nobody is kept.
///
/// # Errors
/// `last_owner`; `forbidden` for an API key, which is nobody.
pub async fn leave(grant: &Grant, tx: &mut dyn Tx) -> Result<(), Error> {
    let Actor::User(user) = grant.actor() else {
        let text = "an API key belongs to nobody and cannot leave; revoke it instead";
        return Err(Refusal::new(&codes::FORBIDDEN, text).into());
    };
    let tx = grant.enter(tx)?;
    tx.workspaces().lock(grant.workspace()).await?;
    let member = tx.members().find(grant.workspace(), user).await?.ok_or_else(gone)?;
    take_out(grant, tx, &member, action::MEMBER_LEAVE).await
}

async fn take_out(grant: &Grant, tx: &mut dyn Tx, member: &Member, action: &'static str) -> Result<(), Error> {
    keep_an_owner(grant, tx, member).await?;
    tx.members().remove(grant.workspace(), member.user).await?;
    note(grant, tx, action, subject::MEMBER_REMOVED, member.user, json!({ "role": member.role }));
    Ok(())
}

/// Locks the workspace against other changes of its members and gives the role that the caller has now, if it still holds
/// `P`: the proof was made when the call began.
pub(crate) async fn lock_and_recheck<P: Permission>(can: &Can<P>, tx: &mut dyn Tx) -> Result<Arc<Role>, Error> {
    let tx = can.enter(tx)?;
    tx.workspaces().lock(can.workspace()).await?;
    let Actor::User(user) = can.actor() else {
        let text = "API keys do not manage people; sign in as somebody who may";
        return Err(Refusal::new(&codes::FORBIDDEN, text).into());
    };
    let member = tx.members().find(can.workspace(), user).await?.ok_or_else(gone)?;
    let role = can.roles().get(&member.role).clone();
    if role.bits.has(P::bit()) { Ok(role) } else { Err(gone().into()) }
}

/// Whether somebody of role `mine` may give or take `other`: neither its rank nor anything it may do is above theirs.
pub(crate) fn can_assign(mine: &Role, other: &Role) -> Result<(), Refusal> {
    if other.rank >= mine.rank && mine.bits.contains(&other.bits) {
        return Ok(());
    }
    let text = format!("the role `{}` is more than your own, `{}`; ask somebody who has it", other.name, mine.name);
    Err(Refusal::new(&ROLE_ABOVE_YOURS, text))
}

async fn keep_an_owner(grant: &Grant, tx: &mut dyn Tx, member: &Member) -> Result<(), Error> {
    if member.role != OWNER || tx.members().has_other_with_role(grant.workspace(), OWNER, member.user).await? {
        return Ok(());
    }
    let text = "a workspace always has an owner, and this is its last; make somebody else an owner first";
    Err(Refusal::new(&LAST_OWNER, text).into())
}

fn note(
    grant: &Grant,
    tx: &mut dyn Tx,
    action: &'static str,
    subject: &'static str,
    user: UserId,
    meta: serde_json::Value,
) {
    let entry = AuditEntry::new(grant.ctx(), grant.actor(), grant.workspace(), action).target("user", user).meta(meta);
    tx.records().audit(entry);
    tx.records().event(OutboxEvent::new(grant.now(), grant.workspace(), subject, json!({ "user": user })));
}

fn missing() -> Refusal {
    Refusal::new(&codes::NOT_FOUND, "there is no such member in this workspace; GET …/members lists them")
}

fn gone() -> Refusal {
    Refusal::new(&codes::FORBIDDEN, "you no longer hold this permission here; reload, or ask an owner")
}
