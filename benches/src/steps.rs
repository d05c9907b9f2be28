//! What lies between the hand-written list and the kernel's, one thing at a time: each step has the one before it.

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use chrono::{DateTime, Utc};
use saas_kernel::access::entitlements::Terms;
use saas_kernel::clock::{Clock, SystemClock};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use uuid::Uuid;

use crate::hand::{Failed, Page, Row, page, token_hash};

/// `pool` is of the kernel's own login.
pub(crate) fn routes(pool: PgPool) -> Router {
    Router::new()
        .route("/step/function/{ws}", get(function))
        .route("/step/transaction/{ws}", get(transaction))
        .route("/step/policy/{ws}", get(policy))
        .with_state(pool)
}

/// The join becomes the look-up function that a login needs which cannot read the sessions.
async fn function(
    State(pool): State<PgPool>,
    Path(ws): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Page>, Failed> {
    let mut connection = pool.acquire().await?;
    let workspace = authenticate(&mut connection, &ws, &headers).await?;
    Ok(Json(page(rows(&mut connection, PEER, workspace).await?)))
}

/// The list moves into a transaction that has a scope.
async fn transaction(
    State(pool): State<PgPool>,
    Path(ws): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Page>, Failed> {
    let mut connection = pool.acquire().await?;
    let workspace = authenticate(&mut connection, &ws, &headers).await?;
    let mut tx = connection.begin_with(scope(workspace)).await?;
    Ok(Json(page(rows(&mut tx, PEER, workspace).await?)))
}

/// The table gets its policy.
async fn policy(State(pool): State<PgPool>, Path(ws): Path<String>, headers: HeaderMap) -> Result<Json<Page>, Failed> {
    let mut connection = pool.acquire().await?;
    let workspace = authenticate(&mut connection, &ws, &headers).await?;
    let mut tx = connection.begin_with(scope(workspace)).await?;
    Ok(Json(page(rows(&mut tx, KERNEL, workspace).await?)))
}

const AUTHENTICATE: &str = "SELECT session_id, user_id, seen_at, workspace_id, role, access, entitlements FROM kernel.authenticate_session($1, NULL, $2, $3)";
const PEER: &str = "
SELECT workspace_id, id, name, status, created_by_type, created_by_id, created_at, updated_at
FROM peer.projects WHERE workspace_id = $1
ORDER BY created_at DESC, id DESC LIMIT $2";
const KERNEL: &str = "
SELECT workspace_id, id, name, status, created_by_type, created_by_id, created_at, updated_at
FROM tracker.projects WHERE workspace_id = $1
ORDER BY created_at DESC, id DESC LIMIT $2";

type Found =
    (Uuid, Uuid, DateTime<Utc>, Option<Uuid>, Option<String>, Option<String>, Option<sqlx::types::Json<Terms>>);

async fn authenticate(connection: &mut PgConnection, slug: &str, headers: &HeaderMap) -> Result<Uuid, Failed> {
    let refused = Failed(StatusCode::UNAUTHORIZED);
    let Some(hash) = token_hash(headers) else { return Err(refused) };
    let look_up = sqlx::query_as(AUTHENTICATE).bind(hash.as_slice()).bind(slug).bind(SystemClock.now());
    let found: Option<Found> = look_up.fetch_optional(connection).await?;
    found.and_then(|found| found.3).ok_or(refused)
}

fn scope(workspace: Uuid) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("BEGIN; SET LOCAL app.workspace_id = '{workspace}'"))
}

async fn rows(connection: &mut PgConnection, list: &'static str, workspace: Uuid) -> Result<Vec<Row>, Failed> {
    Ok(sqlx::query_as(list).bind(workspace).bind(21i64).fetch_all(connection).await?)
}
