//! Workspaces.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::actor::ActorRef;
use crate::billing::subscription::Access;
use crate::id::{UserId, WorkspaceId};
use crate::memory::store::micros;
use crate::memory::tx::MemoryTx;
use crate::page::{Page, PageRequest};
use crate::store::{Reach, StoreError};
use crate::tenancy::workspaces::{NewWorkspace, Rename, Slug, Workspace, Workspaces};

#[derive(Clone)]
pub(crate) struct WorkspaceRow {
    pub(crate) workspace: Workspace,
}

impl MemoryTx {
    /// Its own workspace, and those a person belongs to, to be read.
    fn sees_workspace(&self, id: WorkspaceId) -> bool {
        let mine = match self.scope_ref().reach() {
            Reach::User(me) | Reach::Founding(me, _) | Reach::Joining(me, _) => {
                self.state.members.contains_key(&(id, me))
            }
            Reach::Tenant(_) | Reach::System(_) => false,
        };
        self.in_workspace(id) || mine
    }

    /// The row, to be changed: of its own workspace only.
    fn workspace_mut(&mut self, id: WorkspaceId) -> Option<&mut Workspace> {
        let may = self.in_workspace(id);
        let row = Arc::make_mut(&mut self.state.workspaces).get_mut(&id);
        row.filter(|_| may).map(|row| &mut row.workspace)
    }
}

#[async_trait]
impl Workspaces for MemoryTx {
    async fn claim_slug(
        &mut self,
        workspace: WorkspaceId,
        slug: &Slug,
        _at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        self.alive()?;
        self.may_write("slugs", self.in_workspace(workspace))?;
        let slugs = Arc::make_mut(&mut self.state.slugs);
        Ok(*slugs.entry(slug.as_str().to_owned()).or_insert(workspace) == workspace)
    }

    async fn insert(&mut self, new: &NewWorkspace<'_>) -> Result<(), StoreError> {
        self.alive()?;
        self.may_write("workspaces", self.in_workspace(new.id))?;
        self.unique("workspaces_pkey", !self.state.workspaces.contains_key(&new.id))?;
        let workspace = Workspace {
            id: new.id,
            slug: new.slug.as_str().to_owned(),
            name: new.name.as_str().to_owned(),
            plan: None,
            access: Access::Full,
            created_by: ActorRef::from_row(new.created_by.kind().to_owned(), new.created_by.uuid(), None),
            created_at: micros(new.at),
            updated_at: micros(new.at),
        };
        Arc::make_mut(&mut self.state.workspaces).insert(new.id, WorkspaceRow { workspace });
        Ok(())
    }

    async fn find(&mut self, id: WorkspaceId) -> Result<Option<Workspace>, StoreError> {
        self.alive()?;
        let row = self.state.workspaces.get(&id).filter(|_| self.sees_workspace(id));
        Ok(row.map(|row| row.workspace.clone()))
    }

    async fn of_user(&mut self, user: UserId, page: &PageRequest) -> Result<Page<Workspace>, StoreError> {
        self.alive()?;
        let after = page.after.map(|after| (micros(after.at), after.id));
        let mut found: Vec<Workspace> = self
            .state
            .workspaces
            .values()
            .map(|row| &row.workspace)
            .filter(|w| self.state.members.contains_key(&(w.id, user)))
            .filter(|w| self.in_workspace(w.id) || self.is_me(user))
            .filter(|w| after.is_none_or(|after| (w.created_at, w.id.uuid()) > after))
            .cloned()
            .collect();
        found.sort_by_key(|w| (w.created_at, w.id));
        found.truncate(page.limit() as usize + 1);
        Ok(Page::cut(found, page, Workspace::position))
    }

    async fn rename(
        &mut self,
        id: WorkspaceId,
        rename: &Rename,
        at: DateTime<Utc>,
    ) -> Result<Option<Workspace>, StoreError> {
        self.alive()?;
        Ok(self.workspace_mut(id).map(|workspace| {
            if let Some(name) = &rename.name {
                name.as_str().clone_into(&mut workspace.name);
            }
            if let Some(slug) = &rename.slug {
                slug.as_str().clone_into(&mut workspace.slug);
            }
            workspace.updated_at = micros(at);
            workspace.clone()
        }))
    }

    async fn lock(&mut self, id: WorkspaceId) -> Result<bool, StoreError> {
        // Every transaction has all of the store to itself: there is nothing left to lock.
        self.alive()?;
        Ok(self.workspace_mut(id).is_some())
    }

    async fn set_plan(
        &mut self,
        id: WorkspaceId,
        plan: Option<&str>,
        access: Access,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.alive()?;
        self.may_write("workspaces", self.is_system())?;
        if self.state.workspaces.contains_key(&id) && access == Access::None {
            return Err(self.fail(StoreError::backend("workspaces: `none` is no access that a workspace can have")));
        }
        if let Some(workspace) = self.workspace_mut(id) {
            workspace.plan = plan.map(str::to_owned);
            workspace.access = access;
            workspace.updated_at = micros(at);
        }
        Ok(())
    }
}
