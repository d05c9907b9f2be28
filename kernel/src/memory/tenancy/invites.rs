//! Invites.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::actor::ActorRef;
use crate::id::{InviteId, UserId, WorkspaceId};
use crate::identity::users::Email;
use crate::memory::store::micros;
use crate::memory::tx::MemoryTx;
use crate::page::{Page, PageRequest};
use crate::secret::TokenHash;
use crate::store::StoreError;
use crate::tenancy::invites::{Invite, Invites, NewInvite};

#[derive(Clone)]
pub(crate) struct InviteRow {
    pub(crate) invite: Invite,
    pub(crate) email_lower: String,
    pub(crate) token: TokenHash,
    pub(crate) by: UserId,
    /// Neither accepted nor revoked.
    open: bool,
}

impl MemoryTx {
    fn open_invites(&self, workspace: WorkspaceId) -> impl Iterator<Item = &InviteRow> {
        let visible = self.in_workspace(workspace);
        let rows = self.state.invites.iter().filter(move |((of, _), row)| visible && *of == workspace && row.open);
        rows.map(|(_, row)| row)
    }

    fn open_invite_mut(&mut self, workspace: WorkspaceId, id: InviteId) -> Option<&mut InviteRow> {
        let may = self.in_workspace(workspace);
        Arc::make_mut(&mut self.state.invites).get_mut(&(workspace, id)).filter(|row| may && row.open)
    }
}

#[async_trait]
impl Invites for MemoryTx {
    async fn put(&mut self, new: &NewInvite<'_>) -> Result<Invite, StoreError> {
        self.alive()?;
        self.may_write("invites", self.in_workspace(new.workspace))?;
        self.refers("invites", self.state.workspaces.contains_key(&new.workspace))?;
        let replaced = self.open_invites(new.workspace).find(|row| row.email_lower == new.email.lower());
        let id = replaced.map(|row| row.invite.id);
        let taken = id.is_none() && self.state.invites.contains_key(&(new.workspace, new.id));
        self.unique("invites_pkey", !taken)?;
        let id = id.unwrap_or(new.id);
        let invite = Invite {
            id,
            email: new.email.as_str().to_owned(),
            role: new.role.to_owned(),
            invited_by: ActorRef::from_row("user".to_owned(), new.by.uuid(), None),
            created_at: micros(new.at),
            expires_at: micros(new.expires_at),
        };
        let email_lower = new.email.lower().to_owned();
        let row = InviteRow { invite: invite.clone(), email_lower, token: new.token, by: new.by, open: true };
        Arc::make_mut(&mut self.state.invites).insert((new.workspace, id), row);
        Ok(invite)
    }

    async fn list(&mut self, workspace: WorkspaceId, page: &PageRequest) -> Result<Page<Invite>, StoreError> {
        self.alive()?;
        let after = page.after.map(|after| (micros(after.at), after.id));
        let mut found: Vec<Invite> = self.open_invites(workspace).map(|row| row.invite.clone()).collect();
        found.retain(|invite| after.is_none_or(|after| (invite.created_at, invite.id.uuid()) < after));
        found.sort_by_key(|invite| std::cmp::Reverse((invite.created_at, invite.id)));
        Ok(Page::cut(found, page, Invite::position))
    }

    async fn open(&mut self, workspace: WorkspaceId, besides: &Email, now: DateTime<Utc>) -> Result<u64, StoreError> {
        self.alive()?;
        let counts = |row: &&InviteRow| row.invite.expires_at > micros(now) && row.email_lower != besides.lower();
        let open = self.open_invites(workspace).filter(counts).count();
        Ok(u64::try_from(open).unwrap_or(u64::MAX))
    }

    async fn revoke(
        &mut self,
        workspace: WorkspaceId,
        id: InviteId,
        _at: DateTime<Utc>,
    ) -> Result<Option<Invite>, StoreError> {
        self.alive()?;
        Ok(self.open_invite_mut(workspace, id).map(|row| {
            row.open = false;
            row.invite.clone()
        }))
    }

    async fn consume(
        &mut self,
        workspace: WorkspaceId,
        id: InviteId,
        _user: UserId,
        at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        self.alive()?;
        let row = self.open_invite_mut(workspace, id).filter(|row| row.invite.expires_at > micros(at));
        Ok(row.map(|row| row.open = false).is_some())
    }
}
