//! `GET …/members`, `PATCH|DELETE …/members/{user}`, `POST …/members/leave`: lists, changes and removes members.

use axum::extract::State;
use chrono::{DateTime, Utc};
use saas_kernel::Proof;
use saas_kernel::access::EvenReadOnly;
use saas_kernel::id::UserId;
use saas_kernel::page::PageQuery;
use saas_kernel::permissions::{ListMembers, RemoveMember, UpdateMember};
use saas_kernel::store::commit_with;
use saas_kernel::tenancy::members::{self, Member};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::extract::{Allow, InWorkspace, Path, Query};
use crate::json::Json;
use crate::response::{List, NoContent, View};
use crate::routes;
use crate::routing::Routes;
use crate::state::Api;
use crate::views::PageParams;

pub(super) fn routes() -> Routes {
    Routes::default().workspace(routes!(list)).workspace(routes!(change_role, remove)).workspace(routes!(leave))
}

/// The name of the list, to which its cursors are bound.
const LIST: &str = "members";

/// A member of the workspace.
#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
pub(super) struct MemberView {
    #[schema(example = "usr_01h455vb4pex5vsknk084sn02q")]
    user_id: String,
    email: String,
    name: String,
    #[schema(example = "member")]
    role: String,
    joined_at: DateTime<Utc>,
}

impl From<Member> for MemberView {
    fn from(member: Member) -> Self {
        Self {
            user_id: member.user.to_string(),
            email: member.email,
            name: member.name,
            role: member.role,
            joined_at: member.joined_at,
        }
    }
}

/// Lists the members of the workspace, in the order in which they joined.
#[utoipa::path(get, path = "/members", tag = "members", params(PageParams), responses((status = 200, body = List<MemberView>)))]
async fn list(
    State(api): State<Api>,
    can: Allow<ListMembers>,
    Query(query): Query<PageQuery>,
) -> Result<View<List<MemberView>>, ApiError> {
    let page = can.page(LIST, &query)?;
    let mut tx = api.kernel().store().read(can.scope()).await?;
    let members = members::list(&can, &mut *tx, &page).await?;
    Ok(List::of(&can, LIST, members, MemberView::from))
}

#[derive(Deserialize)]
struct PathParams {
    user: UserId,
}

/// The role that the member is to have.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRole {
    #[schema(example = "admin")]
    role: String,
}

/// Changes a member's role. The caller cannot assign or take away a role above their own, and the last owner cannot be
/// demoted.
#[utoipa::path(patch, path = "/members/{user}", tag = "members", params(("user" = String, Path, description = "`usr_…`")),
    request_body = NewRole, responses((status = 200, body = MemberView)))]
async fn change_role(
    State(api): State<Api>,
    can: Allow<UpdateMember>,
    Path(params): Path<PathParams>,
    Json(new): Json<NewRole>,
) -> Result<View<MemberView>, ApiError> {
    let mut tx = api.kernel().store().begin(can.scope()).await?;
    let member = members::change_role(&can, &mut *tx, params.user, &new.role).await?;
    tx.commit().await?;
    Ok(View(member.into()))
}

/// Removes a member and frees their seat. The last owner cannot be removed.
#[utoipa::path(delete, path = "/members/{user}", tag = "members", params(("user" = String, Path, description = "`usr_…`")),
    responses((status = 204)))]
async fn remove(
    State(api): State<Api>,
    can: Allow<EvenReadOnly<RemoveMember>>,
    Path(params): Path<PathParams>,
) -> Result<NoContent, ApiError> {
    let mut tx = api.kernel().store().begin(can.scope()).await?;
    members::remove(&can, &mut *tx, params.user).await?;
    tx.commit().await?;
    Ok(NoContent)
}

/// Removes the caller from the workspace. The last owner has to make another member an owner first.
#[utoipa::path(post, path = "/members/leave", tag = "members", responses((status = 204)))]
async fn leave(State(api): State<Api>, grant: InWorkspace) -> Result<NoContent, ApiError> {
    let mut tx = api.kernel().store().begin(grant.scope()).await?;
    members::leave(&grant, &mut *tx).await?;
    Ok(commit_with(tx, NoContent).await?)
}
