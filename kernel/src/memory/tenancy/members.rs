//! Memberships.

use std::sync::Arc;

use async_trait::async_trait;

use crate::memory::tx::MemoryTx;
use crate::store::StoreError;
use crate::tenancy::members::{Members, NewMembership};

#[derive(Clone)]
pub(crate) struct MemberRow {
    pub(crate) role: String,
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
        Arc::make_mut(&mut self.state.members).insert(key, MemberRow { role: new.role.to_owned() });
        Ok(())
    }
}
