//! Look-ups. They read what is committed and wait for no transaction.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::id::{UserId, WorkspaceId};
use crate::identity::lookups::{LoginFound, Lookups, MembershipFound, SessionFound, WorkspaceRef};
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

    fn park(self: Box<Self>) -> Checkout {
        // There is no connection that could wait.
        Checkout::default()
    }
}

fn membership(state: &State, asked: &WorkspaceRef, user: UserId) -> Option<MembershipFound> {
    let workspace: WorkspaceId = match asked {
        WorkspaceRef::Id(id) => *id,
        WorkspaceRef::Slug(slug) => *state.slugs.get(slug.as_str())?,
    };
    let member = state.members.get(&(workspace, user))?;
    let found = &state.workspaces.get(&workspace)?.workspace;
    Some(MembershipFound { workspace, role: member.role.clone(), plan: found.plan.clone(), access: found.access })
}
