//! The layer between [`edge`](super::edge) and the handlers of the API. In this order: rate limit by address,
//! authentication and tenant (one look-up), rate limit by workspace, CSRF check, idempotency.

use std::sync::Arc;

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
use saas_kernel::identity::authenticate::{self, Keep, KeyCaller};
use saas_kernel::identity::lookups::WorkspaceRef;
use saas_kernel::secret::Token;
use saas_kernel::{Ctx, Grant, Refusal, codes};

use super::{client_ip, csrf};
use crate::body::BodyReceived;
use crate::error::ApiError;
use crate::state::{Api, BodyLimit};
use crate::{body, cookie, json};

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
    let mut caller = authenticate(&api, ctx, &mut parts, keep).await?;
    if let Some(grant) = caller.grant() {
        api.kernel().rate_limit(Bucket::ApiWorkspace, || grant.workspace().to_string()).await?;
    }
    // A browser never sends an API key by itself.
    if !matches!(caller, Caller::ApiKey(_)) {
        csrf::check(&parts.method, &parts.headers, api.http())?;
    }
    let body = idempotency(&mut parts, body, &mut caller, api.body_limit()).await?;
    parts.extensions.insert(api.body_limit());
    if let Some(grant) = caller.grant() {
        parts.extensions.insert(grant.clone());
    }
    match caller {
        Caller::User(user) => drop(parts.extensions.insert(user.session)),
        Caller::ApiKey(key) => drop(parts.extensions.insert(key.id)),
        Caller::Anonymous => {}
    }
    Ok(next.run(Request::from_parts(parts, body)).await)
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

/// Whose credentials the request has.
enum Caller {
    User(authenticate::Caller),
    ApiKey(KeyCaller),
    Anonymous,
}

impl Caller {
    fn grant(&self) -> Option<&Arc<Grant>> {
        match self {
            Self::User(user) => user.grant.as_ref(),
            Self::ApiKey(key) => key.grant.as_ref(),
            Self::Anonymous => None,
        }
    }

    fn set_idempotency(&mut self, idempotency: IdempotencyKey) {
        match self {
            Self::User(user) => user.set_idempotency(idempotency),
            Self::ApiKey(key) => key.set_idempotency(idempotency),
            Self::Anonymous => {}
        }
    }
}

/// Authenticates the caller and looks up their grant in the workspace of the address. An API key takes precedence over a
/// cookie, because only a key is sent deliberately.
async fn authenticate(api: &Api, ctx: Ctx, parts: &mut Parts, keep: Keep) -> Result<Caller, ApiError> {
    let key = bearer(&parts.headers)?;
    let cookie = cookie::token(&parts.headers, api.http());
    if key.is_none() && cookie.is_none() {
        return Ok(Caller::Anonymous);
    }
    let workspace = match parts.extract::<RawPathParams>().await {
        Ok(params) => params.iter().find(|(name, _)| *name == "ws").map(|(_, value)| value.parse::<WorkspaceRef>()),
        Err(RawPathParamsRejection::InvalidUtf8InPathParam(_)) => {
            return Err(Refusal::new(&codes::MALFORMED_TEXT, "the address is not UTF-8 once it is decoded").into());
        }
        Err(_) => None,
    };
    // Text that cannot name a workspace is answered like a workspace that does not exist.
    let workspace = workspace.and_then(Result::ok);
    if let Some(key) = key {
        let caller = api.kernel().authenticate_key(ctx, &key, workspace.as_ref(), keep).await?;
        let refused = || Refusal::new(&codes::UNAUTHENTICATED, "this API key is unknown, revoked or has expired");
        return Ok(Caller::ApiKey(caller.ok_or_else(refused)?));
    }
    let Some(token) = cookie else { return Ok(Caller::Anonymous) };
    let caller = api.kernel().authenticate(ctx, &token, workspace.as_ref(), keep).await?;
    Ok(caller.map_or(Caller::Anonymous, Caller::User))
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
async fn idempotency(parts: &mut Parts, body: Body, caller: &mut Caller, limit: BodyLimit) -> Result<Body, ApiError> {
    let Some(header) = parts.headers.get("idempotency-key") else { return Ok(body) };
    if parts.method != Method::POST || matches!(caller, Caller::Anonymous) {
        return Ok(body);
    }
    let key = header.to_str().unwrap_or_default().to_owned();
    let bytes = body::read(parts, body, limit).await?;
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    caller.set_idempotency(IdempotencyKey::parse(&key, parts.method.as_str(), path, &bytes)?);
    Ok(Body::from(bytes))
}
