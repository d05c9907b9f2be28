//! The layer between [`edge`](super::edge) and the handlers of the API. In this order: rate limit by address,
//! authentication and tenant (one look-up), rate limit by workspace, CSRF check, idempotency.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::RequestPartsExt;
use axum::body::{Body, HttpBody};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use saas_kernel::idempotency::IdempotencyKey;
use saas_kernel::identity::authenticate::{Caller, Keep};
use saas_kernel::{Call, Ctx, Refusal, codes};

use crate::body::BodyReceived;
use crate::error::ApiError;
use crate::headers::head;
use crate::state::{Api, BodyLimit};
use crate::{body, json};

/// Time for which a handler may leave the connection unused that authenticated its request. It is then returned to the pool, so
/// that work which does not use the database, such as a call to a provider, holds none.
const PARKED_FOR: Duration = Duration::from_millis(50);

pub(crate) async fn gate(State(api): State<Api>, request: Request, next: Next) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let ctx = parts.extensions.get::<Ctx>().cloned().ok_or_else(|| ApiError::broken("the edge layer is missing"))?;
    api.kernel().limit_calls_of_client(&ctx).await?;
    let body = read_json_early(&mut parts, body, api.body_limit()).await?;
    // A database connection must not wait for a slow client's body.
    let keep = if parts.extensions.get::<BodyReceived>().is_some_and(BodyReceived::is_complete) {
        Keep::ForTransaction
    } else {
        Keep::No
    };
    let call = Call::new(ctx);
    let caller = admit(&api, &call, &mut parts, keep).await?;
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

/// Hands the head of the request to [`Kernel::admit`](saas_kernel::Kernel::admit).
async fn admit(api: &Api, call: &Arc<Call>, parts: &mut Parts, keep: Keep) -> Result<Option<Caller>, ApiError> {
    let params = match parts.extract::<RawPathParams>().await {
        Ok(params) => Some(params),
        Err(RawPathParamsRejection::InvalidUtf8InPathParam(_)) => {
            return Err(Refusal::new(&codes::MALFORMED_TEXT, "the address is not UTF-8 once it is decoded").into());
        }
        Err(_) => None,
    };
    let mut params = params.iter().flat_map(RawPathParams::iter);
    let workspace = params.find(|(name, _)| *name == "ws").map(|(_, value)| value);
    let head = head(&parts.method, &parts.headers);
    Ok(api.kernel().admit(call, &head, workspace, &api.http().own_origins(), keep).await?)
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
