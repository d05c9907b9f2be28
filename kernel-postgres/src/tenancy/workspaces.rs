//! Repository of workspaces.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use saas_kernel::StoreError;
use saas_kernel::access::Entitlements;
use saas_kernel::access::catalog::Access;
use saas_kernel::access::entitlements::Terms;
use saas_kernel::actor::ActorRef;
use saas_kernel::id::{UserId, WorkspaceId};
use saas_kernel::page::{Page, PageRequest};
use saas_kernel::tenancy::workspaces::{
    NewWorkspace, Rename, Slug, Workspace, WorkspaceName, WorkspaceReads, Workspaces,
};
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::{PgResult, bad_row};
use crate::page::BindPage;
use crate::tx::{PgTx, TxMode};

#[derive(sqlx::FromRow)]
struct WorkspaceRow {
    id: Uuid,
    slug: String,
    name: String,
    access: String,
    entitlements: Json<Terms>,
    created_by_type: String,
    created_by_id: Uuid,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<WorkspaceRow> for Workspace {
    type Error = StoreError;

    fn try_from(row: WorkspaceRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id.into(),
            slug: row.slug,
            name: row.name,
            entitlements: entitlements(&row.access, row.entitlements)?,
            created_by: ActorRef::from_row(row.created_by_type, row.created_by_id, None),
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// The entitlements as stored in two columns.
pub(crate) fn entitlements(access: &str, Json(terms): Json<Terms>) -> Result<Arc<Entitlements>, StoreError> {
    let access = Access::from_stored(access).ok_or_else(|| bad_row("workspaces", "access", access))?;
    Ok(Arc::new(Entitlements { access, terms }))
}

const FIND: &str = "
SELECT id, slug, name, access, entitlements, created_by_type, created_by_id, created_at, updated_at
FROM kernel.workspaces WHERE id = $1 AND status = 'active'";

/// Starts from the memberships: starting from the workspaces would evaluate the policy for all of them.
const OF_USER: &str = "
SELECT w.id, w.slug, w.name, w.access, w.entitlements, w.created_by_type, w.created_by_id, w.created_at, w.updated_at
FROM kernel.memberships m JOIN kernel.workspaces w ON w.id = m.workspace_id
WHERE m.user_id = $1 AND m.status = 'active' AND w.status = 'active'
  AND ($2::timestamptz IS NULL OR (w.created_at, w.id) > ($2, $3))
ORDER BY w.created_at, w.id LIMIT $4";

const RENAME: &str = "
UPDATE kernel.workspaces SET name = coalesce($2, name), slug = coalesce($3, slug), updated_at = $4
WHERE id = $1 AND status = 'active'
RETURNING id, slug, name, access, entitlements, created_by_type, created_by_id, created_at, updated_at";

#[async_trait]
impl<M: TxMode> WorkspaceReads for PgTx<M> {
    async fn find(&mut self, id: WorkspaceId) -> Result<Option<Workspace>, StoreError> {
        let row: Option<WorkspaceRow> =
            sqlx::query_as(self.sql(FIND)).bind(id.uuid()).fetch_optional(self.connection()).await.store()?;
        row.map(Workspace::try_from).transpose()
    }

    async fn of_user(&mut self, user: UserId, page: &PageRequest) -> Result<Page<Workspace>, StoreError> {
        let rows: Vec<WorkspaceRow> = sqlx::query_as(self.sql(OF_USER))
            .bind(user.uuid())
            .bind_page(page)
            .fetch_all(self.connection())
            .await
            .store()?;
        let workspaces = rows.into_iter().map(Workspace::try_from).collect::<Result<_, _>>()?;
        Ok(Page::cut(workspaces, page, Workspace::position))
    }
}

#[async_trait]
impl Workspaces for PgTx {
    async fn claim_slug(&mut self, workspace: WorkspaceId, slug: &Slug, at: DateTime<Utc>) -> Result<bool, StoreError> {
        let claim = "INSERT INTO kernel.slugs (slug, workspace_id, created_at) VALUES ($1, $2, $3) ON CONFLICT (slug) DO NOTHING";
        let claim = sqlx::query(self.sql(claim)).bind(slug.as_str()).bind(workspace.uuid()).bind(at);
        if claim.execute(self.conn()).await.store()?.rows_affected() == 1 {
            return Ok(true);
        }
        // The workspace's own earlier slug; those of other workspaces are not visible here.
        sqlx::query_scalar(self.sql("SELECT EXISTS (SELECT FROM kernel.slugs WHERE slug = $1 AND workspace_id = $2)"))
            .bind(slug.as_str())
            .bind(workspace.uuid())
            .fetch_one(self.conn())
            .await
            .store()
    }

    async fn insert(&mut self, workspace: &NewWorkspace<'_>) -> Result<(), StoreError> {
        sqlx::query(self.sql(
            "INSERT INTO kernel.workspaces (id, slug, name, created_by_type, created_by_id, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $6)",
        ))
        .bind(workspace.id.uuid())
        .bind(workspace.slug.as_str())
        .bind(workspace.name.as_str())
        .bind(workspace.created_by.kind())
        .bind(workspace.created_by.uuid())
        .bind(workspace.at)
        .execute(self.conn())
        .await
        .store()?;
        Ok(())
    }

    async fn rename(
        &mut self,
        id: WorkspaceId,
        rename: &Rename,
        at: DateTime<Utc>,
    ) -> Result<Option<Workspace>, StoreError> {
        let row: Result<Option<WorkspaceRow>, _> = sqlx::query_as(self.sql(RENAME))
            .bind(id.uuid())
            .bind(rename.name.as_ref().map(WorkspaceName::as_str))
            .bind(rename.slug.as_ref().map(Slug::as_str))
            .bind(at)
            .fetch_optional(self.conn_for_blocking_statement())
            .await;
        self.blocking_statement_ended();
        row.store()?.map(Workspace::try_from).transpose()
    }

    async fn lock(&mut self, id: WorkspaceId) -> Result<bool, StoreError> {
        // NO KEY: rows that reference the workspace can still be inserted.
        let lock = "SELECT id FROM kernel.workspaces WHERE id = $1 FOR NO KEY UPDATE";
        let row = sqlx::query_scalar::<_, Uuid>(self.sql(lock))
            .bind(id.uuid())
            .fetch_optional(self.conn_for_blocking_statement())
            .await;
        self.blocking_statement_ended();
        Ok(row.store()?.is_some())
    }

    async fn set_plan(
        &mut self,
        id: WorkspaceId,
        plan: Option<&str>,
        entitlements: &Entitlements,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let set =
            "UPDATE kernel.workspaces SET plan = $2, access = $3, entitlements = $4, updated_at = $5 WHERE id = $1";
        sqlx::query(self.sql(set))
            .bind(id.uuid())
            .bind(plan)
            .bind(entitlements.access.as_str())
            .bind(Json(&entitlements.terms))
            .bind(at)
            .execute(self.conn())
            .await
            .store()?;
        self.mark_standing_changed(id.uuid());
        Ok(())
    }
}
