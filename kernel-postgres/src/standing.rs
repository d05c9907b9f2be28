//! Re-checks what a transaction was let in by. The queues and the re-check itself are in `migrations/0010_standing.sql`.

use std::collections::BTreeSet;

use saas_kernel::StoreError;
use saas_kernel::access::catalog::Access;
use saas_kernel::access::{Standing, WorkspaceState, WorkspaceStatus};
use saas_kernel::id::WorkspaceId;
use serde::Deserialize;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use crate::error::{PgResult, bad_row};
use crate::names::Names;
use crate::tx::PgTx;

/// The arguments of `kernel.recheck`. All `None`: there is nothing to re-check.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Recheck {
    session: Option<Uuid>,
    workspace: Option<Uuid>,
    member: Option<(Uuid, i64)>,
    key: Option<Uuid>,
    workspace_version: Option<i64>,
}

impl Recheck {
    fn of<'s>(standings: impl Iterator<Item = &'s Standing>) -> Result<Self, StoreError> {
        let mut recheck = Self::default();
        for standing in standings {
            match *standing {
                Standing::Session(id) => recheck.session = Some(id.uuid()),
                Standing::Member { workspace, user, version } => {
                    recheck.workspace = Some(workspace.uuid());
                    recheck.member = Some((user.uuid(), version));
                }
                Standing::Key { workspace, key } => {
                    recheck.workspace = Some(workspace.uuid());
                    recheck.key = Some(key.uuid());
                }
                Standing::Workspace { id, version } => {
                    recheck.workspace = Some(id.uuid());
                    recheck.workspace_version = Some(version);
                }
                // What cannot be re-checked is not let through.
                _ => return Err(StoreError::Scope),
            }
        }
        Ok(recheck)
    }

    /// Appends the call, which answers as text: NULL if everything is as it was.
    pub(crate) fn push(&self, sql: &mut QueryBuilder<Postgres>, names: &Names) {
        if self.session.is_none() && self.workspace.is_none() {
            sql.push("NULL::text");
            return;
        }
        let (member, member_version) = self.member.unzip();
        let mut arguments = sql.push(names.sql("kernel.recheck(").as_str()).separated(", ");
        arguments.push_bind(self.session).push_bind(self.workspace).push_bind(member).push_bind(member_version);
        arguments.push_bind(self.key).push_bind(self.workspace_version).push_unseparated(")");
    }
}

#[derive(Deserialize)]
struct StateRow {
    status: String,
    access: String,
    features: BTreeSet<String>,
}

impl TryFrom<StateRow> for WorkspaceState {
    type Error = StoreError;

    fn try_from(row: StateRow) -> Result<Self, StoreError> {
        let status = WorkspaceStatus::from_stored(&row.status);
        let access = Access::from_stored(&row.access);
        Ok(Self {
            status: status.ok_or_else(|| bad_row("workspaces", "status", &row.status))?,
            access: access.ok_or_else(|| bad_row("workspaces", "access", &row.access))?,
            features: row.features,
        })
    }
}

impl PgTx {
    /// What the commit re-checks: everything but what the transaction itself changed.
    pub(crate) fn recheck(&self) -> Result<Recheck, StoreError> {
        let changed = &self.changed_own_standing;
        Recheck::of(self.scope_ref().standings().iter().filter(|standing| !changed.contains(&standing.uuid())))
    }

    /// Judges the answer of [`Recheck`]: a new state of the workspace is accepted if it allows what the call used.
    ///
    /// # Errors
    /// `AccessChanged`.
    pub(crate) fn accept(&self, answer: Option<&str>) -> Result<(), StoreError> {
        let Some(answer) = answer else { return Ok(()) };
        if answer == "changed" {
            return Err(StoreError::AccessChanged);
        }
        let state: StateRow = serde_json::from_str(answer).map_err(StoreError::backend)?;
        if self.scope_ref().survives(&state.try_into()?) { Ok(()) } else { Err(StoreError::AccessChanged) }
    }

    /// Prepares a change of a membership or key. If it is the caller's own, `lock_row`, whose parameters are the workspace and the
    /// id, locks the row, and it is re-checked now: the commit cannot, because it leaves out what the transaction changed.
    pub(crate) async fn before_change(
        &mut self,
        workspace: WorkspaceId,
        of: Uuid,
        lock_row: &'static str,
    ) -> Result<(), StoreError> {
        let unchanged = !self.changed_own_standing.contains(&of);
        let own = self.scope_ref().standings().iter().filter(|standing| unchanged && standing.uuid() == of);
        let recheck = Recheck::of(own)?;
        if recheck.workspace.is_none() {
            return Ok(());
        }
        let lock = sqlx::query(self.sql(lock_row)).bind(workspace.uuid()).bind(of);
        let locked = lock.execute(self.conn_for_blocking_statement()).await;
        self.blocking_statement_ended();
        locked.store()?;
        let mut sql = QueryBuilder::new("SELECT ");
        recheck.push(&mut sql, &self.names);
        let answer = sql.build_query_scalar().fetch_one(self.conn_for_blocking_statement()).await;
        self.blocking_statement_ended();
        let answer: Option<String> = answer.store()?;
        self.accept(answer.as_deref())
    }

    /// Waits for the commits that were let in by what the transaction changed. The flush does this before it draws the numbers of
    /// its records, so that theirs come first; after a change by raw SQL the commit itself does.
    pub(crate) async fn wait_for_commits(&mut self) -> Result<(), StoreError> {
        if !self.changes_standing {
            return Ok(());
        }
        let wait = sqlx::query(self.sql("SET CONSTRAINTS kernel.wait_for_commits IMMEDIATE"));
        let waited = wait.execute(self.conn_for_blocking_statement()).await;
        self.blocking_statement_ended();
        waited.store().map(drop)
    }

    /// Records that a session, membership, key or workspace was changed. A caller who changed their own may finish the
    /// transaction.
    pub(crate) fn mark_standing_changed(&mut self, of: Uuid) {
        self.changes_standing = true;
        if self.scope_ref().standings().iter().any(|own| own.uuid() == of) {
            self.changed_own_standing.push(of);
        }
    }
}
