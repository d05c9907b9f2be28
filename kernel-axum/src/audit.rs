//! `GET workspaces/{ws}/audit`: the audit log with filters.

use axum::extract::State;
use chrono::{DateTime, Datelike, Utc};
use saas_kernel::audit::{self, AuditFilter, AuditRecord};
use saas_kernel::id::{ApiKeyId, UserId, WorkspaceId};
use saas_kernel::page::PageQuery;
use saas_kernel::permissions::ReadAudit;
use saas_kernel::{Proof, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::error::ApiError;
use crate::extract::{Allow, Query};
use crate::response::{List, View};
use crate::routes;
use crate::routing::Routes;
use crate::state::Api;
use crate::views::{ActorView, PageParams};

pub(crate) fn routes() -> Routes {
    Routes::default().workspace(routes!(list))
}

/// An entry of the audit log.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
struct AuditView {
    #[schema(example = "aud_01h455vb4pex5vsknk084sn02q")]
    id: String,
    workspace_id: String,
    actor: ActorView,
    /// The user on whose behalf a staff member acted.
    #[schema(required)]
    acting_as: Option<String>,
    #[schema(example = "resource.create")]
    action: String,
    target: TargetView,
    meta: Value,
    #[schema(required)]
    ip: Option<String>,
    request_id: String,
    created_at: DateTime<Utc>,
}

/// The resource that the action was performed on.
#[derive(Serialize, ToSchema)]
#[schema(as = Target)]
struct TargetView {
    #[serde(rename = "type")]
    kind: String,
    id: String,
}

impl AuditView {
    /// The view of an entry in the log of `workspace`.
    fn new(workspace: WorkspaceId, record: AuditRecord) -> Self {
        Self {
            id: record.id.to_string(),
            workspace_id: workspace.to_string(),
            actor: record.actor.into(),
            acting_as: record.acting_as.map(|person| person.to_string()),
            action: record.action,
            target: TargetView { kind: record.target_type, id: record.target_id },
            meta: record.meta,
            ip: record.ip,
            request_id: record.request_id,
            created_at: record.at,
        }
    }
}

/// The filters of the audit log; the page is described by [`PageParams`].
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Only entries of this actor: a `usr_…` or `key_…` id.
    actor: Option<String>,
    /// Only entries of this action, such as `resource.create`.
    action: Option<String>,
    /// Only entries about this type of resource, such as `project`.
    target_type: Option<String>,
    /// Only entries about the resource with this id.
    target_id: Option<String>,
    /// Only entries of this time or later.
    from: Option<DateTime<Utc>>,
    /// Only entries before this time.
    until: Option<DateTime<Utc>>,
    #[param(ignore)]
    cursor: Option<String>,
    #[param(ignore)]
    limit: Option<u32>,
}

impl AuditQuery {
    /// The filters, the page, and the list's name. The name contains the filters, so that a cursor is valid for the same
    /// filters only.
    fn parse(self) -> Result<(AuditFilter, PageQuery, String), Refusal> {
        let actor = self.actor.as_deref().map(parse_actor).transpose()?;
        let (actor_type, actor_id) = actor.unzip();
        let filter = AuditFilter {
            actor_type: actor_type.map(str::to_owned),
            actor_id,
            action: self.action,
            target_type: self.target_type,
            target_id: self.target_id,
            from: year_in_range("from", self.from)?,
            until: year_in_range("until", self.until)?,
        };
        let list = format!("audit {filter:?}");
        Ok((filter, PageQuery { cursor: self.cursor, limit: self.limit }, list))
    }
}

/// Refuses years that Postgres cannot compare with.
fn year_in_range(field: &'static str, at: Option<DateTime<Utc>>) -> Result<Option<DateTime<Utc>>, Refusal> {
    match at {
        Some(at) if !(1..=9999).contains(&at.year()) => Err(Refusal::field(field, "must lie in the years 1 to 9999")),
        at => Ok(at),
    }
}

fn parse_actor(text: &str) -> Result<(&'static str, uuid::Uuid), Refusal> {
    let user = text.parse::<UserId>().map(|id| ("user", id.uuid()));
    user.or_else(|_| text.parse::<ApiKeyId>().map(|id| ("api_key", id.uuid())))
        .map_err(|_| Refusal::field("actor", "must be a `usr_…` or `key_…` id"))
}

/// Lists the entries of the workspace's audit log, newest first.
#[utoipa::path(get, path = "/audit", tag = "audit", params(AuditQuery, PageParams), responses((status = 200, body = List<AuditView>)))]
async fn list(
    State(api): State<Api>,
    can: Allow<ReadAudit>,
    Query(query): Query<AuditQuery>,
) -> Result<View<List<AuditView>>, ApiError> {
    let (filter, page, list) = query.parse()?;
    let page = can.page(&list, &page)?;
    let mut tx = api.kernel().store().read(can.scope()).await?;
    let entries = audit::list(&can, &mut *tx, &filter, &page).await?;
    Ok(List::of(&can, &list, entries, |record| AuditView::new(can.workspace(), record)))
}
