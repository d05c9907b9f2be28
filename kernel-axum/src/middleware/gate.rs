//! What stands between the edge and a handler of the API, in order: rate limit by address, authenticate and tenant (one
//! look-up), rate limit by workspace, CSRF, idempotency.

use axum::RequestPartsExt;
use axum::body::{Body, HttpBody};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use saas_kernel::error::codes;
use saas_kernel::guard::idempotency::IdempotencyKey;
use saas_kernel::guard::rate_limit::Bucket;
use saas_kernel::identity::authenticate::{Caller, Keep};
use saas_kernel::identity::lookups::WorkspaceRef;
use saas_kernel::{Ctx, Refusal};

use super::edge::Arrival;
use super::{client_ip, csrf};
use crate::app::{Api, BodyLimit};
use crate::cookie;
use crate::error::ApiError;
use crate::json;

pub(crate) async fn gate(State(api): State<Api>, request: Request, next: Next) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let ctx =
        parts.extensions.get::<Ctx>().cloned().ok_or_else(|| ApiError::Broken("the edge layer is missing".into()))?;
    if let Some(ip) = ctx.ip {
        api.kernel().rate_limit(Bucket::ApiIp, || client_ip::bucket(ip)).await?;
    }
    let body = arrived(&mut parts, body, api.body_limit()).await?;
    // A connection must not wait for a slow client's body.
    let keep = if parts.extensions.get::<Arrival>().is_some_and(Arrival::is_complete) {
        Keep::ForTransaction
    } else {
        Keep::No
    };
    let mut caller = authenticate(&api, ctx, &mut parts, keep).await?;
    if let Some(grant) = caller.as_ref().and_then(|caller| caller.grant.as_ref()) {
        api.kernel().rate_limit(Bucket::ApiWorkspace, || grant.workspace().to_string()).await?;
    }
    csrf::check(&parts.method, &parts.headers, api.http())?;
    let body = idempotency(&mut parts, body, caller.as_mut(), api.body_limit()).await?;
    parts.extensions.insert(api.body_limit());
    if let Some(Caller { session, grant }) = caller {
        parts.extensions.insert(session);
        if let Some(grant) = grant {
            parts.extensions.insert(grant);
        }
    }
    Ok(next.run(Request::from_parts(parts, body)).await)
}

/// Ordinary JSON is read before anything is asked of the database, so that one connection can then serve the whole call. What
/// is large, or streams, is left to its handler.
async fn arrived(parts: &mut Parts, body: Body, limit: BodyLimit) -> Result<Body, ApiError> {
    if body.is_end_stream()
        || !json::is_json(&parts.headers)
        || body.size_hint().exact().is_none_or(|n| !limit.allows(n))
    {
        return Ok(body);
    }
    Ok(Body::from(json::read(parts, body, limit).await?))
}

/// Who calls, and as what in the workspace of the address.
async fn authenticate(api: &Api, ctx: Ctx, parts: &mut Parts, keep: Keep) -> Result<Option<Caller>, ApiError> {
    let Some(token) = cookie::token(&parts.headers, api.http()) else { return Ok(None) };
    let workspace = match parts.extract::<RawPathParams>().await {
        Ok(params) => params.iter().find(|(name, _)| *name == "ws").map(|(_, value)| value.parse::<WorkspaceRef>()),
        Err(RawPathParamsRejection::InvalidUtf8InPathParam(_)) => {
            return Err(Refusal::new(&codes::MALFORMED_TEXT, "the address is not UTF-8 once it is decoded").into());
        }
        Err(_) => None,
    };
    // Text that cannot be a workspace's address leads where an unknown one leads.
    let workspace = workspace.and_then(Result::ok);
    Ok(api.kernel().authenticate(ctx, &token, workspace.as_ref(), keep).await?)
}

/// The key is bound to the body, so the body is read here; without a key it is left to the handler.
async fn idempotency(
    parts: &mut Parts,
    body: Body,
    caller: Option<&mut Caller>,
    limit: BodyLimit,
) -> Result<Body, ApiError> {
    let (Some(header), Some(caller), true) =
        (parts.headers.get("idempotency-key"), caller, parts.method == Method::POST)
    else {
        return Ok(body);
    };
    let key = header.to_str().unwrap_or_default().to_owned();
    let bytes = json::read(parts, body, limit).await?;
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    caller.set_idempotency(IdempotencyKey::parse(&key, parts.method.as_str(), path, &bytes)?);
    Ok(Body::from(bytes))
}
