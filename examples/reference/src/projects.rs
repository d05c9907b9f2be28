//! Projects: a product's own table and routes on the kernel. This file is what a team writes for a resource of its own.

use std::str::FromStr;

use axum::extract::State;
use chrono::{DateTime, Utc};
use saas_kernel::actor::{Actor, ActorRef};
use saas_kernel::audit::{self, action};
use saas_kernel::billing::limits;
use saas_kernel::events::{self, Event};
use saas_kernel::id::WorkspaceId;
use saas_kernel::page::{Page, PageQuery, PageRequest, Position};
use saas_kernel::{Can, Limit, Refusal, StoreError, codes, ids, permissions, text};
use saas_kernel_axum::{
    ActorView, Allow, ApiError, Created, Json, List, NoContent, NoQuery, OpenApiRouter, PageParams, Path, Query, View,
    routes,
};
use saas_kernel_postgres::{PgRead, PgResult, PgStore};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

permissions! {
    /// See projects.
    pub ReadProject = read "project.read";
    /// Create projects.
    pub CreateProject = write "project.create";
    /// Change projects.
    pub UpdateProject = write "project.update";
    /// Delete projects.
    pub DeleteProject = write "project.delete";
}

ids! {
    /// A project.
    pub ProjectId = "prj";
}

const PROJECTS: Limit = Limit("projects");
const LIST: &str = "projects";

pub fn routes(store: PgStore) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(get, update, delete)).with_state(store)
}

/// Name of a project: 1 to 200 characters on one line.
#[derive(Debug)]
pub struct ProjectName(String);

impl FromStr for ProjectName {
    type Err = Refusal;
    fn from_str(name: &str) -> Result<Self, Refusal> {
        text::line("name", name, 1..=200).map(Self)
    }
}

/// A project.
#[derive(Serialize, ToSchema, sqlx::FromRow)]
pub struct Project {
    #[sqlx(try_from = "Uuid")]
    #[schema(value_type = String, example = "prj_01h455vb4pex5vsknk084sn02q")]
    id: ProjectId,
    #[sqlx(try_from = "Uuid")]
    #[schema(value_type = String)]
    workspace_id: WorkspaceId,
    name: String,
    #[schema(example = "active")]
    status: String,
    #[sqlx(flatten)]
    #[schema(value_type = ActorView)]
    created_by: CreatedBy,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// The columns with the actor who created the project.
#[derive(sqlx::FromRow)]
struct CreatedBy {
    created_by_type: String,
    created_by_id: Uuid,
}

impl Serialize for CreatedBy {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let actor = ActorRef::from_row(self.created_by_type.clone(), self.created_by_id, None);
        ActorView::from(actor).serialize(serializer)
    }
}

#[derive(Serialize)]
struct ProjectCreated<'a> {
    id: ProjectId,
    name: &'a str,
}

impl Event for ProjectCreated<'_> {
    const SUBJECT: &'static str = "project.created";
}

#[derive(Serialize)]
struct ProjectDeleted {
    id: ProjectId,
}

impl Event for ProjectDeleted {
    const SUBJECT: &'static str = "project.deleted";
}

/// The name of a new project.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewProject {
    #[schema(example = "Website", max_length = 200)]
    name: String,
}

/// Creates a project. One transaction: the limit, the row, the event and the audit entry commit together or not at all.
#[utoipa::path(post, path = "/projects", tag = "projects", request_body = NewProject, responses((status = 201, body = Project)))]
async fn create(
    can: Allow<CreateProject>,
    State(store): State<PgStore>,
    Json(new): Json<NewProject>,
) -> Result<Created<Project>, ApiError> {
    let name: ProjectName = new.name.parse()?;
    let mut tx = store.begin_tenant(&can).await?;
    limits::reserve(&can, &mut tx, PROJECTS, 1).await?;
    let project = insert(tx.conn(), can.workspace(), can.actor(), can.now(), name).await?;
    events::publish(&can, &mut tx, &ProjectCreated { id: project.id, name: &project.name })?;
    audit::record(&can, &mut tx, action::RESOURCE_CREATE, "project", project.id)?;
    Ok(tx.commit_with(Created(project)).await?)
}

/// Lists the workspace's projects, newest first.
#[utoipa::path(get, path = "/projects", tag = "projects", params(PageParams), responses((status = 200, body = List<Project>)))]
async fn list(
    can: Allow<ReadProject>,
    State(store): State<PgStore>,
    Query(query): Query<PageQuery>,
) -> Result<View<List<Project>>, ApiError> {
    let page = can.page(LIST, &query)?;
    let mut tx = store.read(&can).await?;
    let projects = select(&mut tx, &can, &page).await?;
    Ok(List::of(&can, LIST, projects, |project| project))
}

#[derive(Deserialize)]
struct PathParams {
    project: ProjectId,
}

/// Returns a project.
#[utoipa::path(get, path = "/projects/{project}", tag = "projects", params(("project" = String, Path, description = "`prj_…`")),
    responses((status = 200, body = Project)))]
async fn get(
    can: Allow<ReadProject>,
    State(store): State<PgStore>,
    Path(params): Path<PathParams>,
    _: NoQuery,
) -> Result<View<Project>, ApiError> {
    let mut tx = store.read(&can).await?;
    Ok(View(find(&mut tx, &can, params.project).await?.ok_or_else(missing)?))
}

/// The changes; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ProjectChange {
    #[serde(default)]
    #[schema(max_length = 200)]
    name: Option<String>,
    #[serde(default)]
    status: Option<Status>,
}

#[derive(Deserialize, Serialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Status {
    Active,
    Paused,
    Archived,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Status::Active => "active",
            Status::Paused => "paused",
            Status::Archived => "archived",
        }
    }
}

