//! Repository of memberships.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use saas_kernel::StoreError;
use saas_kernel::id::{UserId, WorkspaceId};
use saas_kernel::identity::users::Email;
use saas_kernel::page::{Page, PageRequest};
use saas_kernel::tenancy::members::{Member, MemberReads, Members, Membership, NewMembership};
use uuid::Uuid;

use crate::error::PgResult;
use crate::page::BindPage;
use crate::tx::{PgTx, TxMode};

#[derive(sqlx::FromRow)]
struct MemberRow {
    user_id: Uuid,
    email: String,
    name: String,
    role: String,
    created_at: DateTime<Utc>,
}

impl From<MemberRow> for Member {
    fn from(row: MemberRow) -> Self {
        Self { user: row.user_id.into(), email: row.email, name: row.name, role: row.role, joined_at: row.created_at }
    }
}

const INSERT: &str =
    "INSERT INTO kernel.memberships (workspace_id, user_id, role, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)";

const FIND: &str = "
SELECT m.user_id, u.email, u.name, m.role, m.created_at
FROM kernel.memberships m JOIN kernel.users u ON u.id = m.user_id
WHERE m.workspace_id = $1 AND m.user_id = $2 AND m.status = 'active'";

const HAS_EMAIL: &str = "
SELECT EXISTS (SELECT FROM kernel.users u JOIN kernel.memberships m ON m.user_id = u.id
               WHERE u.email_lower = $2 AND m.workspace_id = $1)";

const LIST: &str = "
SELECT m.user_id, u.email, u.name, m.role, m.created_at
FROM kernel.memberships m JOIN kernel.users u ON u.id = m.user_id
WHERE m.workspace_id = $1 AND m.status = 'active' AND ($2::timestamptz IS NULL OR (m.created_at, m.user_id) > ($2, $3))
ORDER BY m.created_at, m.user_id LIMIT $4";

const OF_USER: &str = "
SELECT w.id, w.slug, m.role, w.created_at
FROM kernel.memberships m JOIN kernel.workspaces w ON w.id = m.workspace_id
WHERE m.user_id = $1 AND m.status = 'active' AND w.status = 'active'
  AND ($2::timestamptz IS NULL OR (w.created_at, w.id) > ($2, $3))
ORDER BY w.created_at, w.id LIMIT $4";

const HAS_OTHER_WITH_ROLE: &str = "
SELECT EXISTS (SELECT FROM kernel.memberships
               WHERE workspace_id = $1 AND role = $2 AND user_id <> $3 AND status = 'active')";

const LOCK: &str = "SELECT FROM kernel.memberships WHERE workspace_id = $1 AND user_id = $2 FOR NO KEY UPDATE";

const SET_ROLE: &str = "
UPDATE kernel.memberships SET role = $3, updated_at = $4 WHERE workspace_id = $1 AND user_id = $2 AND status = 'active'";

const REMOVE: &str = "DELETE FROM kernel.memberships WHERE workspace_id = $1 AND user_id = $2 AND status = 'active'";

#[async_trait]
impl<M: TxMode> MemberReads for PgTx<M> {
    async fn find(&mut self, workspace: WorkspaceId, user: UserId) -> Result<Option<Member>, StoreError> {
        let find = sqlx::query_as(self.sql(FIND)).bind(workspace.uuid()).bind(user.uuid());
        let row: Option<MemberRow> = find.fetch_optional(self.connection()).await.store()?;
        Ok(row.map(Member::from))
    }

    async fn has_email(&mut self, workspace: WorkspaceId, email: &Email) -> Result<bool, StoreError> {
        let has = sqlx::query_scalar(self.sql(HAS_EMAIL)).bind(workspace.uuid()).bind(email.lower());
        has.fetch_one(self.connection()).await.store()
    }

    async fn list(&mut self, workspace: WorkspaceId, page: &PageRequest) -> Result<Page<Member>, StoreError> {
        let rows: Vec<MemberRow> = sqlx::query_as(self.sql(LIST))
            .bind(workspace.uuid())
            .bind_page(page)
            .fetch_all(self.connection())
            .await
            .store()?;
        Ok(Page::cut(rows.into_iter().map(Member::from).collect(), page, Member::position))
    }

    async fn of_user(&mut self, user: UserId, page: &PageRequest) -> Result<Page<Membership>, StoreError> {
        let rows: Vec<(Uuid, String, String, DateTime<Utc>)> = sqlx::query_as(self.sql(OF_USER))
            .bind(user.uuid())
            .bind_page(page)
            .fetch_all(self.connection())
            .await
            .store()?;
        let belonging = |(id, slug, role, founded_at): (Uuid, String, String, DateTime<Utc>)| Membership {
            workspace: id.into(),
            slug,
            role,
            founded_at,
        };
        Ok(Page::cut(rows.into_iter().map(belonging).collect(), page, Membership::position))
    }

    async fn has_other_with_role(
        &mut self,
        workspace: WorkspaceId,
        role: &str,
        user: UserId,
    ) -> Result<bool, StoreError> {
        let other =
            sqlx::query_scalar(self.sql(HAS_OTHER_WITH_ROLE)).bind(workspace.uuid()).bind(role).bind(user.uuid());
        other.fetch_one(self.connection()).await.store()
    }
}

#[async_trait]
impl Members for PgTx {
    async fn insert(&mut self, membership: &NewMembership<'_>) -> Result<(), StoreError> {
        let insert = sqlx::query(self.sql(INSERT)).bind(membership.workspace.uuid()).bind(membership.user.uuid());
        insert.bind(membership.role).bind(membership.at).execute(self.conn()).await.store()?;
        Ok(())
    }

    async fn set_role(
        &mut self,
        workspace: WorkspaceId,
        user: UserId,
        role: &str,
        at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        self.before_change(workspace, user.uuid(), LOCK).await?;
        let set = sqlx::query(self.sql(SET_ROLE)).bind(workspace.uuid()).bind(user.uuid()).bind(role).bind(at);
        let set = set.execute(self.conn_for_blocking_statement()).await;
        self.blocking_statement_ended();
        let changed = set.store()?.rows_affected() == 1;
        if changed {
            self.mark_standing_changed(user.uuid());
        }
        Ok(changed)
    }

    async fn remove(&mut self, workspace: WorkspaceId, user: UserId) -> Result<bool, StoreError> {
        self.before_change(workspace, user.uuid(), LOCK).await?;
        let remove = sqlx::query(self.sql(REMOVE)).bind(workspace.uuid()).bind(user.uuid());
        let remove = remove.execute(self.conn_for_blocking_statement()).await;
        self.blocking_statement_ended();
        let removed = remove.store()?.rows_affected() == 1;
        if removed {
            self.mark_standing_changed(user.uuid());
        }
        Ok(removed)
    }
}
