//! `GET me/permissions`, `GET …/permissions`: what one may do, and why.

use axum::extract::State;
use saas_kernel::Proof;
use saas_kernel::access::{Explanation, PermissionInfo, intern};
use saas_kernel::page::PageQuery;
use saas_kernel::permissions::ReadWorkspace;
use saas_kernel::tenancy::members;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::{List, View};
use crate::error::ApiError;
use crate::extract::{Allow, NoQuery, Query, SignedIn};
use crate::routes;
use crate::routing::Routes;
use crate::state::Api;
use crate::views::PageParams;

pub(crate) fn routes() -> Routes {
    Routes::default().api(routes!(mine)).workspace(routes!(catalogue))
}

/// The list's name, which its cursors are bound to.
const LIST: &str = "permissions";

/// What the caller may do in one of their workspaces.
#[derive(Serialize, ToSchema)]
#[schema(as = Membership)]
struct BelongingView {
    #[schema(example = "ws_01h455vb4pex5vsknk084sn02q")]
    workspace_id: String,
    #[schema(example = "acme")]
    slug: String,
    #[schema(example = "member")]
    role: String,
    #[schema(example = json!(["workspace.read"]))]
    permissions: Vec<&'static str>,
}

/// The caller's role and permissions in each of their workspaces, oldest workspace first.
#[utoipa::path(get, path = "/me/permissions", tag = "me", params(PageParams), responses((status = 200, body = List<BelongingView>)))]
async fn mine(
    State(api): State<Api>,
    session: SignedIn,
    Query(query): Query<PageQuery>,
) -> Result<View<List<BelongingView>>, ApiError> {
    let page = session.page(LIST, &query)?;
    let mut tx = api.kernel().store().begin(session.scope()).await?;
    let belongings = members::of_user(&session, &mut *tx, &page).await?;
    let roles = api.kernel().roles();
    Ok(List::of_user(&session, LIST, belongings, |belonging| {
        let role = roles.get(&belonging.role);
        let held = roles.registry().iter().filter(|permission| role.bits.has(intern(permission.name)));
        BelongingView {
            workspace_id: belonging.workspace.to_string(),
            slug: belonging.slug,
            role: belonging.role,
            permissions: held.map(|permission| permission.name).collect(),
        }
    }))
}

/// Every permission there is.
#[derive(Serialize, ToSchema)]
struct Catalogue {
    /// The caller's role here; `api_key` for a key.
    #[schema(example = "member")]
    role: String,
    items: Vec<PermissionView>,
}

/// A permission, and why the caller has it or not.
#[derive(Serialize, ToSchema)]
#[schema(as = Permission)]
struct PermissionView {
    #[schema(example = "project.create")]
    name: &'static str,
    #[schema(example = "Start projects.")]
    description: &'static str,
    /// The roles that hold it, highest first.
    roles: Vec<String>,
    /// Whether the caller's role, or key, is one of them.
    held: bool,
}

/// Every permission there is, which roles hold it, and whether the caller does.
#[utoipa::path(get, path = "/permissions", tag = "members", responses((status = 200, body = Catalogue)))]
async fn catalogue(can: Allow<ReadWorkspace>, Query(NoQuery {}): Query<NoQuery>) -> Result<View<Catalogue>, ApiError> {
    let item = |permission: &PermissionInfo| {
        let Explanation { holders, held, .. } = can.explain(permission.name);
        PermissionView { name: permission.name, description: permission.description, roles: holders, held }
    };
    Ok(View(Catalogue { role: can.role().name.clone(), items: can.roles().registry().iter().map(item).collect() }))
}
