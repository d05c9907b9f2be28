//! `POST|GET …/invites`, `DELETE …/invites/{invite}`, `POST invites/accept`: invites to a workspace.

use axum::extract::State;
use chrono::{DateTime, Utc};
use saas_kernel::Proof;
use saas_kernel::access::EvenReadOnly;
use saas_kernel::id::{InviteId, WorkspaceId};
use saas_kernel::kernel::InviteRequest;
use saas_kernel::page::PageQuery;
use saas_kernel::permissions::InviteMember;
use saas_kernel::secret::Token;
use saas_kernel::tenancy::invites::{self, Invite};
use saas_kernel::tenancy::members::Member;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::members::MemberView;
use crate::error::ApiError;
use crate::extract::{Allow, Path, Query, SignedIn};
use crate::json::Json;
use crate::response::{Created, List, NoContent, View};
use crate::routes;
use crate::routing::Routes;
use crate::state::Api;
use crate::views::{ActorView, PageParams};

pub(super) fn routes() -> Routes {
    Routes::default().api(routes!(accept)).workspace(routes!(create, list)).workspace(routes!(revoke))
}

/// The name of the list, to which its cursors are bound.
const LIST: &str = "invites";

/// An invite that was neither accepted nor revoked.
#[derive(Serialize, ToSchema)]
#[schema(as = Invite)]
struct InviteView {
    #[schema(example = "inv_01h455vb4pex5vsknk084sn02q")]
    id: String,
    email: String,
    #[schema(example = "member")]
    role: String,
    invited_by: ActorView,
    created_at: DateTime<Utc>,
    /// The time after which it can no longer be accepted. Inviting the address again creates a new invite.
    expires_at: DateTime<Utc>,
}

impl From<Invite> for InviteView {
    fn from(invite: Invite) -> Self {
        Self {
            id: invite.id.to_string(),
            email: invite.email,
            role: invite.role,
            invited_by: invite.invited_by.into(),
            created_at: invite.created_at,
            expires_at: invite.expires_at,
        }
    }
}

/// The address and role of the person to invite.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewInvite {
    #[schema(example = "grace@example.com")]
    email: String,
    #[schema(example = "member")]
    role: String,
}

/// Invites a person by mail. Inviting an address again replaces its open invite and sends a new link.
#[utoipa::path(post, path = "/invites", tag = "members", request_body = NewInvite, responses((status = 201, body = InviteView)))]
async fn create(
    State(api): State<Api>,
    can: Allow<InviteMember>,
    Json(new): Json<NewInvite>,
) -> Result<Created<InviteView>, ApiError> {
    let request = InviteRequest { email: &new.email, role: &new.role, public_url: &api.http().public_url };
    Ok(api.kernel().invite(&can, request, |invite| Created(InviteView::from(invite))).await?)
}

/// Lists the open invites, newest first, including those that have expired.
#[utoipa::path(get, path = "/invites", tag = "members", params(PageParams), responses((status = 200, body = List<InviteView>)))]
async fn list(
    State(api): State<Api>,
    can: Allow<EvenReadOnly<InviteMember>>,
    Query(query): Query<PageQuery>,
) -> Result<View<List<InviteView>>, ApiError> {
    let page = can.page(LIST, &query)?;
    let mut tx = api.kernel().store().read(can.scope()).await?;
    let open = invites::list(&can, &mut *tx, &page).await?;
    Ok(List::of(&can, LIST, open, InviteView::from))
}

#[derive(Deserialize)]
struct PathParams {
    invite: InviteId,
}

/// Revokes an open invite. Its link stops working immediately.
#[utoipa::path(delete, path = "/invites/{invite}", tag = "members", params(("invite" = String, Path, description = "`inv_…`")),
    responses((status = 204)))]
async fn revoke(
    State(api): State<Api>,
    can: Allow<EvenReadOnly<InviteMember>>,
    Path(params): Path<PathParams>,
) -> Result<NoContent, ApiError> {
    let mut tx = api.kernel().store().begin(can.scope()).await?;
    invites::revoke(&can, &mut *tx, params.invite).await?;
    tx.commit().await?;
    Ok(NoContent)
}

/// The token of an invite, from the link in the mail.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct InviteToken {
    #[schema(example = "inv_…")]
    token: String,
}

/// Accepts an invite: the caller becomes a member of its workspace. They must be signed in with the address that was
/// invited; opening the link alone accepts nothing.
#[utoipa::path(post, path = "/invites/accept", tag = "members", request_body = InviteToken, responses((status = 200, body = JoinedWorkspace)))]
async fn accept(
    State(api): State<Api>,
    session: SignedIn,
    Json(input): Json<InviteToken>,
) -> Result<View<JoinedWorkspace>, ApiError> {
    let token = Token::presented(&input.token);
    let joined = |workspace: WorkspaceId, member: Member| {
        View(JoinedWorkspace { workspace_id: workspace.to_string(), member: member.into() })
    };
    Ok(api.kernel().accept_invite(&session, &token, joined).await?)
}

/// The workspace that the caller joined, and their membership in it.
#[derive(Serialize, ToSchema)]
struct JoinedWorkspace {
    #[schema(example = "ws_01h455vb4pex5vsknk084sn02q")]
    workspace_id: String,
    member: MemberView,
}
