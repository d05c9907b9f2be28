//! The layer between [`edge`](super::edge) and the handlers of the API. In this order: rate limit by address,
//! authentication and tenant (one look-up), rate limit by workspace, CSRF check, idempotency.

use std::sync::Arc;

use axum::RequestPartsExt;
use axum::body::{Body, HttpBody};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE, HOST, HeaderName, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use saas_kernel::guard::csrf::{self, PageHeaders};
use saas_kernel::idempotency::IdempotencyKey;
use saas_kernel::identity::authenticate::{self, Keep, KeyCaller};
use saas_kernel::identity::credential::Credential;
use saas_kernel::identity::lookups::WorkspaceRef;
use saas_kernel::{Ctx, Grant, Refusal, codes};

use crate::body::BodyReceived;
use crate::error::ApiError;
use crate::headers::lines;
use crate::state::{Api, BodyLimit};
use crate::{body, json};

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
    let headers = &parts.headers;
    let (authorization, cookies) = (lines(headers, &AUTHORIZATION), lines(headers, &COOKIE));
    let credential = Credential::from_headers(authorization, cookies, api.http().cookie())?;
    let needs_csrf_check = credential.as_ref().is_none_or(Credential::is_sent_by_browsers);
    let mut caller = authenticate(&api, ctx, &mut parts, credential, keep).await?;
    if let Some(grant) = caller.grant() {
        api.kernel().limit_calls_in_workspace(grant.workspace()).await?;
    }
    if needs_csrf_check {
        csrf::check(parts.method.as_str(), &page_headers(&parts.headers), &api.http().own_origins())?;
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

/// Authenticates the caller and looks up their grant in the workspace of the address.
async fn authenticate(
    api: &Api,
    ctx: Ctx,
    parts: &mut Parts,
    credential: Option<Credential>,
    keep: Keep,
) -> Result<Caller, ApiError> {
    let Some(credential) = credential else { return Ok(Caller::Anonymous) };
    let workspace = match parts.extract::<RawPathParams>().await {
        Ok(params) => params.iter().find(|(name, _)| *name == "ws").and_then(|(_, value)| WorkspaceRef::in_url(value)),
        Err(RawPathParamsRejection::InvalidUtf8InPathParam(_)) => {
            return Err(Refusal::new(&codes::MALFORMED_TEXT, "the address is not UTF-8 once it is decoded").into());
        }
        Err(_) => None,
    };
    match credential {
        Credential::ApiKey(key) => {
            let caller = api.kernel().authenticate_key(ctx, &key, workspace.as_ref(), keep).await?;
            let refused = || Refusal::new(&codes::UNAUTHENTICATED, "this API key is unknown, revoked or has expired");
            Ok(Caller::ApiKey(caller.ok_or_else(refused)?))
        }
        Credential::Session(token) => {
            let caller = api.kernel().authenticate(ctx, &token, workspace.as_ref(), keep).await?;
            Ok(caller.map_or(Caller::Anonymous, Caller::User))
        }
    }
}

fn page_headers(headers: &HeaderMap) -> PageHeaders<'_> {
    let header = |name: HeaderName| headers.get(name).map(HeaderValue::as_bytes);
    PageHeaders {
        sec_fetch_site: header(HeaderName::from_static("sec-fetch-site")),
        origin: header(ORIGIN),
        host: header(HOST),
    }
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
