//! The error envelope of every failure. Handlers return [`ApiError`]; the outermost middleware writes the body, as it
//! knows the request id.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use saas_kernel::error::{ErrorEnvelope, Kind};
use saas_kernel::failure::{Failure, refusal_of_status, report};
use saas_kernel::response::StoredResponse;
use saas_kernel::{BoxError, Error, Refusal, StoreError};
use utoipa::ToSchema;

/// The failure of a handler.
#[derive(Debug)]
pub struct ApiError(Failure);

impl ApiError {
    /// Something is broken. The cause is logged; the caller only learns the request id.
    pub fn broken(cause: impl Into<BoxError>) -> Self {
        Self(Failure::Broken(cause.into()))
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self(refusal.into())
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self(error.into())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}

/// The stored response of the first call, marked as `Idempotent-Replayed`.
fn replay(stored: StoredResponse) -> Response {
    let mut headers = HeaderMap::new();
    for (name, value) in &stored.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    if !stored.body.is_empty() {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    }
    headers.insert(HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"));
    let status = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::OK);
    // A body of bytes would bring a content type of its own.
    let mut response = (status, Body::from(stored.body)).into_response();
    response.headers_mut().extend(headers);
    response
}

/// Response extension: the outermost middleware replaces the body with the envelope of this refusal.
#[derive(Clone)]
struct Refused(Refusal);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let refusal = match self.0 {
            Failure::Refused(refusal) => refusal,
            Failure::Broken(error) => report(&*error),
            Failure::Replayed(stored) => return replay(*stored),
        };
        let mut response = status(refusal.kind()).into_response();
        response.extensions_mut().insert(Refused(refusal));
        response
    }
}

/// The refusal that `response` is to show, also of a failure that has only a status, such as one that a product's handler
/// returned; `None` for a success.
pub(crate) fn refusal_of(response: &Response) -> Option<Refusal> {
    let refused = response.extensions().get::<Refused>().map(|Refused(refusal)| refusal.clone());
    refused.or_else(|| refusal_of_status(response.status().as_u16()))
}

/// The HTTP status of a kind of refusal.
pub(crate) fn status(kind: Kind) -> StatusCode {
    StatusCode::from_u16(kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The response with the envelope of `refusal`.
pub(crate) fn envelope(refusal: &Refusal, request_id: &str) -> Response {
    let body = axum::Json(ErrorEnvelope::of(refusal, request_id));
    let mut response = (status(refusal.kind()), body).into_response();
    if let Some(seconds) = refusal.retry_after_seconds() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The body of every failure: `{"error": {…}}`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes saas_kernel::error::ErrorEnvelope, which knows nothing of OpenAPI")]
pub(crate) struct ErrorEnvelopeSchema {
    /// What went wrong and what to do.
    #[schema(value_type = ErrorBodySchema)]
    error: ErrorBodySchema,
}

/// What went wrong and what to do.
#[derive(ToSchema)]
#[schema(as = ErrorBody)]
#[expect(dead_code, reason = "describes saas_kernel::error::ErrorBody, which knows nothing of OpenAPI")]
pub(crate) struct ErrorBodySchema {
    /// Identifies the kind of failure for programs; it never changes.
    #[schema(example = "limit_reached")]
    code: String,
    /// Tells people which rule was broken and what to do.
    message: String,
    /// The invalid fields of the input; empty if the failure is about something else.
    fields: Vec<FieldErrorSchema>,
    /// The plan that would allow the request, if there is one.
    plan: Option<String>,
    /// The value of `X-Request-Id`, for finding the request in the logs.
    request_id: String,
    /// The address of the code's description.
    docs: String,
}

/// One invalid field of an input.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes saas_kernel::error::FieldError, which knows nothing of OpenAPI")]
pub(crate) struct FieldErrorSchema {
    /// The field's path in the input.
    field: String,
    /// The rule it breaks.
    message: String,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;
    use utoipa::PartialSchema;

    use super::*;

    /// The keys of a value's object, or of a schema's properties.
    fn keys(object: &Value) -> Vec<&str> {
        let mut keys: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn the_schemas_have_the_fields_of_the_envelope() {
        let refusal = Refusal::field("name", "is missing").unlocked_by("starter").retry_after(Duration::from_secs(1));
        let envelope = serde_json::to_value(ErrorEnvelope::of(&refusal, "req_1")).unwrap();
        let body = &envelope["error"];
        for (value, schema) in [
            (&envelope, serde_json::to_value(ErrorEnvelopeSchema::schema()).unwrap()),
            (body, serde_json::to_value(ErrorBodySchema::schema()).unwrap()),
            (&body["fields"][0], serde_json::to_value(FieldErrorSchema::schema()).unwrap()),
        ] {
            assert_eq!(keys(value), keys(&schema["properties"]));
        }
    }
}