/// Changes the name, the status, or both.
#[utoipa::path(patch, path = "/projects/{project}", tag = "projects", params(("project" = String, Path, description = "`prj_…`")),
    request_body = ProjectChange, responses((status = 200, body = Project)))]
async fn update(
    can: Allow<UpdateProject>,
    State(store): State<PgStore>,
    Path(params): Path<PathParams>,
    Json(change): Json<ProjectChange>,
) -> Result<View<Project>, ApiError> {
    let name = change.name.map(|name| name.parse::<ProjectName>()).transpose()?;
    if name.is_none() && change.status.is_none() {
        return Err(Refusal::field("body", "names nothing to change; give `name` or `status`").into());
    }
    let mut tx = store.begin_tenant(&can).await?;
    let project = modify(tx.conn(), &can, params.project, name, change.status).await?.ok_or_else(missing)?;
    audit::record(&can, &mut tx, action::RESOURCE_UPDATE, "project", project.id)?;
    tx.commit().await?;
    Ok(View(project))
}

/// Deletes a project, which frees its place in the plan's limit.
#[utoipa::path(delete, path = "/projects/{project}", tag = "projects", params(("project" = String, Path, description = "`prj_…`")),
    responses((status = 204)))]
async fn delete(
    can: Allow<DeleteProject>,
    State(store): State<PgStore>,
    Path(params): Path<PathParams>,
) -> Result<NoContent, ApiError> {
    let mut tx = store.begin_tenant(&can).await?;
    if !remove(tx.conn(), &can, params.project).await? {
        return Err(missing().into());
    }
    events::publish(&can, &mut tx, &ProjectDeleted { id: params.project })?;
    audit::record(&can, &mut tx, action::RESOURCE_DELETE, "project", params.project)?;
    tx.commit().await?;
    Ok(NoContent)
}

fn missing() -> Refusal {
    Refusal::new(&codes::NOT_FOUND, "there is no such project in this workspace")
}

const INSERT: &str = "
INSERT INTO tracker.projects (workspace_id, id, name, created_by_type, created_by_id, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $6)
RETURNING workspace_id, id, name, status, created_by_type, created_by_id, created_at, updated_at";

/// Inserts a project. It takes no proof, because the sign-up hook calls it before anybody has a grant; handlers have checked
/// theirs.
pub async fn insert(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    by: Actor,
    at: DateTime<Utc>,
    name: ProjectName,
) -> Result<Project, StoreError> {
    sqlx::query_as(INSERT)
        .bind(workspace.uuid())
        .bind(ProjectId::generate(at).uuid())
        .bind(name.0)
        .bind(by.kind())
        .bind(by.uuid())
        .bind(at)
        .fetch_one(conn)
        .await
        .store()
}

const SELECT: &str = "
SELECT workspace_id, id, name, status, created_by_type, created_by_id, created_at, updated_at
FROM tracker.projects WHERE workspace_id = $1
ORDER BY created_at DESC, id DESC LIMIT $2";

const SELECT_AFTER: &str = "
SELECT workspace_id, id, name, status, created_by_type, created_by_id, created_at, updated_at
FROM tracker.projects WHERE workspace_id = $1 AND (created_at, id) < ($3, $4)
ORDER BY created_at DESC, id DESC LIMIT $2";

async fn select(tx: &mut PgRead, can: &Can<ReadProject>, page: &PageRequest) -> Result<Page<Project>, StoreError> {
    let query = match page.after {
        None => sqlx::query_as(SELECT).bind(can.workspace().uuid()).bind(page.fetch()),
        Some(after) => {
            sqlx::query_as(SELECT_AFTER).bind(can.workspace().uuid()).bind(page.fetch()).bind(after.at).bind(after.id)
        }
    };
    let projects: Vec<Project> = tx.fetch_all(query).await?;
    Ok(Page::cut(projects, page, |project| Position { at: project.created_at, id: project.id.uuid() }))
}

const FIND: &str = "
SELECT workspace_id, id, name, status, created_by_type, created_by_id, created_at, updated_at
FROM tracker.projects WHERE workspace_id = $1 AND id = $2";

async fn find(tx: &mut PgRead, can: &Can<ReadProject>, id: ProjectId) -> Result<Option<Project>, StoreError> {
    tx.fetch_optional(sqlx::query_as(FIND).bind(can.workspace().uuid()).bind(id.uuid())).await
}

const UPDATE: &str = "
UPDATE tracker.projects SET name = coalesce($3, name), status = coalesce($4, status), updated_at = $5
WHERE workspace_id = $1 AND id = $2
RETURNING workspace_id, id, name, status, created_by_type, created_by_id, created_at, updated_at";

async fn modify(
    conn: &mut PgConnection,
    can: &Can<UpdateProject>,
    id: ProjectId,
    name: Option<ProjectName>,
    status: Option<Status>,
) -> Result<Option<Project>, StoreError> {
    sqlx::query_as(UPDATE)
        .bind(can.workspace().uuid())
        .bind(id.uuid())
        .bind(name.map(|name| name.0))
        .bind(status.map(Status::as_str))
        .bind(can.now())
        .fetch_optional(conn)
        .await
        .store()
}

async fn remove(conn: &mut PgConnection, can: &Can<DeleteProject>, id: ProjectId) -> Result<bool, StoreError> {
    let delete = sqlx::query("DELETE FROM tracker.projects WHERE workspace_id = $1 AND id = $2");
    Ok(delete.bind(can.workspace().uuid()).bind(id.uuid()).execute(conn).await.store()?.rows_affected() == 1)
}
