//! The peer: the same routes as somebody would write them by hand who knows axum, sqlx and Postgres, and wants speed.
//!
//! Same address, same cookie, same answer; two statements for the list and six for the creation, all prepared, no
//! row-level security, no trait objects, no layers. It has no request id, no security headers, no panic guard, no timeout,
//! no rate limits, no CSRF check, no idempotency keys, no error envelope and no signed cursors.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use reference::projects::ProjectId;
use saas_kernel::BoxError;
use saas_kernel::clock::{Clock, SystemClock};
use saas_kernel::id::{AuditId, EventId, RequestId, UserId, WorkspaceId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::options::POOL;
use crate::steps;

#[derive(Clone)]
struct Hand {
    pool: PgPool,
    /// For the bare SELECT, which has nobody to ask for the workspace.
    workspaces: Arc<[Uuid]>,
}

/// A row, in the database and in the answer.
#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    workspace_id: Uuid,
    pub id: Uuid,
    name: String,
    status: String,
    created_by_type: String,
    created_by_id: Uuid,
    pub created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Serialize)]
pub(crate) struct Project {
    id: ProjectId,
    workspace_id: WorkspaceId,
    name: String,
    status: String,
    created_by: CreatedBy,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Serialize)]
struct CreatedBy {
    r#type: String,
    id: UserId,
}

#[derive(Serialize)]
pub(crate) struct Page {
    items: Vec<Project>,
    next_cursor: Option<String>,
    has_more: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewProject {
    name: String,
}

/// Anything that broke is a 500 here; the rest are the statuses of the kernel.
pub(crate) struct Failed(pub StatusCode);

impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        eprintln!("{error}");
        Self(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl axum::response::IntoResponse for Failed {
    fn into_response(self) -> axum::response::Response {
        self.0.into_response()
    }
}

/// Serves on `APP_ADDR` until it is ended.
pub(crate) async fn serve() -> Result<(), BoxError> {
    let pool = pool("PEER_DATABASE_URL").await?;
    let workspaces: Vec<Uuid> =
        sqlx::query_scalar("SELECT id FROM peer.workspaces ORDER BY slug").fetch_all(&pool).await?;
    let app = Router::new()
        .route("/healthz", get(|| async { Json(serde_json::json!({ "status": "ok" })) }))
        .route("/bare/{n}", get(bare))
        .route("/key/{ws}", get(list_with_key))
        .route("/api/v1/workspaces/{ws}/projects", get(list).post(create))
        .with_state(Hand { pool, workspaces: workspaces.into() })
        .merge(steps::routes(self::pool("APP_DATABASE_URL").await?));
    let listener = tokio::net::TcpListener::bind(std::env::var("APP_ADDR")?).await?;
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, app).await?)
}

async fn pool(variable: &str) -> Result<PgPool, BoxError> {
    let size = std::env::var("POOL").ok().and_then(|size| size.parse().ok()).unwrap_or(POOL as u32);
    let options = PgPoolOptions::new().max_connections(size).test_before_acquire(false);
    Ok(options.connect(&std::env::var(variable)?).await?)
}

const LIST: &str = "
SELECT workspace_id, id, name, status, created_by_type, created_by_id, created_at, updated_at
FROM peer.projects WHERE workspace_id = $1
ORDER BY created_at DESC, id DESC LIMIT 21";

async fn bare(State(hand): State<Hand>, Path(n): Path<usize>) -> Result<Json<Page>, Failed> {
    let workspace = hand.workspaces.get(n).ok_or(Failed(StatusCode::NOT_FOUND))?;
    Ok(Json(page(sqlx::query_as(LIST).bind(workspace).fetch_all(&hand.pool).await?)))
}

async fn list(State(hand): State<Hand>, Path(slug): Path<String>, headers: HeaderMap) -> Result<Json<Page>, Failed> {
    // One connection for both: every return to the pool is a round trip of sqlx's own.
    let mut connection = hand.pool.acquire().await?;
    let (workspace, _) = authenticate(&mut connection, &slug, &headers, |role| role != "none").await?;
    Ok(Json(page(sqlx::query_as(LIST).bind(workspace).fetch_all(&mut *connection).await?)))
}

const AUTHENTICATE_KEY: &str = "
SELECT w.id, k.scopes FROM peer.api_keys k
JOIN peer.workspaces w ON w.id = k.workspace_id AND w.slug = $2 AND w.status = 'active'
WHERE k.token_hash = $1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())";

