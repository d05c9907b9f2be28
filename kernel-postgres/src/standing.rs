//! Whether what let a transaction's caller in, a membership in a role or a key, still holds.

use saas_kernel::StoreError;
use saas_kernel::access::Standing;
use saas_kernel::id::WorkspaceId;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use crate::error::PgResult;
use crate::tx::PgTx;

/// Adds the expression that tells. What it looks at stays as it is until the commit: an end either comes first, and is seen
/// (`FOR SHARE` reads the newest version), or waits. The advisory lock is the queue in front: a row's share locks alone would
/// let ever more sharers pass whoever waits to end it, a leaked key in heavy use among them.
pub(crate) fn push(sql: &mut QueryBuilder<Postgres>, workspace: WorkspaceId, standing: &Standing) {
    sql.push("CASE WHEN pg_advisory_xact_lock_shared(").push_bind(queue(workspace, standing.uuid()));
    sql.push(") IS NOT NULL THEN EXISTS (SELECT FROM ");
    match standing {
        Standing::Member(user, role) => {
            sql.push("kernel.memberships WHERE status = 'active' AND role = ").push_bind(role.to_string());
            sql.push(" AND user_id = ").push_bind(user.uuid());
        }
        Standing::Key(key) => {
            sql.push("kernel.api_keys WHERE revoked_at IS NULL AND id = ").push_bind(key.uuid());
        }
    }
    sql.push(" AND workspace_id = ").push_bind(workspace.uuid()).push(" FOR SHARE) END");
}

/// The number of the queue; of the workspace too, so that nobody's workspaces wait for each other.
fn queue(workspace: WorkspaceId, of: Uuid) -> i64 {
    let ((a, b), (c, d)) = (workspace.uuid().as_u64_pair(), of.as_u64_pair());
    (a ^ b.rotate_left(16) ^ c.rotate_left(32) ^ d.rotate_left(48)).cast_signed()
}

impl PgTx {
    /// What the commit looks at again.
    pub(crate) fn standing(&self) -> Option<(WorkspaceId, &Standing)> {
        let (workspace, standing) = (self.scope_ref().workspace()?, self.scope_ref().standing()?);
        (!self.changed_own_standing).then_some((workspace, standing))
    }

    /// Before somebody's membership or key is changed: waits for their commits that have looked, and for others who change it.
    /// Whoever changes their own must still be what they were.
    pub(crate) async fn lock_standing_for_change(
        &mut self,
        workspace: WorkspaceId,
        of: Uuid,
    ) -> Result<(), StoreError> {
        // Also before one's own is looked at: two who looked, and share the row, could not change it any more.
        let wait = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(queue(workspace, of));
        let waited = wait.execute(self.conn_for_blocking_statement()).await;
        self.blocking_statement_ended();
        waited.store()?;
        let Some((own, standing)) = self.standing().filter(|(_, standing)| standing.uuid() == of) else {
            return Ok(());
        };
        let mut sql = QueryBuilder::new("SELECT ");
        push(&mut sql, own, standing);
        let stands = sql.build_query_scalar().fetch_one(self.conn_for_blocking_statement()).await;
        self.blocking_statement_ended();
        if stands.store()? { Ok(()) } else { Err(StoreError::AccessChanged) }
    }

    /// Before a row that standings are read from is written without ending it, such as a key's last use: takes the place in the
    /// queue that this transaction's commit will take anyway. The queue always comes before the row; a transaction that held the
    /// row and then queued would deadlock with whoever queued first and waits for the row.
    pub(crate) async fn queue_before_row(&mut self, workspace: WorkspaceId, of: Uuid) -> Result<(), StoreError> {
        let wait = sqlx::query("SELECT pg_advisory_xact_lock_shared($1)").bind(queue(workspace, of));
        let waited = wait.execute(self.conn_for_blocking_statement()).await;
        self.blocking_statement_ended();
        waited.store().map(drop)
    }

    /// Somebody's membership or key was changed. Whoever changed their own may finish what they do.
    pub(crate) fn mark_standing_changed(&mut self, of: Uuid) {
        self.changed_own_standing |= self.scope_ref().standing().is_some_and(|own| own.uuid() == of);
    }
}
