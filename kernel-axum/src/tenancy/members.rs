//! `GET …/members`, `PATCH|DELETE …/members/{user}`, `POST …/members/leave`.

use axum::extract::State;
use chrono::{DateTime, Utc};
use saas_kernel::Proof;
use saas_kernel::access::EvenReadOnly;
use saas_kernel::id::UserId;
use saas_kernel::page::PageQuery;
use saas_kernel::permissions::{ListMembers, RemoveMember, UpdateMember};
use saas_kernel::tenancy::members::{self, Member};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{List, NoContent, View, commit_with};
use crate::error::ApiError;
use crate::extract::{Allow, Belongs, Path, Query};
use crate::json::Json;
use crate::routes;
use crate::routing::Routes;
use crate::state::Api;
use crate::views::PageParams;

pub(super) fn routes() -> Routes {
    Routes::default().workspace(routes!(list)).workspace(routes!(change_role, remove)).workspace(routes!(leave))
}

/// The list's name, which its cursors are bound to.
const LIST: &str = "members";

/// Somebody who belongs to the workspace.
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

/// Who belongs to the workspace, in the order in which they joined.
#[utoipa::path(get, path = "/members", tag = "members", params(PageParams), responses((status = 200, body = List<MemberView>)))]
async fn list(
    State(api): State<Api>,
    can: Allow<ListMembers>,
    Query(query): Query<PageQuery>,
) -> Result<View<List<MemberView>>, ApiError> {
    let page = can.page(LIST, &query)?;
    let mut tx = api.kernel().store().begin(can.scope()).await?;
    let members = members::list(&can, &mut *tx, &page).await?;
    Ok(List::of(&can, LIST, members, MemberView::from))
}

#[derive(Deserialize)]
struct Address {
    user: UserId,
}

/// Another role.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRole {
    #[schema(example = "admin")]
    role: String,
}

/// Gives a member another role. Nobody gives or takes more than they have themselves, and the last owner stays one.
#[utoipa::path(patch, path = "/members/{user}", tag = "members", params(("user" = String, Path, description = "`usr_…`")),
    request_body = NewRole, responses((status = 200, body = MemberView)))]
async fn change_role(
    State(api): State<Api>,
    can: Allow<UpdateMember>,
    Path(at): Path<Address>,
    Json(new): Json<NewRole>,
) -> Result<View<MemberView>, ApiError> {
    let mut tx = api.kernel().store().begin(can.scope()).await?;
    let member = members::change_role(&can, &mut *tx, at.user, &new.role).await?;
    tx.commit().await?;
    Ok(View(member.into()))
}

/// Takes a member out of the workspace and gives the seat back. The last owner stays.
#[utoipa::path(delete, path = "/members/{user}", tag = "members", params(("user" = String, Path, description = "`usr_…`")),
    responses((status = 204)))]
async fn remove(
    State(api): State<Api>,
    can: Allow<EvenReadOnly<RemoveMember>>,
    Path(at): Path<Address>,
) -> Result<NoContent, ApiError> {
    let mut tx = api.kernel().store().begin(can.scope()).await?;
    members::remove(&can, &mut *tx, at.user).await?;
    tx.commit().await?;
    Ok(NoContent)
}

/// Takes the caller out of the workspace. The last owner makes somebody else an owner first.
#[utoipa::path(post, path = "/members/leave", tag = "members", responses((status = 204)))]
async fn leave(State(api): State<Api>, grant: Belongs) -> Result<NoContent, ApiError> {
    let mut tx = api.kernel().store().begin(grant.scope()).await?;
    members::leave(&grant, &mut *tx).await?;
    commit_with(tx, NoContent).await
}