async fn list_with_key(
    State(hand): State<Hand>,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Page>, Failed> {
    let refused = || Failed(StatusCode::UNAUTHORIZED);
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(refused)?;
    let hash = Sha256::digest(header.strip_prefix("Bearer ").ok_or_else(refused)?.as_bytes());
    let mut connection = hand.pool.acquire().await?;
    let look_up = sqlx::query_as(AUTHENTICATE_KEY).bind(hash.as_slice()).bind(slug);
    let found: Option<(Uuid, Vec<String>)> = look_up.fetch_optional(&mut *connection).await?;
    let (workspace, scopes) = found.ok_or_else(refused)?;
    if !scopes.iter().any(|scope| scope == "project.read") {
        return Err(Failed(StatusCode::FORBIDDEN));
    }
    Ok(Json(page(sqlx::query_as(LIST).bind(workspace).fetch_all(&mut *connection).await?)))
}

const AUTHENTICATE: &str = "
SELECT w.id, s.user_id, m.role FROM peer.sessions s
JOIN peer.workspaces w ON w.slug = $2 AND w.status = 'active'
JOIN peer.memberships m ON m.workspace_id = w.id AND m.user_id = s.user_id AND m.status = 'active'
WHERE s.token_hash = $1 AND s.expires_at > now()";

async fn authenticate(
    connection: &mut PgConnection,
    slug: &str,
    headers: &HeaderMap,
    may: fn(&str) -> bool,
) -> Result<(Uuid, Uuid), Failed> {
    let hash = token_hash(headers).ok_or(Failed(StatusCode::UNAUTHORIZED))?;
    let found: Option<(Uuid, Uuid, String)> =
        sqlx::query_as(AUTHENTICATE).bind(hash.as_slice()).bind(slug).fetch_optional(connection).await?;
    let (workspace, user, role) = found.ok_or(Failed(StatusCode::UNAUTHORIZED))?;
    if !matches!(&*role, "owner" | "admin" | "member" | "viewer") || !may(&role) {
        return Err(Failed(StatusCode::FORBIDDEN));
    }
    Ok((workspace, user))
}

pub(crate) fn token_hash(headers: &HeaderMap) -> Option<[u8; 32]> {
    let cookie = headers.get(header::COOKIE)?.to_str().ok()?;
    let token = cookie.split("; ").find_map(|pair| pair.strip_prefix("session="))?;
    Some(Sha256::digest(token.as_bytes()).into())
}

pub(crate) fn page(mut rows: Vec<Row>) -> Page {
    let has_more = rows.len() > 20;
    rows.truncate(20);
    let next_cursor = rows.last().filter(|_| has_more).map(|row| {
        let mut bytes = [0u8; 24];
        let (at, id) = bytes.split_at_mut(8);
        at.copy_from_slice(&row.created_at.timestamp_micros().to_be_bytes());
        id.copy_from_slice(row.id.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    });
    Page { items: rows.into_iter().map(Project::from).collect(), next_cursor, has_more }
}

impl From<Row> for Project {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            workspace_id: row.workspace_id.into(),
            name: row.name,
            status: row.status,
            created_by: CreatedBy { r#type: row.created_by_type, id: row.created_by_id.into() },
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

const RESERVE: &str = "
UPDATE peer.usage SET used = used + 1
WHERE workspace_id = $1 AND key = 'projects' AND (cap IS NULL OR used + 1 <= cap)";
const INSERT: &str = "
INSERT INTO peer.projects (workspace_id, id, name, created_by_type, created_by_id, created_at, updated_at)
VALUES ($1, $2, $3, 'user', $4, $5, $5)
RETURNING workspace_id, id, name, status, created_by_type, created_by_id, created_at, updated_at";
const AUDIT: &str = "
INSERT INTO peer.audit_log (subject_type, subject_id, workspace_id, id, retention, version, actor_type, actor_id, actor_label, action,
                            target_type, target_id, meta, ip, user_agent, request_id)
VALUES ('workspace', $1, $1, $2, 'standard', 1, 'user', $3, $4, 'resource.create', 'project', $5, '{}', $6, $7, $8)";
const OUTBOX: &str = "
INSERT INTO peer.outbox (subject_type, subject_id, workspace_id, id, version, actor_type, actor_id, actor_label, subject, body, request_id)
VALUES ('workspace', $1, $1, $2, 1, 'user', $4, $5, 'project.created', $3, $6)";

async fn create(
    State(hand): State<Hand>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    Json(new): Json<NewProject>,
) -> Result<(StatusCode, Json<Project>), Failed> {
    let mut connection = hand.pool.acquire().await?;
    let (workspace, user) = authenticate(&mut connection, &slug, &headers, |role| role != "viewer").await?;
    if new.name.is_empty() || new.name.chars().count() > 200 {
        return Err(Failed(StatusCode::UNPROCESSABLE_ENTITY));
    }
    let now = SystemClock.now();
    let id = ProjectId::generate(now);
    let (label, request) = (UserId::from(user).to_string(), RequestId::generate(now).to_string());
    let mut tx = sqlx::Connection::begin(&mut *connection).await?;
    if sqlx::query(RESERVE).bind(workspace).execute(&mut *tx).await?.rows_affected() == 0 {
        return Err(Failed(StatusCode::PAYMENT_REQUIRED));
    }
    let insert = sqlx::query_as(INSERT).bind(workspace).bind(id.uuid()).bind(new.name).bind(user).bind(now);
    let row: Row = insert.fetch_one(&mut *tx).await?;
    sqlx::query(AUDIT)
        .bind(workspace)
        .bind(AuditId::generate(now).uuid())
        .bind(user)
        .bind(&label)
        .bind(id.to_string())
        .bind("127.0.0.1")
        .bind(headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()))
        .bind(&request)
        .execute(&mut *tx)
        .await?;
    let body = serde_json::json!({ "id": id, "name": row.name });
    sqlx::query(OUTBOX)
        .bind(workspace)
        .bind(EventId::generate(now).uuid())
        .bind(body)
        .bind(user)
        .bind(&label)
        .bind(&request)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(row.into())))
}
