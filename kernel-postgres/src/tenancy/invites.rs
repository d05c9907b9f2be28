//! Repository of invites.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use saas_kernel::StoreError;
use saas_kernel::actor::ActorRef;
use saas_kernel::id::{InviteId, UserId, WorkspaceId};
use saas_kernel::identity::users::Email;
use saas_kernel::page::{Page, PageRequest};
use saas_kernel::secret::TokenHash;
use saas_kernel::tenancy::invites::{ConsumedInvite, Invite, InviteReads, Invites, NewInvite};
use uuid::Uuid;

use crate::error::PgResult;
use crate::page::BindPage;
use crate::tx::{PgTx, TxMode};

#[derive(sqlx::FromRow)]
struct InviteRow {
    id: Uuid,
    email: String,
    role: String,
    invited_by: Uuid,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl From<InviteRow> for Invite {
    fn from(row: InviteRow) -> Self {
        Self {
            id: row.id.into(),
            email: row.email,
            role: row.role,
            invited_by: ActorRef::from_row("user".to_owned(), row.invited_by, None),
            created_at: row.created_at,
            expires_at: row.expires_at,
        }
    }
}

const PUT: &str = "
INSERT INTO kernel.invites (workspace_id, id, email, email_lower, role, token_hash, invited_by, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (workspace_id, email_lower) WHERE accepted_at IS NULL AND revoked_at IS NULL
DO UPDATE SET email = excluded.email, role = excluded.role, token_hash = excluded.token_hash, invited_by = excluded.invited_by,
              created_at = excluded.created_at, expires_at = excluded.expires_at
RETURNING id, email, role, invited_by, created_at, expires_at";

const LIST: &str = "
SELECT id, email, role, invited_by, created_at, expires_at FROM kernel.invites
WHERE workspace_id = $1 AND accepted_at IS NULL AND revoked_at IS NULL
  AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))
ORDER BY created_at DESC, id DESC LIMIT $4";

const OPEN: &str = "
SELECT count(*) FROM kernel.invites
WHERE workspace_id = $1 AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > $2 AND email_lower <> $3";

const REVOKE: &str = "
UPDATE kernel.invites SET revoked_at = $3 WHERE workspace_id = $1 AND id = $2 AND accepted_at IS NULL AND revoked_at IS NULL
RETURNING id, email, role, invited_by, created_at, expires_at";

const CONSUME: &str = "
UPDATE kernel.invites SET accepted_at = $4, accepted_by = $3
WHERE workspace_id = $1 AND token_hash = $2 AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > $4
  AND email_lower = (SELECT email_lower FROM kernel.users WHERE id = $3)
RETURNING id, role, invited_by";

#[async_trait]
impl<M: TxMode> InviteReads for PgTx<M> {
    async fn list(&mut self, workspace: WorkspaceId, page: &PageRequest) -> Result<Page<Invite>, StoreError> {
        let rows: Vec<InviteRow> = sqlx::query_as(self.sql(LIST))
            .bind(workspace.uuid())
            .bind_page(page)
            .fetch_all(self.connection())
            .await
            .store()?;
        Ok(Page::cut(rows.into_iter().map(Invite::from).collect(), page, Invite::position))
    }

    async fn count_open(
        &mut self,
        workspace: WorkspaceId,
        besides: &Email,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let open = sqlx::query_scalar(self.sql(OPEN)).bind(workspace.uuid()).bind(now).bind(besides.lower());
        let open: i64 = open.fetch_one(self.connection()).await.store()?;
        Ok(u64::try_from(open).unwrap_or_default())
    }
}

#[async_trait]
impl Invites for PgTx {
    async fn put(&mut self, invite: &NewInvite<'_>) -> Result<Invite, StoreError> {
        let row: InviteRow = sqlx::query_as(self.sql(PUT))
            .bind(invite.workspace.uuid())
            .bind(invite.id.uuid())
            .bind(invite.email.as_str())
            .bind(invite.email.lower())
            .bind(invite.role)
            .bind(invite.token.0.as_slice())
            .bind(invite.by.uuid())
            .bind(invite.at)
            .bind(invite.expires_at)
            .fetch_one(self.conn())
            .await
            .store()?;
        Ok(row.into())
    }

    async fn revoke(
        &mut self,
        workspace: WorkspaceId,
        id: InviteId,
        at: DateTime<Utc>,
    ) -> Result<Option<Invite>, StoreError> {
        let revoke = sqlx::query_as(self.sql(REVOKE)).bind(workspace.uuid()).bind(id.uuid()).bind(at);
        let row: Option<InviteRow> = revoke.fetch_optional(self.conn()).await.store()?;
        Ok(row.map(Invite::from))
    }

    async fn consume(
        &mut self,
        workspace: WorkspaceId,
        token: &TokenHash,
        user: UserId,
        at: DateTime<Utc>,
    ) -> Result<Option<ConsumedInvite>, StoreError> {
        let consume = sqlx::query_as(self.sql(CONSUME))
            .bind(workspace.uuid())
            .bind(token.0.as_slice())
            .bind(user.uuid())
            .bind(at);
        let row: Option<(Uuid, String, Uuid)> = consume.fetch_optional(self.conn()).await.store()?;
        Ok(row.map(|(id, role, by)| ConsumedInvite { id: id.into(), role, invited_by: by.into() }))
    }
}
