//! The outermost layer. It gives every response a request id and security headers, and every failure the error envelope,
//! also after a panic or a timeout.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::body::HttpBody;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt;
use saas_kernel::{Ctx, Refusal, codes};
use tracing::Instrument;

use crate::body::BodyReceived;
use crate::error::{envelope, refusal_of};
use crate::headers::head;
use crate::settings::HttpSettings;
use crate::state::Api;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(crate) async fn edge(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let ctx = ctx(&api, &request);
    let (id, method) = (ctx.request_id.clone(), request.method().clone());
    // The route's pattern, not the address: ids in addresses would make every value unique.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!("request", %id, %method, route);
    let received = BodyReceived::new(request.body().is_end_stream());
    request.extensions_mut().insert(ctx);
    request.extensions_mut().insert(received.clone());
    let work = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span.clone());
    let mut response = match tokio::time::timeout(api.http().request_timeout, work).await {
        Ok(Ok(response)) => with_envelope(response, &id),
        Ok(Err(_panic)) => {
            span.in_scope(|| tracing::error!("a handler panicked"));
            envelope(
                &Refusal::new(&codes::INTERNAL, "something broke on our side; the request id helps support to find it"),
                &id,
            )
        }
        Err(_elapsed) => envelope(&timed_out(&received, api.http().request_timeout), &id),
    };
    set_headers(response.headers_mut(), &id, api.http());
    span.in_scope(|| {
        tracing::info!(status = response.status().as_u16(), ms = began.elapsed().as_secs_f64() * 1e3, "answered")
    });
    response
}

/// The refusal of a request that took longer than `limit`, which tells a slow client from a slow server.
fn timed_out(received: &BodyReceived, limit: Duration) -> Refusal {
    let seconds = limit.as_secs();
    if received.is_complete() {
        let text = format!("the answer was not ready after {seconds} s; try again in a second");
        Refusal::new(&codes::TIMEOUT, text).retry_after(Duration::from_secs(1))
    } else {
        Refusal::new(&codes::REQUEST_TIMEOUT, format!("the request was not complete after {seconds} s"))
    }
}

/// The context of the request: its time, its id, its trace and the client's address.
fn ctx(api: &Api, request: &Request) -> Ctx {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    api.kernel().ctx_of_request(peer, &head(request.method(), request.headers()), &api.http().trusted_proxies)
}

/// Replaces the body of a failure with the envelope, also of a failure that has only a status.
fn with_envelope(response: Response, id: &str) -> Response {
    let Some(refusal) = refusal_of(&response) else { return response };
    // Keep headers such as CORS, `Allow` and cookies; remove what describes the old body.
    let (mut parts, _) = response.into_parts();
    let (new, body) = envelope(&refusal, id).into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.extend(new.headers);
    Response::from_parts(parts, body)
}

/// Sets the request id, and those security headers that the response does not have.
fn set_headers(headers: &mut HeaderMap, id: &str, settings: &HttpSettings) {
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    let mut default = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    default(X_CONTENT_TYPE_OPTIONS, "nosniff");
    default(X_FRAME_OPTIONS, "DENY");
    default(REFERRER_POLICY, "strict-origin-when-cross-origin");
    default(CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
    default(CACHE_CONTROL, "no-store");
    if settings.secure() {
        default(STRICT_TRANSPORT_SECURITY, "max-age=63072000; includeSubDomains");
    }
}
