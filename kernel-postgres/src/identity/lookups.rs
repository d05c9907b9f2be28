//! Look-ups that precede a scope, by functions of kernel_lookup, a role that owns nothing else.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use saas_kernel::StoreError;
use saas_kernel::access::catalog::Access;
use saas_kernel::actor::Actor;
use saas_kernel::checkout::Checkout;
use saas_kernel::id::UserId;
use saas_kernel::identity::lookups::{
    ApiKeyFound, InviteFound, KeyWorkspace, LoginFound, Lookups, MembershipFound, SessionFound, WorkspaceRef,
};
use saas_kernel::identity::password::PasswordHash;
use saas_kernel::identity::users::Email;
use saas_kernel::secret::TokenHash;
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use uuid::Uuid;

use crate::error::{PgResult, bad_row};
use crate::share::Share;
use crate::store::PgStore;

/// A connection for look-ups, with its place in the share of the client's address or of the known caller.
pub(crate) struct PgLookups {
    pub(crate) store: PgStore,
    pub(crate) connection: PoolConnection<Postgres>,
    pub(crate) _share: Option<Share>,
}

#[derive(sqlx::FromRow)]
struct SessionRow {
    session_id: Uuid,
    user_id: Uuid,
    seen_at: DateTime<Utc>,
    workspace_id: Option<Uuid>,
    role: Option<String>,
    plan: Option<String>,
    access: Option<String>,
}

impl TryFrom<SessionRow> for SessionFound {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Self, StoreError> {
        let membership = match (row.workspace_id, row.role, row.access) {
            (Some(workspace), Some(role), Some(access)) => Some(MembershipFound {
                workspace: workspace.into(),
                role,
                plan: row.plan,
                access: stored_access(&access)?,
            }),
            _ => None,
        };
        Ok(Self { id: row.session_id.into(), user: row.user_id.into(), seen_at: row.seen_at, membership })
    }
}

#[derive(sqlx::FromRow)]
struct KeyRow {
    key_id: Uuid,
    scopes: Vec<String>,
    last_used_at: Option<DateTime<Utc>>,
    workspace_id: Option<Uuid>,
    plan: Option<String>,
    access: Option<String>,
}

impl TryFrom<KeyRow> for ApiKeyFound {
    type Error = StoreError;

    fn try_from(row: KeyRow) -> Result<Self, StoreError> {
        let workspace = match (row.workspace_id, row.access) {
            (Some(id), Some(access)) => {
                Some(KeyWorkspace { id: id.into(), plan: row.plan, access: stored_access(&access)? })
            }
            _ => None,
        };
        Ok(Self { id: row.key_id.into(), scopes: row.scopes, last_used_at: row.last_used_at, workspace })
    }
}

fn stored_access(access: &str) -> Result<Access, StoreError> {
    Access::from_stored(access).ok_or_else(|| bad_row("workspaces", "access", access))
}

fn by(workspace: Option<&WorkspaceRef>) -> (Option<Uuid>, Option<&str>) {
    match workspace {
        Some(WorkspaceRef::Id(id)) => (Some(id.uuid()), None),
        Some(WorkspaceRef::Slug(slug)) => (None, Some(slug.as_str())),
        None => (None, None),
    }
}

#[async_trait]
impl Lookups for PgLookups {
    async fn session(
        &mut self,
        token: &TokenHash,
        workspace: Option<&WorkspaceRef>,
        now: DateTime<Utc>,
    ) -> Result<Option<SessionFound>, StoreError> {
        let (id, slug) = by(workspace);
        let row: Option<SessionRow> = sqlx::query_as(
            "SELECT session_id, user_id, seen_at, workspace_id, role, plan, access FROM kernel.authenticate_session($1, $2, $3, $4)",
        )
        .bind(token.0.as_slice())
        .bind(id)
        .bind(slug)
        .bind(now)
        .fetch_optional(&mut *self.connection)
        .await
        .store()?;
        row.map(SessionFound::try_from).transpose()
    }

    async fn login(&mut self, email: &Email) -> Result<Option<LoginFound>, StoreError> {
        let row: Option<(Uuid, String)> = sqlx::query_as("SELECT user_id, password_hash FROM kernel.login_lookup($1)")
            .bind(email.lower())
            .fetch_optional(&mut *self.connection)
            .await
            .store()?;
        Ok(row.map(|(user, hash)| LoginFound { user: user.into(), password: PasswordHash::stored(hash) }))
    }

    async fn api_key(
        &mut self,
        token: &TokenHash,
        workspace: Option<&WorkspaceRef>,
        now: DateTime<Utc>,
    ) -> Result<Option<ApiKeyFound>, StoreError> {
        let (id, slug) = by(workspace);
        let row: Option<KeyRow> = sqlx::query_as(
            "SELECT key_id, scopes, last_used_at, workspace_id, plan, access FROM kernel.authenticate_api_key($1, $2, $3, $4)",
        )
        .bind(token.0.as_slice())
        .bind(id)
        .bind(slug)
        .bind(now)
        .fetch_optional(&mut *self.connection)
        .await
        .store()?;
        row.map(ApiKeyFound::try_from).transpose()
    }

    async fn invite(
        &mut self,
        token: &TokenHash,
        invitee: UserId,
        now: DateTime<Utc>,
    ) -> Result<Option<InviteFound>, StoreError> {
        let find = "SELECT workspace_id, problem FROM kernel.invite_lookup($1, $2, $3)";
        let find = sqlx::query_as(find).bind(token.0.as_slice()).bind(invitee.uuid()).bind(now);
        let row: Option<(Option<Uuid>, Option<String>)> = find.fetch_optional(&mut *self.connection).await.store()?;
        Ok(row.map(|(workspace, problem)| match (workspace, problem.as_deref()) {
            (Some(workspace), None) => InviteFound::Open(workspace.into()),
            (_, Some("for_another")) => InviteFound::ForAnother,
            (_, Some("accepted")) => InviteFound::Accepted,
            _ => InviteFound::Closed,
        }))
    }

    fn park(self: Box<Self>, actor: Actor) -> Checkout {
        let Self { store, connection, _share } = *self;
        store.park(connection, actor)
    }
}
