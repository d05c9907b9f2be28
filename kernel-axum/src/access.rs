//! `GET me/permissions` and `GET …/permissions`: what the caller may do, and through which role.

use axum::extract::State;
use saas_kernel::Proof;
use saas_kernel::access::{Explanation, PermissionInfo, intern};
use saas_kernel::page::PageQuery;
use saas_kernel::permissions::ReadWorkspace;
use saas_kernel::tenancy::members;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::extract::{Allow, NoQuery, Query, SignedIn};
use crate::response::{List, View};
use crate::routes;
use crate::routing::Routes;
use crate::state::Api;
use crate::views::PageParams;

pub(crate) fn routes() -> Routes {
    Routes::default().api(routes!(mine)).workspace(routes!(catalogue))
}

/// The name of the list `GET me/permissions`, to which its cursors are bound.
const LIST: &str = "permissions";

/// The caller's role and permissions in one of their workspaces.
#[derive(Serialize, ToSchema)]
#[schema(as = Membership)]
struct MembershipView {
    #[schema(example = "ws_01h455vb4pex5vsknk084sn02q")]
    workspace_id: String,
    #[schema(example = "acme")]
    slug: String,
    #[schema(example = "member")]
    role: String,
    #[schema(example = json!(["workspace.read"]))]
    permissions: Vec<&'static str>,
}

/// Lists the caller's role and permissions in each of their workspaces, oldest workspace first.
#[utoipa::path(get, path = "/me/permissions", tag = "me", params(PageParams), responses((status = 200, body = List<MembershipView>)))]
async fn mine(
    State(api): State<Api>,
    session: SignedIn,
    Query(query): Query<PageQuery>,
) -> Result<View<List<MembershipView>>, ApiError> {
    let page = session.page(LIST, &query)?;
    let mut tx = api.kernel().store().read(session.scope()).await?;
    let memberships = members::of_user(&session, &mut *tx, &page).await?;
    let roles = api.kernel().roles();
    Ok(List::of_user(&session, LIST, memberships, |membership| {
        let role = roles.get(&membership.role);
        let held = roles.registry().iter().filter(|permission| role.bits.has(intern(permission.name)));
        MembershipView {
            workspace_id: membership.workspace.to_string(),
            slug: membership.slug,
            role: membership.role,
            permissions: held.map(|permission| permission.name).collect(),
        }
    }))
}

/// Every permission of the product, and the caller's role in the workspace.
#[derive(Serialize, ToSchema)]
struct PermissionCatalogue {
    /// The caller's role in the workspace; `api_key` for an API key.
    #[schema(example = "member")]
    role: String,
    items: Vec<PermissionView>,
}

/// A permission, the roles that grant it, and whether the caller holds it.
#[derive(Serialize, ToSchema)]
#[schema(as = Permission)]
struct PermissionView {
    #[schema(example = "project.create")]
    name: &'static str,
    #[schema(example = "Start projects.")]
    description: &'static str,
    /// The roles that grant it, highest first.
    roles: Vec<String>,
    /// Whether the caller holds it, through their role or as a scope of their API key.
    held: bool,
}

/// Lists every permission, the roles that grant it, and whether the caller holds it.
#[utoipa::path(get, path = "/permissions", tag = "members", responses((status = 200, body = PermissionCatalogue)))]
async fn catalogue(can: Allow<ReadWorkspace>, _: NoQuery) -> Result<View<PermissionCatalogue>, ApiError> {
    let item = |permission: &PermissionInfo| {
        let Explanation { holders, held, .. } = can.explain(permission.name);
        PermissionView { name: permission.name, description: permission.description, roles: holders, held }
    };
    Ok(View(PermissionCatalogue {
        role: can.role().name.clone(),
        items: can.roles().registry().iter().map(item).collect(),
    }))
}
