//! API keys.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::id::{ApiKeyId, WorkspaceId};
use crate::identity::api_keys::{ApiKey, ApiKeys};
use crate::memory::store::micros;
use crate::memory::tx::MemoryTx;
use crate::page::{Page, PageRequest};
use crate::secret::TokenHash;
use crate::store::StoreError;

#[derive(Clone)]
pub(crate) struct KeyRow {
    pub(crate) key: ApiKey,
    pub(crate) token: TokenHash,
    pub(crate) revoked: bool,
}

impl KeyRow {
    pub(crate) fn in_force(&self, now: DateTime<Utc>) -> bool {
        !self.revoked && self.key.expires_at.is_none_or(|at| at > micros(now))
    }
}

impl MemoryTx {
    fn keys(&self, workspace: WorkspaceId) -> impl Iterator<Item = &KeyRow> {
        let visible = self.in_workspace(workspace);
        let rows = self.state.api_keys.iter().filter(move |((of, _), row)| visible && *of == workspace && !row.revoked);
        rows.map(|(_, row)| row)
    }

    fn key_mut(&mut self, workspace: WorkspaceId, id: ApiKeyId) -> Option<&mut KeyRow> {
        let may = self.in_workspace(workspace);
        Arc::make_mut(&mut self.state.api_keys).get_mut(&(workspace, id)).filter(|_| may)
    }
}

#[async_trait]
impl ApiKeys for MemoryTx {
    async fn insert(&mut self, workspace: WorkspaceId, key: &ApiKey, token: &TokenHash) -> Result<(), StoreError> {
        self.alive()?;
        self.may_write("api_keys", self.in_workspace(workspace))?;
        self.unique("api_keys_pkey", !self.state.api_keys.contains_key(&(workspace, key.id)))?;
        self.refers("api_keys", self.state.workspaces.contains_key(&workspace))?;
        let kept = ApiKey {
            created_at: micros(key.created_at),
            expires_at: key.expires_at.map(micros),
            last_used_at: None,
            ..key.clone()
        };
        let row = KeyRow { key: kept, token: *token, revoked: false };
        Arc::make_mut(&mut self.state.api_keys).insert((workspace, key.id), row);
        Ok(())
    }

    async fn list(&mut self, workspace: WorkspaceId, page: &PageRequest) -> Result<Page<ApiKey>, StoreError> {
        self.alive()?;
        let after = page.after.map(|after| (micros(after.at), after.id));
        let mut found: Vec<ApiKey> = self.keys(workspace).map(|row| row.key.clone()).collect();
        found.retain(|key| after.is_none_or(|after| (key.created_at, key.id.uuid()) < after));
        found.sort_by_key(|key| std::cmp::Reverse((key.created_at, key.id)));
        Ok(Page::cut(found, page, ApiKey::position))
    }

    async fn count(&mut self, workspace: WorkspaceId, now: DateTime<Utc>) -> Result<u64, StoreError> {
        self.alive()?;
        let count = self.keys(workspace).filter(|row| row.in_force(now)).count();
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    async fn revoke(&mut self, workspace: WorkspaceId, id: ApiKeyId, _at: DateTime<Utc>) -> Result<bool, StoreError> {
        self.alive()?;
        self.will_change_standing(id.uuid())?;
        let row = self.key_mut(workspace, id).filter(|row| !row.revoked);
        let revoked = row.map(|row| row.revoked = true).is_some();
        if revoked {
            self.has_changed_standing(id.uuid());
        }
        Ok(revoked)
    }

    async fn touch(&mut self, workspace: WorkspaceId, id: ApiKeyId, at: DateTime<Utc>) -> Result<(), StoreError> {
        self.alive()?;
        let at = micros(at);
        if let Some(row) = self.key_mut(workspace, id).filter(|row| row.key.last_used_at.is_none_or(|used| used < at)) {
            row.key.last_used_at = Some(at);
        }
        Ok(())
    }
}
