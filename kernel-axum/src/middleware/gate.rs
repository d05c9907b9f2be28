//! The layer between [`edge`](super::edge) and the handlers of the API. In this order: rate limit by address,
//! authentication and tenant (one look-up), rate limit by workspace, CSRF check, idempotency.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::RequestPartsExt;
use axum::body::{Body, HttpBody};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;
use saas_kernel::guard::rate_limit::Bucket;
use saas_kernel::idempotency::IdempotencyKey;
use saas_kernel::identity::api_keys;
use saas_kernel::identity::authenticate::{Caller, Entry, Keep, Principal};
use saas_kernel::identity::credential::Credential;
use saas_kernel::identity::lookups::WorkspaceRef;
use saas_kernel::secret::Token;
use saas_kernel::{Call, Ctx, Refusal, codes};

use super::{client_ip, csrf};
use crate::body::BodyReceived;
use crate::error::ApiError;
use crate::state::{Api, BodyLimit};
use crate::{body, cookie, json};

/// Time for which a handler may leave the connection unused that authenticated its request. It is then returned to the pool, so
/// that work which does not use the database, such as a call to a provider, holds none.
const PARKED_FOR: Duration = Duration::from_millis(50);

pub(crate) async fn gate(State(api): State<Api>, request: Request, next: Next) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let ctx =
        parts.extensions.get::<Ctx>().cloned().ok_or_else(|| ApiError::Broken("the edge layer is missing".into()))?;
    if let Some(ip) = ctx.ip {
        api.kernel().rate_limit(Bucket::ApiIp, || client_ip::rate_limit_key(ip)).await?;
    }
    let body = read_json_early(&mut parts, body, api.body_limit()).await?;
    // A database connection must not wait for a slow client's body.
    let keep = if parts.extensions.get::<BodyReceived>().is_some_and(BodyReceived::is_complete) {
        Keep::ForTransaction
    } else {
        Keep::No
    };
    let call = Call::new(ctx);
    let caller = authenticate(&api, &call, &mut parts, keep).await?;
    // A browser never sends an API key by itself.
    if !matches!(caller, Some(Caller { principal: Principal::Program(_), .. })) {
        csrf::check(&parts.method, &parts.headers, api.http())?;
    }
    parts.extensions.insert(api.body_limit());
    let body = match caller {
        Some(caller) => {
            let body = idempotency(&mut parts, body, &call, api.body_limit()).await?;
            parts.extensions.insert(caller);
            body
        }
        None => body,
    };
    Ok(answer(&call, next.run(Request::from_parts(parts, body))).await)
}

/// Awaits the handler, and takes back the connection that authenticated the request if the handler does not use it: after a
/// moment, and when it has answered, because the body of its response may be a long stream.
async fn answer(call: &Call, handler: impl Future<Output = Response>) -> Response {
    let mut handler = pin!(handler);
    let response = match tokio::time::timeout(PARKED_FOR, handler.as_mut()).await {
        Ok(response) => response,
        Err(_elapsed) => {
            call.release_connection();
            handler.await
        }
    };
    call.release_connection();
    response
}

/// Reads a JSON body within the limit before anything is asked of the database, so that one connection can then serve the
/// whole request. A large or streamed body is left to its handler.
async fn read_json_early(parts: &mut Parts, body: Body, limit: BodyLimit) -> Result<Body, ApiError> {
    if body.is_end_stream()
        || !json::is_json(&parts.headers)
        || body.size_hint().exact().is_none_or(|n| !limit.allows(n))
    {
        return Ok(body);
    }
    Ok(Body::from(body::read(parts, body, limit).await?))
}

/// Authenticates the caller and their entry into the workspace of the address; `None` if there is no credential, or a session that
/// has ended. An API key takes precedence over a cookie, because only a key is sent deliberately.
async fn authenticate(api: &Api, call: &Arc<Call>, parts: &mut Parts, keep: Keep) -> Result<Option<Caller>, ApiError> {
    let key = bearer(&parts.headers)?.map(Credential::ApiKey);
    let Some(credential) = key.or_else(|| cookie::token(&parts.headers, api.http()).map(Credential::Session)) else {
        return Ok(None);
    };
    let workspace = match parts.extract::<RawPathParams>().await {
        Ok(params) => params.iter().find(|(name, _)| *name == "ws").map(|(_, value)| value.parse::<WorkspaceRef>()),
        Err(RawPathParamsRejection::InvalidUtf8InPathParam(_)) => {
            return Err(Refusal::new(&codes::MALFORMED_TEXT, "the address is not UTF-8 once it is decoded").into());
        }
        Err(_) => None,
    };
    // Text that cannot name a workspace is answered like a workspace that does not exist.
    let (named, workspace) = (workspace.is_some(), workspace.and_then(Result::ok));
    let caller = api.kernel().authenticate(call, &credential, workspace.as_ref(), keep).await?;
    match (caller, credential) {
        (Some(mut caller), _) => {
            if named && caller.entry.is_none() {
                caller.entry = Some(Entry::Stranger);
            }
            Ok(Some(caller))
        }
        (None, Credential::ApiKey(_)) => {
            Err(Refusal::new(&codes::UNAUTHENTICATED, "this API key is unknown, revoked or has expired").into())
        }
        (None, _) => Ok(None),
    }
}

/// The key of `Authorization: Bearer sk_…` (RFC 6750). Another scheme, such as a proxy's, is ignored.
fn bearer(headers: &HeaderMap) -> Result<Option<Token>, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next().and_then(|value| value.to_str().ok()) else { return Ok(None) };
    let Some((scheme, key)) = value.split_once(' ') else { return Ok(None) };
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    if values.next().is_some() || !key.starts_with(api_keys::PREFIX) {
        let text = "send one `Authorization: Bearer sk_…` with an API key of the workspace";
        return Err(Refusal::new(&codes::UNAUTHENTICATED, text));
    }
    Ok(Some(Token::presented(key)))
}

/// Reads the `Idempotency-Key` of an authenticated POST. The key is bound to the body, so the body is read here; without
/// a key it is left to the handler.
async fn idempotency(parts: &mut Parts, body: Body, call: &Call, limit: BodyLimit) -> Result<Body, ApiError> {
    let Some(header) = parts.headers.get("idempotency-key") else { return Ok(body) };
    if parts.method != Method::POST {
        return Ok(body);
    }
    let key = header.to_str().unwrap_or_default().to_owned();
    let bytes = body::read(parts, body, limit).await?;
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    call.set_idempotency(IdempotencyKey::parse(&key, parts.method.as_str(), path, &bytes)?);
    Ok(Body::from(bytes))
}
