//! Look-ups that precede a scope, by functions of kernel_lookup, a role that owns nothing else.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use saas_kernel::access::WorkspaceStatus;
use saas_kernel::access::entitlements::Terms;
use saas_kernel::actor::Actor;
use saas_kernel::id::UserId;
use saas_kernel::identity::lookups::{
    ApiKeyFound, InviteFound, LoginFound, Lookups, MemberFound, SessionFound, WorkspaceFound, WorkspaceRef,
};
use saas_kernel::identity::password::PasswordHash;
use saas_kernel::identity::users::Email;
use saas_kernel::secret::TokenHash;
use saas_kernel::{Call, StoreError};
use sqlx::Postgres;
use sqlx::pool::PoolConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::{PgResult, bad_row};
use crate::share::Share;
use crate::store::PgStore;
use crate::tenancy::workspaces::entitlements;

/// A connection for look-ups, with its place in the share of the client's address or of the known caller.
pub(crate) struct PgLookups {
    pub(crate) store: PgStore,
    pub(crate) connection: PoolConnection<Postgres>,
    pub(crate) _share: Option<Share>,
}

/// The columns of a workspace, NULL where the caller does not belong to the one that they asked for.
#[derive(sqlx::FromRow)]
struct WorkspaceColumns {
    workspace_id: Option<Uuid>,
    workspace_status: Option<String>,
    workspace_version: Option<i64>,
    access: Option<String>,
    entitlements: Option<Json<Terms>>,
}

impl WorkspaceColumns {
    fn found(self) -> Result<Option<WorkspaceFound>, StoreError> {
        let (Some(id), Some(status), Some(version), Some(access), Some(terms)) =
            (self.workspace_id, self.workspace_status, self.workspace_version, self.access, self.entitlements)
        else {
            return Ok(None);
        };
        Ok(Some(WorkspaceFound {
            id: id.into(),
            status: WorkspaceStatus::from_stored(&status).ok_or_else(|| bad_row("workspaces", "status", &status))?,
            version,
            entitlements: entitlements(&access, terms)?,
        }))
    }
}

#[derive(sqlx::FromRow)]
struct SessionRow {
    session_id: Uuid,
    user_id: Uuid,
    created_at: DateTime<Utc>,
    seen_at: DateTime<Utc>,
    #[sqlx(flatten)]
    workspace: WorkspaceColumns,
    role: Option<String>,
    member_status: Option<String>,
    member_version: Option<i64>,
}

impl TryFrom<SessionRow> for SessionFound {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Self, StoreError> {
        let member = match (row.role, row.member_status, row.member_version) {
            (Some(role), Some(status), Some(version)) => {
                Some(MemberFound { role, active: status == "active", version })
            }
            _ => None,
        };
        Ok(Self {
            id: row.session_id.into(),
            user: row.user_id.into(),
            created_at: row.created_at,
            seen_at: row.seen_at,
            entry: row.workspace.found()?.zip(member),
        })
    }
}

#[derive(sqlx::FromRow)]
struct KeyRow {
    key_id: Uuid,
    scopes: Vec<String>,
    last_used_at: Option<DateTime<Utc>>,
    #[sqlx(flatten)]
    workspace: WorkspaceColumns,
}

impl TryFrom<KeyRow> for ApiKeyFound {
    type Error = StoreError;

    fn try_from(row: KeyRow) -> Result<Self, StoreError> {
        let workspace = row.workspace.found()?;
        Ok(Self { id: row.key_id.into(), scopes: row.scopes, last_used_at: row.last_used_at, workspace })
    }
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
        let row: Option<SessionRow> = sqlx::query_as(self.store.names.sql("SELECT session_id, user_id, created_at, seen_at, workspace_id, workspace_status, workspace_version, access, entitlements,
                    role, member_status, member_version FROM kernel.authenticate_session($1, $2, $3, $4)"))
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
        let row: Option<(Uuid, String)> =
            sqlx::query_as(self.store.names.sql("SELECT user_id, password_hash FROM kernel.login_lookup($1)"))
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
        let row: Option<KeyRow> = sqlx::query_as(self.store.names.sql("SELECT key_id, scopes, last_used_at, workspace_id, workspace_status, workspace_version, access, entitlements
             FROM kernel.authenticate_api_key($1, $2, $3, $4)"))
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
        let find = sqlx::query_as(self.store.names.sql(find)).bind(token.0.as_slice()).bind(invitee.uuid()).bind(now);
        let row: Option<(Option<Uuid>, Option<String>)> = find.fetch_optional(&mut *self.connection).await.store()?;
        Ok(row.map(|(workspace, problem)| match (workspace, problem.as_deref()) {
            (Some(workspace), None) => InviteFound::Open(workspace.into()),
            (_, Some("for_another")) => InviteFound::ForAnother,
            (_, Some("accepted")) => InviteFound::Accepted,
            _ => InviteFound::Closed,
        }))
    }

    fn park(self: Box<Self>, actor: Actor, call: &Call) {
        let Self { store, connection, _share } = *self;
        store.park(connection, actor, call);
    }
}
