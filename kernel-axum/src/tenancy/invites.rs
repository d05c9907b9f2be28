//! `POST|GET …/invites`, `DELETE …/invites/{invite}`, `POST invites/accept`.

use axum::extract::State;
use chrono::{DateTime, Utc};
use saas_kernel::access::EvenReadOnly;
use saas_kernel::error::Explained;
use saas_kernel::guard::idempotency;
use saas_kernel::id::InviteId;
use saas_kernel::identity::users::Email;
use saas_kernel::page::PageQuery;
use saas_kernel::permissions::InviteMember;
use saas_kernel::secret::Token;
use saas_kernel::tenancy::invites::{self, Invite, Invited};
use saas_kernel::{Fields, Proof, Refusal, codes};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::members::MemberView;
use crate::answer::{Created, List, NoContent, View, commit_with};
use crate::error::ApiError;
use crate::extract::{Allow, Path, Query, SignedIn};
use crate::json::Json;
use crate::routes;
use crate::routing::Routes;
use crate::state::Api;
use crate::views::{ActorView, PageParams};

pub(super) fn routes() -> Routes {
    Routes::default().api(routes!(accept)).workspace(routes!(create, list)).workspace(routes!(revoke))
}

/// The list's name, which its cursors are bound to.
const LIST: &str = "invites";

/// An invite that is open.
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
    /// It cannot be accepted after this; inviting the address again makes a new one.
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

/// Whom to invite, as what.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewInvite {
    #[schema(example = "grace@example.com")]
    email: String,
    #[schema(example = "member")]
    role: String,
}

/// Invites somebody by mail. Inviting an address again replaces its open invite and sends a new link.
#[utoipa::path(post, path = "/invites", tag = "members", request_body = NewInvite, responses((status = 201, body = InviteView)))]
async fn create(
    State(api): State<Api>,
    can: Allow<InviteMember>,
    Json(new): Json<NewInvite>,
) -> Result<Created<InviteView>, ApiError> {
    let (kernel, mut fields) = (api.kernel(), Fields::default());
    let email: Option<Email> = fields.take("email", new.email.parse());
    fields.take("role", can.roles().named(&new.role));
    fields.finish()?;
    let email = email.ok_or_else(|| Refusal::field("email", "is missing"))?;
    let mut tx = kernel.store().begin(can.scope()).await?;
    let (invite, token) = invites::create(&can, &mut *tx, &kernel.config().invites, email.clone(), &new.role).await?;
    let workspace = tx.workspaces().find(can.workspace()).await?.map_or_else(String::new, |found| found.name);
    let accept_url = format!("{}/accept-invite?token=", api.http().public_url);
    let mail = invites::mail(&kernel.config().brand.name, email, &workspace, &invite, &token, &accept_url);
    let answer = commit_with(tx, Created(InviteView::from(invite))).await?;
    // After the commit: a network call inside a transaction would hold its locks.
    if let Err(error) = kernel.mailer().send(mail).await {
        tracing::error!(error = %Explained(&error), "an invite was not mailed");
        if let Err(error) = idempotency::free(&**kernel.store(), &can).await {
            tracing::error!(error = %Explained(&error), "a retry of the invite will be answered as if it had been mailed");
        }
        let text =
            "the invite is made, but its mail could not be sent; repeat the request: it makes and sends a new link";
        return Err(Refusal::new(&codes::MAIL_UNAVAILABLE, text).into());
    }
    Ok(answer)
}

/// The open invites, newest first; also those that have expired.
#[utoipa::path(get, path = "/invites", tag = "members", params(PageParams), responses((status = 200, body = List<InviteView>)))]
async fn list(
    State(api): State<Api>,
    can: Allow<EvenReadOnly<InviteMember>>,
    Query(query): Query<PageQuery>,
) -> Result<View<List<InviteView>>, ApiError> {
    let page = can.page(LIST, &query)?;
    let mut tx = api.kernel().store().begin(can.scope()).await?;
    let open = invites::list(&can, &mut *tx, &page).await?;
    Ok(List::of(&can, LIST, open, InviteView::from))
}

#[derive(Deserialize)]
struct Address {
    invite: InviteId,
}

/// Revokes an open invite: its link is void at once.
#[utoipa::path(delete, path = "/invites/{invite}", tag = "members", params(("invite" = String, Path, description = "`inv_…`")),
    responses((status = 204)))]
async fn revoke(
    State(api): State<Api>,
    can: Allow<EvenReadOnly<InviteMember>>,
    Path(at): Path<Address>,
) -> Result<NoContent, ApiError> {
    let mut tx = api.kernel().store().begin(can.scope()).await?;
    invites::revoke(&can, &mut *tx, at.invite).await?;
    tx.commit().await?;
    Ok(NoContent)
}

/// The end of the link in the mail.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Acceptance {
    #[schema(example = "inv_…")]
    token: String,
}

/// Joins the workspace of an invite. The caller is signed in with the address that was invited; a link alone, or a page
/// that is only opened, joins nobody.
#[utoipa::path(post, path = "/invites/accept", tag = "members", request_body = Acceptance, responses((status = 200, body = Joined)))]
async fn accept(
    State(api): State<Api>,
    session: SignedIn,
    Json(input): Json<Acceptance>,
) -> Result<View<Joined>, ApiError> {
    let kernel = api.kernel();
    let invited = Invited::with(&**kernel.store(), &session, &Token::presented(&input.token)).await?;
    let mut tx = kernel.store().begin(invited.scope()).await?;
    let member = invites::accept(&invited, &mut *tx).await?;
    let joined = Joined { workspace_id: invited.workspace().to_string(), member: member.into() };
    commit_with(tx, View(joined)).await
}

/// Where the caller belongs now, and as what.
#[derive(Serialize, ToSchema)]
struct Joined {
    #[schema(example = "ws_01h455vb4pex5vsknk084sn02q")]
    workspace_id: String,
    member: MemberView,
}
