//! `POST|GET workspaces`, `GET|PATCH workspaces/{ws}`: creates, lists, shows and changes workspaces.

use axum::extract::State;
use chrono::{DateTime, Utc};
use saas_kernel::page::PageQuery;
use saas_kernel::permissions::{ReadWorkspace, UpdateWorkspace};
use saas_kernel::store::commit_with;
use saas_kernel::tenancy::workspaces::{self, Rename, Workspace, WorkspaceCreation};
use saas_kernel::{Fields, Proof, Refusal};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::extract::{Allow, NoQuery, Query, SignedIn};
use crate::json::Json;
use crate::response::{Created, List, View};
use crate::routes;
use crate::routing::Routes;
use crate::state::Api;
use crate::views::{ActorView, PageParams};

pub(super) fn routes() -> Routes {
    Routes::default().api(routes!(create, list)).workspace(routes!(get, update))
}

/// The name of the list, to which its cursors are bound.
const LIST: &str = "workspaces";

/// A workspace.
#[derive(Serialize, ToSchema)]
#[schema(as = Workspace)]
struct WorkspaceView {
    #[schema(example = "ws_01h455vb4pex5vsknk084sn02q")]
    id: String,
    #[schema(example = "acme")]
    slug: String,
    name: String,
    /// The key of its plan.
    #[schema(example = "free")]
    plan: String,
    /// How much of the plan the state of the subscription allows: `full`, `grace` or `read_only`.
    access: &'static str,
    created_by: ActorView,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Workspace> for WorkspaceView {
    fn from(workspace: Workspace) -> Self {
        Self {
            id: workspace.id.to_string(),
            plan: workspace.entitlements.plan().to_owned(),
            slug: workspace.slug,
            name: workspace.name,
            access: workspace.entitlements.access.as_str(),
            created_by: workspace.created_by.into(),
            created_at: workspace.created_at,
            updated_at: workspace.updated_at,
        }
    }
}

/// The name and slug of a new workspace.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewWorkspace {
    #[schema(example = "Acme", max_length = 100)]
    name: String,
    /// The workspace's name in addresses; derived from `name` if left out.
    #[serde(default)]
    #[schema(example = "acme", min_length = 3, max_length = 40)]
    slug: Option<String>,
}

/// Creates a workspace. The caller becomes its owner.
#[utoipa::path(post, path = "/workspaces", tag = "workspaces", request_body = NewWorkspace, responses((status = 201, body = WorkspaceView)))]
async fn create(
    State(api): State<Api>,
    session: SignedIn,
    Json(input): Json<NewWorkspace>,
) -> Result<Created<WorkspaceView>, ApiError> {
    let (kernel, mut fields) = (api.kernel(), Fields::default());
    let name = fields.take("name", input.name.parse());
    let slug = input.slug.and_then(|slug| fields.take("slug", slug.parse()));
    fields.finish()?;
    let name = name.ok_or_else(|| Refusal::field("name", "is missing"))?;
    let creation = WorkspaceCreation::by(&session);
    let mut tx = kernel.store().begin(creation.scope()).await?;
    let made = workspaces::create(&creation, &mut *tx, name, slug).await?;
    Ok(commit_with(tx, Created(WorkspaceView::from(made))).await?)
}

/// Lists the workspaces that the caller is a member of, oldest first.
#[utoipa::path(get, path = "/workspaces", tag = "workspaces", params(PageParams), responses((status = 200, body = List<WorkspaceView>)))]
async fn list(
    State(api): State<Api>,
    session: SignedIn,
    Query(query): Query<PageQuery>,
) -> Result<View<List<WorkspaceView>>, ApiError> {
    let page = session.page(LIST, &query)?;
    let mut tx = api.kernel().store().read(session.scope()).await?;
    let mine = workspaces::of_user(&session, &mut *tx, &page).await?;
    Ok(List::of_user(&session, LIST, mine, WorkspaceView::from))
}

/// Returns the workspace.
#[utoipa::path(get, path = "/", tag = "workspaces", responses((status = 200, body = WorkspaceView)))]
async fn get(State(api): State<Api>, can: Allow<ReadWorkspace>, _: NoQuery) -> Result<View<WorkspaceView>, ApiError> {
    let mut tx = api.kernel().store().read(can.scope()).await?;
    Ok(View(WorkspaceView::from(workspaces::get(&can, &mut *tx).await?)))
}

/// The changes; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WorkspaceChange {
    #[serde(default)]
    #[schema(max_length = 100)]
    name: Option<String>,
    /// The new slug. The old one keeps leading to the workspace.
    #[serde(default)]
    #[schema(min_length = 3, max_length = 40)]
    slug: Option<String>,
}

/// Changes the name, the slug, or both.
#[utoipa::path(patch, path = "/", tag = "workspaces", request_body = WorkspaceChange, responses((status = 200, body = WorkspaceView)))]
async fn update(
    State(api): State<Api>,
    can: Allow<UpdateWorkspace>,
    Json(change): Json<WorkspaceChange>,
) -> Result<View<WorkspaceView>, ApiError> {
    let mut fields = Fields::default();
    let name = change.name.and_then(|name| fields.take("name", name.parse()));
    let slug = change.slug.and_then(|slug| fields.take("slug", slug.parse()));
    fields.finish()?;
    if name.is_none() && slug.is_none() {
        return Err(Refusal::field("body", "names nothing to change; give `name` or `slug`").into());
    }
    let mut tx = api.kernel().store().begin(can.scope()).await?;
    let renamed = workspaces::rename(&can, &mut *tx, Rename { name, slug }).await?;
    tx.commit().await?;
    Ok(View(WorkspaceView::from(renamed)))
}
