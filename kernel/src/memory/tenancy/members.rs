//! Memberships.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::id::{UserId, WorkspaceId};
use crate::identity::users::Email;
use crate::memory::store::micros;
use crate::memory::tx::MemoryTx;
use crate::page::{Page, PageRequest};
use crate::store::StoreError;
use crate::tenancy::members::{Belonging, Member, Members, NewMembership, SEATS};

#[derive(Clone)]
pub(crate) struct MemberRow {
    pub(crate) role: String,
    joined_at: DateTime<Utc>,
}

impl MemoryTx {
    /// Only with the person's account in sight: Postgres joins the two.
    fn member(&self, workspace: WorkspaceId, user: UserId) -> Option<Member> {
        let row = self.state.members.get(&(workspace, user)).filter(|_| self.sees_member(workspace, user))?;
        let account = self.state.users.get(&user).filter(|_| self.sees_user(user))?;
        Some(Member {
            user,
            email: account.user.email.clone(),
            name: account.user.name.clone(),
            role: row.role.clone(),
            joined_at: row.joined_at,
        })
    }

    /// Of its own workspace, and a person's own everywhere.
    fn sees_member(&self, workspace: WorkspaceId, user: UserId) -> bool {
        self.in_workspace(workspace) || self.is_me(user)
    }

    fn of_workspace(&self, workspace: WorkspaceId) -> Vec<Member> {
        let users = self.state.members.keys().filter(|(of, _)| *of == workspace).map(|(_, user)| *user);
        users.filter_map(|user| self.member(workspace, user)).collect()
    }

    fn member_mut(&mut self, workspace: WorkspaceId, user: UserId) -> Option<&mut MemberRow> {
        let may = self.in_workspace(workspace);
        Arc::make_mut(&mut self.state.members).get_mut(&(workspace, user)).filter(|_| may)
    }
}

#[async_trait]
impl Members for MemoryTx {
    async fn insert(&mut self, new: &NewMembership<'_>) -> Result<(), StoreError> {
        self.alive()?;
        // A request makes nobody a member but the person it acts for, and only where the scope holds both.
        self.may_write("memberships", self.in_workspace(new.workspace) && self.is_me(new.user))?;
        let key = (new.workspace, new.user);
        self.unique("memberships_pkey", !self.state.members.contains_key(&key))?;
        self.refers("memberships", self.state.workspaces.contains_key(&new.workspace))?;
        self.refers("memberships", self.state.users.contains_key(&new.user))?;
        let row = MemberRow { role: new.role.to_owned(), joined_at: micros(new.at) };
        Arc::make_mut(&mut self.state.members).insert(key, row);
        self.count_row(new.workspace, SEATS)
    }

    async fn find(&mut self, workspace: WorkspaceId, user: UserId) -> Result<Option<Member>, StoreError> {
        self.alive()?;
        Ok(self.member(workspace, user))
    }

    async fn has_email(&mut self, workspace: WorkspaceId, email: &Email) -> Result<bool, StoreError> {
        self.alive()?;
        let account = self.state.users.values().find(|row| row.email_lower == email.lower());
        Ok(account.is_some_and(|account| self.member(workspace, account.user.id).is_some()))
    }

    async fn list(&mut self, workspace: WorkspaceId, page: &PageRequest) -> Result<Page<Member>, StoreError> {
        self.alive()?;
        let after = page.after.map(|after| (micros(after.at), after.id));
        let mut found = self.of_workspace(workspace);
        found.retain(|member| after.is_none_or(|after| (member.joined_at, member.user.uuid()) > after));
        found.sort_by_key(|member| (member.joined_at, member.user));
        Ok(Page::cut(found, page, Member::position))
    }

    async fn of_user(&mut self, user: UserId, page: &PageRequest) -> Result<Page<Belonging>, StoreError> {
        self.alive()?;
        let after = page.after.map(|after| (micros(after.at), after.id));
        let rows = self.state.members.iter().filter(|((of, member), _)| *member == user && self.sees_member(*of, user));
        let mut found: Vec<Belonging> = rows
            .filter_map(|((of, _), row)| {
                let workspace = &self.state.workspaces.get(of)?.workspace;
                let (slug, role) = (workspace.slug.clone(), row.role.clone());
                Some(Belonging { workspace: *of, slug, role, founded_at: workspace.created_at })
            })
            .filter(|belonging| after.is_none_or(|after| (belonging.founded_at, belonging.workspace.uuid()) > after))
            .collect();
        found.sort_by_key(|belonging| (belonging.founded_at, belonging.workspace));
        Ok(Page::cut(found, page, Belonging::position))
    }

    async fn another(&mut self, workspace: WorkspaceId, role: &str, user: UserId) -> Result<bool, StoreError> {
        self.alive()?;
        Ok(self.state.members.iter().any(|((of, member), row)| {
            *of == workspace && *member != user && row.role == role && self.sees_member(workspace, *member)
        }))
    }

    async fn set_role(
        &mut self,
        workspace: WorkspaceId,
        user: UserId,
        role: &str,
        _at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        self.alive()?;
        self.will_change_standing(user.uuid())?;
        let row = self.member_mut(workspace, user);
        let changed = row.map(|row| role.clone_into(&mut row.role)).is_some();
        if changed {
            self.has_changed_standing(user.uuid());
        }
        Ok(changed)
    }

    async fn remove(&mut self, workspace: WorkspaceId, user: UserId) -> Result<bool, StoreError> {
        self.alive()?;
        self.will_change_standing(user.uuid())?;
        if self.member_mut(workspace, user).is_none() {
            return Ok(false);
        }
        Arc::make_mut(&mut self.state.members).remove(&(workspace, user));
        self.has_changed_standing(user.uuid());
        self.uncount_row(workspace, SEATS)?;
        Ok(true)
    }
}
