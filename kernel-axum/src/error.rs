//! The error envelope of every failure. Handlers return [`ApiError`]; the outermost middleware writes the body, as it
//! knows the request id.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use saas_kernel::error::{BoxError, Explained, FieldError, Kind, Replay};
use saas_kernel::{Error, Refusal, StoreError, codes};
use serde::Serialize;
use utoipa::ToSchema;

/// The failure of a handler.
#[derive(Debug)]
#[non_exhaustive]
pub enum ApiError {
    /// The request was refused; the caller can act on the reason.
    Refused(Refusal),
    /// Something is broken. The cause is logged; the caller only learns the request id.
    Broken(BoxError),
    /// A retry with an idempotency key. The caller gets the stored response of the first request.
    Replayed(Box<saas_kernel::response::StoredResponse>),
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => refusal.into(),
            Error::Store(error) => error.into(),
            Error::Broken(error) => Self::Broken(error),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let soon = std::time::Duration::from_secs(1);
        let retry_soon = |code, text: &'static str| Refusal::new(code, text).retry_after(soon);
        Self::Refused(match error {
            StoreError::Conflict(_) => {
                Refusal::new(&codes::CONFLICT, "the change conflicts with what exists already; read it again")
            }
            StoreError::Reference { field, in_use: false, .. } => {
                Refusal::field(field, "refers to something that does not exist in this workspace")
            }
            StoreError::Reference { table, field, in_use: true } => Refusal::new(
                &codes::CONFLICT,
                format!("`{table}` still refer to it (`{field}`); change or delete those first"),
            ),
            StoreError::Limit(key) => Refusal::new(&codes::LIMIT_REACHED, format!("the plan's `{key}` are used up")),
            StoreError::AccessChanged => Refusal::new(
                &codes::ACCESS_CHANGED,
                "your membership, role or key changed while this call ran, so nothing of it was kept; call again",
            ),
            StoreError::Serialization | StoreError::Locked => {
                retry_soon(&codes::BUSY, "the same rows are being changed by another request; try again in a second")
            }
            StoreError::PoolShareExhausted => retry_soon(
                &codes::BUSY,
                "too many of your calls, or of this workspace, run at once; try again in a second",
            ),
            StoreError::Timeout => {
                retry_soon(&codes::TIMEOUT, "the database took too long; try again, or ask for less at once")
            }
            StoreError::Unavailable(source) => {
                tracing::error!(error = %source, "the database is not available");
                retry_soon(&codes::UNAVAILABLE, "the database is not available at this moment; try again in a second")
            }
            StoreError::Replay(Replay::Response(answer)) => return Self::Replayed(answer),
            StoreError::Replay(Replay::InFlight) => retry_soon(
                &codes::IDEMPOTENCY_IN_FLIGHT,
                "the first request with this Idempotency-Key still runs; repeat it in a second",
            ),
            StoreError::Replay(Replay::Done) => Refusal::new(
                &codes::IDEMPOTENCY_DONE,
                "the first request with this Idempotency-Key succeeded; its answer was not kept, read the resource instead",
            ),
            StoreError::Replay(Replay::OtherRequest) => Refusal::new(
                &codes::IDEMPOTENCY_KEY_REUSED,
                "this Idempotency-Key belongs to a request with another method, address or body; use a new one",
            ),
            // `Scope` and `Backend`, and what a newer kernel may add: the caller cannot act on it.
            _ => return Self::Broken(Box::new(error)),
        })
    }
}

/// Response extension: the outermost middleware replaces the body with the envelope of this refusal.
#[derive(Clone)]
pub(crate) struct Failure(pub(crate) Refusal);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let refusal = match self {
            Self::Refused(refusal) => refusal,
            Self::Broken(error) => {
                tracing::error!(error = %Explained(&*error), "a request failed");
                Refusal::new(&codes::INTERNAL, "something broke on our side; the request id helps support to find it")
            }
            Self::Replayed(answer) => {
                let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
                let headers = [
                    (CONTENT_TYPE, HeaderValue::from_static("application/json")),
                    (HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true")),
                ];
                return (status, headers, answer.body).into_response();
            }
        };
        let mut response = status(refusal.kind()).into_response();
        response.extensions_mut().insert(Failure(refusal));
        response
    }
}

/// The HTTP status of a kind of refusal.
pub fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Malformed => StatusCode::BAD_REQUEST,
        Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::PaymentRequired => StatusCode::PAYMENT_REQUIRED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Kind::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        // `Internal`, and what a newer kernel may add. `docs/errors.md` shows the status of every code.
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The body of every failure: `{"error": {…}}`.
#[derive(Serialize, ToSchema, Debug)]
#[non_exhaustive]
pub struct ErrorEnvelope {
    /// What went wrong and what to do.
    pub error: ErrorBody,
}

/// What went wrong and what to do.
#[derive(Serialize, ToSchema, Debug)]
#[non_exhaustive]
pub struct ErrorBody {
    /// Identifies the kind of failure for programs; it never changes.
    #[schema(example = "limit_reached")]
    pub code: String,
    /// Tells people which rule was broken and what to do.
    pub message: String,
    /// The invalid fields of the input; empty if the failure is about something else.
    #[schema(value_type = Vec<FieldErrorSchema>)]
    pub fields: Vec<FieldError>,
    /// The plan that would allow the request, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The value of `X-Request-Id`, for finding the request in the logs.
    pub request_id: String,
    /// The address of the code's description.
    pub docs: String,
}

/// One invalid field of an input.
#[derive(Serialize, ToSchema)]
pub(crate) struct FieldErrorSchema {
    /// The field's path in the input.
    pub(crate) field: String,
    /// The rule it breaks.
    pub(crate) message: String,
}

/// The response with the envelope of `refusal`.
pub(crate) fn envelope(refusal: &Refusal, request_id: &str) -> Response {
    let body = ErrorEnvelope {
        error: ErrorBody {
            code: refusal.code().to_owned(),
            message: refusal.message().to_owned(),
            fields: refusal.field_errors().to_vec(),
            plan: refusal.plan().map(str::to_owned),
            request_id: request_id.to_owned(),
            docs: format!("/docs/errors#{}", refusal.code()),
        },
    };
    let mut response = (status(refusal.kind()), axum::Json(body)).into_response();
    if let Some(wait) = refusal.wait() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    response
}

/// The refusal for a failure that has only a status, such as one that a product's handler returned.
pub(crate) fn refusal_of_status(status: StatusCode) -> Option<Refusal> {
    let code = match status {
        StatusCode::NOT_FOUND => &codes::NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED => &codes::METHOD_NOT_ALLOWED,
        StatusCode::PAYLOAD_TOO_LARGE => &codes::PAYLOAD_TOO_LARGE,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => &codes::UNSUPPORTED_MEDIA_TYPE,
        StatusCode::REQUEST_TIMEOUT => &codes::REQUEST_TIMEOUT,
        StatusCode::UNAUTHORIZED => &codes::UNAUTHENTICATED,
        StatusCode::FORBIDDEN => &codes::FORBIDDEN,
        StatusCode::CONFLICT => &codes::CONFLICT,
        StatusCode::TOO_MANY_REQUESTS => &codes::RATE_LIMITED,
        StatusCode::UNPROCESSABLE_ENTITY => &codes::VALIDATION_FAILED,
        StatusCode::SERVICE_UNAVAILABLE => &codes::UNAVAILABLE,
        status if status.is_client_error() => &codes::BAD_REQUEST,
        status if status.is_server_error() => &codes::INTERNAL,
        _ => return None,
    };
    Some(Refusal::new(code, code.help))
}
