//! Re-checks the membership or API key that a transaction is based on.

use saas_kernel::StoreError;
use saas_kernel::access::Standing;
use saas_kernel::id::WorkspaceId;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use crate::error::PgResult;
use crate::tx::PgTx;

/// Appends the expression that re-checks it. The row is locked until the commit: a revocation either comes first and is seen
/// (`FOR SHARE` reads the newest version), or waits. The advisory lock is a queue in front of the row: with row locks alone, a
/// steady stream of sharers, such as the heavy use of a leaked key, could delay its revocation forever.
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

/// Number of the advisory lock. It includes the workspace, so that a person's workspaces do not wait for each other.
fn queue(workspace: WorkspaceId, of: Uuid) -> i64 {
    let ((a, b), (c, d)) = (workspace.uuid().as_u64_pair(), of.as_u64_pair());
    (a ^ b.rotate_left(16) ^ c.rotate_left(32) ^ d.rotate_left(48)).cast_signed()
}

impl PgTx {
    /// The membership or API key that the commit re-checks.
    pub(crate) fn standing(&self) -> Option<(WorkspaceId, &Standing)> {
        let (workspace, standing) = (self.scope_ref().workspace()?, self.scope_ref().standing()?);
        (!self.changed_own_standing).then_some((workspace, standing))
    }

    /// Prepares a change of a membership or key: waits for transactions that have re-checked it and for other changes of it.
    /// If the caller changes their own membership, it is re-checked now.
    pub(crate) async fn lock_standing_for_change(
        &mut self,
        workspace: WorkspaceId,
        of: Uuid,
    ) -> Result<(), StoreError> {
        // The lock is taken before the caller's own row is re-checked: two transactions that both share the row could not
        // change it any more.
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

    /// Takes this transaction's place in the queue before it writes a membership or key row without ending it, such as a key's
    /// last use. The queue always comes before the row: a transaction that locked the row first and then queued would deadlock
    /// with one that is in the queue and waits for the row.
    pub(crate) async fn queue_before_row(&mut self, workspace: WorkspaceId, of: Uuid) -> Result<(), StoreError> {
        let wait = sqlx::query("SELECT pg_advisory_xact_lock_shared($1)").bind(queue(workspace, of));
        let waited = wait.execute(self.conn_for_blocking_statement()).await;
        self.blocking_statement_ended();
        waited.store().map(drop)
    }

    /// Records that a membership or key was changed. A caller who changed their own may finish the transaction.
    pub(crate) fn mark_standing_changed(&mut self, of: Uuid) {
        self.changed_own_standing |= self.scope_ref().standing().is_some_and(|own| own.uuid() == of);
    }
}
