//! Look-ups. They read what is committed and wait for no transaction.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::id::{UserId, WorkspaceId};
use crate::identity::lookups::{
    ApiKeyFound, InviteFound, KeyWorkspace, LoginFound, Lookups, MembershipFound, SessionFound, WorkspaceRef,
};
use crate::identity::users::Email;
use crate::memory::store::{Shared, State, micros};
use crate::secret::TokenHash;
use crate::store::{Checkout, StoreError};

pub(crate) struct MemoryLookups(pub(crate) Arc<Shared>);

#[async_trait]
impl Lookups for MemoryLookups {
    async fn session(
        &mut self,
        token: &TokenHash,
        workspace: Option<&WorkspaceRef>,
        now: DateTime<Utc>,
    ) -> Result<Option<SessionFound>, StoreError> {
        let state = self.0.committed();
        let found = state.sessions.values().find(|row| row.token == *token && row.expires_at > micros(now));
        Ok(found.map(|row| SessionFound {
            id: row.id,
            user: row.user,
            seen_at: row.seen_at,
            membership: workspace.and_then(|asked| membership(&state, asked, row.user)),
        }))
    }

    async fn login(&mut self, email: &Email) -> Result<Option<LoginFound>, StoreError> {
        let state = self.0.committed();
        let found = state.users.values().find(|row| row.email_lower == email.lower());
        Ok(found.map(|row| LoginFound { user: row.user.id, password: row.password.clone() }))
    }

    async fn api_key(
        &mut self,
        token: &TokenHash,
        workspace: Option<&WorkspaceRef>,
        now: DateTime<Utc>,
    ) -> Result<Option<ApiKeyFound>, StoreError> {
        let state = self.0.committed();
        let found = state.api_keys.iter().find(|(_, row)| row.token == *token && row.in_force(now));
        Ok(found.map(|((of, id), row)| {
            let asked = workspace.and_then(|asked| workspace_id(&state, asked)).filter(|asked| asked == of);
            let own = asked.and_then(|id| state.workspaces.get(&id)).map(|row| &row.workspace);
            let own = own.map(|own| KeyWorkspace { id: own.id, plan: own.plan.clone(), access: own.access });
            let (scopes, last_used_at) = (row.key.scopes.clone(), row.key.last_used_at);
            ApiKeyFound { id: *id, scopes, last_used_at, workspace: own }
        }))
    }

    async fn invite(&mut self, token: &TokenHash) -> Result<Option<InviteFound>, StoreError> {
        let state = self.0.committed();
        let found = state.invites.iter().find(|(_, row)| row.token == *token);
        Ok(found.map(|((workspace, id), row)| InviteFound {
            id: *id,
            workspace: *workspace,
            email_lower: row.email_lower.clone(),
            role: row.invite.role.clone(),
            invited_by: row.by,
        }))
    }

    fn park(self: Box<Self>) -> Checkout {
        // There is no connection that could wait.
        Checkout::default()
    }
}

fn workspace_id(state: &State, asked: &WorkspaceRef) -> Option<WorkspaceId> {
    match asked {
        WorkspaceRef::Id(id) => Some(*id),
        WorkspaceRef::Slug(slug) => state.slugs.get(slug.as_str()).copied(),
    }
}

fn membership(state: &State, asked: &WorkspaceRef, user: UserId) -> Option<MembershipFound> {
    let workspace = workspace_id(state, asked)?;
    let member = state.members.get(&(workspace, user))?;
    let found = &state.workspaces.get(&workspace)?.workspace;
    Some(MembershipFound { workspace, role: member.role.clone(), plan: found.plan.clone(), access: found.access })
}
