//! `POST|GET …/api-keys`, `DELETE …/api-keys/{key}`: creates, lists and revokes API keys.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use saas_kernel::access::EvenReadOnly;
use saas_kernel::id::ApiKeyId;
use saas_kernel::idempotency::StorableResponse;
use saas_kernel::identity::api_keys::{self, ApiKey, NewApiKey};
use saas_kernel::page::PageQuery;
use saas_kernel::permissions::{CreateApiKey, DeleteApiKey};
use saas_kernel::response::StoredResponse;
use saas_kernel::secret::Token;
use saas_kernel::store::commit_with;
use saas_kernel::{BoxError, Proof};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::extract::{Allow, Path, Query};
use crate::json::Json;
use crate::response::{Created, List, NoContent, View};
use crate::routes;
use crate::routing::Routes;
use crate::state::Api;
use crate::views::PageParams;

pub(super) fn routes() -> Routes {
    Routes::default().workspace(routes!(create, list)).workspace(routes!(revoke))
}

/// The name of the list, to which its cursors are bound.
const LIST: &str = "api keys";

/// An API key, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
struct KeyView {
    #[schema(example = "key_01h455vb4pex5vsknk084sn02q")]
    id: String,
    name: String,
    /// The beginning of its secret, to tell keys apart.
    #[schema(example = "sk_3f9a01bc")]
    prefix: String,
    /// The permissions that it holds.
    #[schema(example = json!(["project.read"]))]
    scopes: Vec<String>,
    /// The id of the user who created it.
    created_by: String,
    created_at: DateTime<Utc>,
    /// The time from which it is refused; `null` if it is valid until it is revoked.
    #[schema(required)]
    expires_at: Option<DateTime<Utc>>,
    /// The time of its last use, accurate to five minutes; `null` if it was never used.
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

/// A new API key, with its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKeyWithToken)]
struct KeyWithTokenView<'a> {
    #[serde(flatten)]
    key: &'a KeyView,
    /// The secret. It is shown only in the first response: `null` in the response to a retry.
    #[schema(required, example = "sk_…")]
    token: Option<&'a str>,
    /// Whether this is the response to a retry, so that the secret was shown before and cannot be shown again. If it was lost,
    /// revoke the key and create another one.
    token_was_shown: bool,
}

/// The response with the new key. What is stored of it for retries has no secret.
struct KeyCreated {
    key: KeyView,
    token: Token,
}

impl IntoResponse for KeyCreated {
    fn into_response(self) -> Response {
        let view = KeyWithTokenView { key: &self.key, token: Some(self.token.expose()), token_was_shown: false };
        Created(view).into_response()
    }
}

impl StorableResponse for KeyCreated {
    fn stored(&self) -> Result<StoredResponse, BoxError> {
        Created(KeyWithTokenView { key: &self.key, token: None, token_was_shown: true }).stored()
    }
}

/// The name, permissions and expiry of a new API key.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewApiKey)]
#[serde(deny_unknown_fields)]
struct NewKey {
    #[schema(example = "Continuous integration", max_length = 100)]
    name: String,
    /// The permissions of the key; the caller must hold them too.
    #[schema(example = json!(["project.read"]), min_items = 1)]
    scopes: Vec<String>,
    /// The time from which the key is refused. Without it the key is valid until it is revoked.
    #[serde(default)]
    expires_at: Option<DateTime<Utc>>,
}

/// Creates an API key, which is sent as `Authorization: Bearer sk_…` and valid in this workspace only. Secrets are not
/// stored: a retry with the same `Idempotency-Key` gets the key with `"token": null` and `"token_was_shown": true`.
#[utoipa::path(post, path = "/api-keys", tag = "api keys", request_body = NewKey, responses((status = 201, body = KeyWithTokenView<'static>)))]
async fn create(
    State(api): State<Api>,
    can: Allow<CreateApiKey>,
    Json(new): Json<NewKey>,
) -> Result<KeyCreated, ApiError> {
    let mut tx = api.kernel().store().begin(can.scope()).await?;
    let new = NewApiKey { name: new.name, scopes: new.scopes, expires_at: new.expires_at };
    let (key, token) = api_keys::create(&can, &mut *tx, &api.kernel().config().api_keys, new).await?;
    Ok(commit_with(tx, KeyCreated { key: key.into(), token }).await?)
}

/// Lists the workspace's API keys that are not revoked, newest first.
#[utoipa::path(get, path = "/api-keys", tag = "api keys", params(PageParams), responses((status = 200, body = List<KeyView>)))]
async fn list(
    State(api): State<Api>,
    can: Allow<EvenReadOnly<CreateApiKey>>,
    Query(query): Query<PageQuery>,
) -> Result<View<List<KeyView>>, ApiError> {
    let page = can.page(LIST, &query)?;
    let mut tx = api.kernel().store().read(can.scope()).await?;
    let keys = api_keys::list(&can, &mut *tx, &page).await?;
    Ok(List::of(&can, LIST, keys, KeyView::from))
}

#[derive(Deserialize)]
struct PathParams {
    key: ApiKeyId,
}

/// Revokes an API key immediately and permanently.
#[utoipa::path(delete, path = "/api-keys/{key}", tag = "api keys", params(("key" = String, Path, description = "`key_…`")),
    responses((status = 204)))]
async fn revoke(
    State(api): State<Api>,
    can: Allow<EvenReadOnly<DeleteApiKey>>,
    Path(params): Path<PathParams>,
) -> Result<NoContent, ApiError> {
    let mut tx = api.kernel().store().begin(can.scope()).await?;
    api_keys::revoke(&can, &mut *tx, params.key).await?;
    tx.commit().await?;
    Ok(NoContent)
}
