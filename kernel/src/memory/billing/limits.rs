//! Limits: counters, and the credits that rows use up.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::billing::catalog::Cap;
use crate::billing::limits::{Limits, Reserved, Usage};
use crate::id::WorkspaceId;
use crate::memory::tx::MemoryTx;
use crate::store::StoreError;

#[derive(Clone)]
pub(crate) struct UsageRow {
    used: u64,
    cap: Cap,
}

impl MemoryTx {
    /// What the triggers of a protected table do for an inserted row: it uses up a place that was reserved, or takes one.
    ///
    /// # Errors
    /// `Limit` when there is none, and the transaction is over then.
    pub fn count_row(&mut self, workspace: WorkspaceId, key: &str) -> Result<(), StoreError> {
        self.alive()?;
        if let Some(credit @ 1..) = self.credits.get_mut(&(workspace, key.to_owned())) {
            *credit -= 1;
            return Ok(());
        }
        if self.take(workspace, key, 1) { Ok(()) } else { Err(self.fail(StoreError::Limit(key.to_owned()))) }
    }

    /// What they do for a deleted row: it gives its place back.
    ///
    /// # Errors
    /// When a statement of the transaction failed before.
    pub fn uncount_row(&mut self, workspace: WorkspaceId, key: &str) -> Result<(), StoreError> {
        self.alive()?;
        if let Some(usage) = self.usage_mut(workspace, key) {
            usage.used = usage.used.saturating_sub(1);
        }
        Ok(())
    }

    /// Places that were reserved and for which no row came are free again when the transaction commits.
    pub(crate) fn give_back(&mut self) {
        for ((workspace, key), left) in std::mem::take(&mut self.credits) {
            if let Some(usage) = self.usage_mut(workspace, &key) {
                usage.used = usage.used.saturating_sub(left);
            }
        }
    }

    fn take(&mut self, workspace: WorkspaceId, key: &str, n: u64) -> bool {
        let Some(usage) = self.usage_mut(workspace, key) else { return false };
        let fits = usage.cap.allows(usage.used + n);
        if fits {
            usage.used += n;
        }
        fits
    }

    fn usage_mut(&mut self, workspace: WorkspaceId, key: &str) -> Option<&mut UsageRow> {
        let may = self.in_workspace(workspace);
        let row = Arc::make_mut(&mut self.state.usage).get_mut(&(workspace, key.to_owned()));
        row.filter(|_| may)
    }
}

fn shown(row: &UsageRow) -> Usage {
    Usage { used: row.used, cap: row.cap }
}

#[async_trait]
impl Limits for MemoryTx {
    async fn reserve(&mut self, workspace: WorkspaceId, key: &str, n: u32) -> Result<Reserved, StoreError> {
        if self.is_system() && self.credits.keys().any(|(of, known)| known == key && *of != workspace) {
            return Err(StoreError::Scope);
        }
        self.alive()?;
        if self.take(workspace, key, u64::from(n)) {
            *self.credits.entry((workspace, key.to_owned())).or_default() += u64::from(n);
            return Ok(Reserved::Yes);
        }
        Ok(self.usage(workspace, key).await?.map_or(Reserved::Unknown, Reserved::Full))
    }

    async fn usage(&mut self, workspace: WorkspaceId, key: &str) -> Result<Option<Usage>, StoreError> {
        self.alive()?;
        let row = self.state.usage.get(&(workspace, key.to_owned()));
        Ok(row.filter(|_| self.in_workspace(workspace)).map(shown))
    }

    async fn all(&mut self, workspace: WorkspaceId) -> Result<BTreeMap<String, Usage>, StoreError> {
        self.alive()?;
        let rows = self.state.usage.iter().filter(|((of, _), _)| *of == workspace && self.in_workspace(workspace));
        Ok(rows.map(|((_, key), row)| (key.clone(), shown(row))).collect())
    }

    async fn open(&mut self, workspace: WorkspaceId, caps: &BTreeMap<String, Cap>) -> Result<(), StoreError> {
        self.alive()?;
        for (key, cap) in caps {
            self.may_write("usage", self.in_workspace(workspace))?;
            let key = (workspace, key.clone());
            self.unique("usage_pkey", !self.state.usage.contains_key(&key))?;
            self.refers("usage", self.state.workspaces.contains_key(&workspace))?;
            Arc::make_mut(&mut self.state.usage).insert(key, UsageRow { used: 0, cap: *cap });
        }
        Ok(())
    }

    async fn set_caps(&mut self, workspace: WorkspaceId, caps: &BTreeMap<String, Cap>) -> Result<(), StoreError> {
        self.alive()?;
        self.may_write("usage", self.is_system())?;
        for (key, cap) in caps {
            self.refers("usage", self.state.workspaces.contains_key(&workspace))?;
            let usage = Arc::make_mut(&mut self.state.usage);
            usage.entry((workspace, key.clone())).or_insert(UsageRow { used: 0, cap: *cap }).cap = *cap;
        }
        Ok(())
    }
}
