//! Lists members, changes their roles, removes them, and lets them leave.

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
use crate::store::{ReadTx, Tx};
use crate::tenancy::names::codes::{LAST_OWNER, ROLE_ABOVE_YOURS};
use crate::tenancy::names::{ListMembers, RemoveMember, UpdateMember, action, subject};

/// Lists the workspace's members, in the order in which they joined.
pub async fn list(can: &Can<ListMembers>, tx: &mut dyn ReadTx, page: &PageRequest) -> Result<Page<Member>, Error> {
    Ok(can.enter_read(tx)?.members().list(can.workspace(), page).await?)
}

/// Lists the person's memberships, oldest workspace first.
pub async fn of_user(session: &Session, tx: &mut dyn ReadTx, page: &PageRequest) -> Result<Page<Membership>, Error> {
    Ok(tx.reads().members().of_user(session.user(), page).await?)
}

/// Changes the role of `user`.
///
/// # Errors
/// `not_found`; `validation_failed` for a role that does not exist; `role_above_yours` if the old or the new role is above the
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

/// Removes `user` from the workspace. Their sessions remain, without access to the workspace.
///
/// # Errors
/// `not_found`, `role_above_yours`, `last_owner`.
pub async fn remove(can: &Can<EvenReadOnly<RemoveMember>>, tx: &mut dyn Tx, user: UserId) -> Result<(), Error> {
    let mine = lock_and_recheck(can, tx).await?;
    let member = tx.members().find(can.workspace(), user).await?.ok_or_else(missing)?;
    can_assign(&mine, can.roles().get(&member.role))?;
    take_out(can, tx, &member, action::MEMBER_REMOVE).await
}

/// Removes the caller from the workspace. It needs no permission: every member may leave.
///
/// # Errors
/// `last_owner`; `forbidden` for an API key, which is not a member.
pub async fn leave(grant: &Grant, tx: &mut dyn Tx) -> Result<(), Error> {
    let Actor::User(user) = grant.actor() else {
        let text = "an API key is not a member and cannot leave; revoke the key instead";
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

/// Locks the workspace against other changes of its members, and returns the caller's current role if it still has `P`. The
/// proof was made when the call began, and may be outdated.
pub(crate) async fn lock_and_recheck<P: Permission>(can: &Can<P>, tx: &mut dyn Tx) -> Result<Arc<Role>, Error> {
    let tx = can.enter(tx)?;
    tx.workspaces().lock(can.workspace()).await?;
    let Actor::User(user) = can.actor() else {
        let text = "an API key cannot manage members, invites or API keys; sign in as a person with this permission";
        return Err(Refusal::new(&codes::FORBIDDEN, text).into());
    };
    let member = tx.members().find(can.workspace(), user).await?.ok_or_else(gone)?;
    let role = can.roles().get(&member.role).clone();
    if role.bits.has(P::bit()) { Ok(role) } else { Err(gone().into()) }
}

/// Whether somebody with the role `mine` may assign or remove the role `other`: neither its rank nor any of its permissions
/// may be above theirs.
pub(crate) fn can_assign(mine: &Role, other: &Role) -> Result<(), Refusal> {
    if other.rank >= mine.rank && mine.bits.contains(&other.bits) {
        return Ok(());
    }
    let text = format!("the role `{}` is above your own role `{}`; ask somebody who has it", other.name, mine.name);
    Err(Refusal::new(&ROLE_ABOVE_YOURS, text))
}

async fn keep_an_owner(grant: &Grant, tx: &mut dyn Tx, member: &Member) -> Result<(), Error> {
    if member.role != OWNER || tx.members().has_other_with_role(grant.workspace(), OWNER, member.user).await? {
        return Ok(());
    }
    let text = "this is the workspace's last owner, and it must have one; make another member an owner first";
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
    tx.records().audit(AuditEntry::by(grant, action).target("user", user).meta(meta));
    tx.records().event(OutboxEvent::by(grant, subject, json!({ "user": user })));
}

fn missing() -> Refusal {
    Refusal::new(&codes::NOT_FOUND, "there is no such member in this workspace; GET …/members lists them")
}

fn gone() -> Refusal {
    Refusal::new(
        &codes::FORBIDDEN,
        "you no longer have this permission in this workspace; reload, or ask an owner for it",
    )
}
