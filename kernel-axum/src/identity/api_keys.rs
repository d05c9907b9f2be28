//! `POST|GET …/api-keys`, `DELETE …/api-keys/{key}`.

use axum::extract::State;
use chrono::{DateTime, Utc};
use saas_kernel::Proof;
use saas_kernel::access::EvenReadOnly;
use saas_kernel::id::ApiKeyId;
use saas_kernel::identity::api_keys::{self, ApiKey, NewApiKey};
use saas_kernel::page::PageQuery;
use saas_kernel::permissions::{CreateApiKey, DeleteApiKey};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{Created, List, NoContent, View};
use crate::error::ApiError;
use crate::extract::{Allow, Path, Query};
use crate::json::Json;
use crate::routes;
use crate::routing::Routes;
use crate::state::Api;
use crate::views::PageParams;

pub(super) fn routes() -> Routes {
    Routes::default().workspace(routes!(create, list)).workspace(routes!(revoke))
}

/// The list's name, which its cursors are bound to.
const LIST: &str = "api keys";

/// A key, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
struct KeyView {
    #[schema(example = "key_01h455vb4pex5vsknk084sn02q")]
    id: String,
    name: String,
    /// How its secret begins, to tell keys apart.
    #[schema(example = "sk_3f9a01bc")]
    prefix: String,
    /// The permissions it holds.
    #[schema(example = json!(["project.read"]))]
    scopes: Vec<String>,
    /// The `usr_…` who made it.
    created_by: String,
    created_at: DateTime<Utc>,
    /// `null`: until it is revoked.
    #[schema(required)]
    expires_at: Option<DateTime<Utc>>,
    /// Give or take five minutes.
    #[schema(required)]
    last_used_at: Option<DateTime<Utc>>,
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name,
            prefix: key.prefix,
            scopes: key.scopes,
            created_by: key.created_by.to_string(),
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
        }
    }
}

/// A new key.
#[derive(Serialize, ToSchema)]
struct NewKeyView {
    #[serde(flatten)]
    key: KeyView,
    /// The secret. It is shown here and never again.
    #[schema(example = "sk_…")]
    token: String,
}

/// What the key is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewKey {
    #[schema(example = "Continuous integration", max_length = 100)]
    name: String,
    /// Permissions that the caller holds.
    #[schema(example = json!(["project.read"]), min_items = 1)]
    scopes: Vec<String>,
    /// Left out: until it is revoked.
    #[serde(default)]
    expires_at: Option<DateTime<Utc>>,
}

/// Makes an API key. Send it as `Authorization: Bearer sk_…`; it is good for this workspace only. A retry with the same
/// `Idempotency-Key` is told that the key was made, and not what it is: secrets are not kept.
#[utoipa::path(post, path = "/api-keys", tag = "api keys", request_body = NewKey, responses((status = 201, body = NewKeyView)))]
async fn create(
    State(api): State<Api>,
    can: Allow<CreateApiKey>,
    Json(new): Json<NewKey>,
) -> Result<Created<NewKeyView>, ApiError> {
    let mut tx = api.kernel().store().begin(can.scope()).await?;
    let new = NewApiKey { name: new.name, scopes: new.scopes, expires_at: new.expires_at };
    let (key, token) = api_keys::create(&can, &mut *tx, &api.kernel().config().api_keys, new).await?;
    tx.commit().await?;
    Ok(Created(NewKeyView { key: key.into(), token: token.expose().to_owned() }))
}

/// The workspace's keys that are not revoked, newest first.
#[utoipa::path(get, path = "/api-keys", tag = "api keys", params(PageParams), responses((status = 200, body = List<KeyView>)))]
async fn list(
    State(api): State<Api>,
    can: Allow<EvenReadOnly<CreateApiKey>>,
    Query(query): Query<PageQuery>,
) -> Result<View<List<KeyView>>, ApiError> {
    let page = can.page(LIST, &query)?;
    let mut tx = api.kernel().store().begin(can.scope()).await?;
    let keys = api_keys::list(&can, &mut *tx, &page).await?;
    Ok(List::of(&can, LIST, keys, KeyView::from))
}

#[derive(Deserialize)]
struct Address {
    key: ApiKeyId,
}

/// Revokes a key at once and for good.
#[utoipa::path(delete, path = "/api-keys/{key}", tag = "api keys", params(("key" = String, Path, description = "`key_…`")),
    responses((status = 204)))]
async fn revoke(
    State(api): State<Api>,
    can: Allow<EvenReadOnly<DeleteApiKey>>,
    Path(at): Path<Address>,
) -> Result<NoContent, ApiError> {
    let mut tx = api.kernel().store().begin(can.scope()).await?;
    api_keys::revoke(&can, &mut *tx, at.key).await?;
    tx.commit().await?;
    Ok(NoContent)
}
