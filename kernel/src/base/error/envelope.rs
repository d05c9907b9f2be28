//! Failures as HTTP shows them: the status of a kind, and the body of every failure.

use serde::Serialize;

use super::refusal::{FieldError, Kind, Refusal};

/// The body of every failure: `{"error": {…}}`.
#[derive(Serialize, Debug)]
pub struct ErrorEnvelope<'a> {
    /// What went wrong and what to do.
    pub error: ErrorBody<'a>,
}

/// What went wrong and what to do.
#[derive(Serialize, Debug)]
pub struct ErrorBody<'a> {
    /// Identifies the kind of failure for programs; it never changes.
    pub code: &'static str,
    /// Tells people which rule was broken and what to do.
    pub message: &'a str,
    /// The invalid fields of the input; empty if the failure is about something else.
    pub fields: &'a [FieldError],
    /// The plan that would allow the request, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<&'a str>,
    /// The value of `X-Request-Id`, for finding the request in the logs.
    pub request_id: &'a str,
    /// The address of the code's description.
    pub docs: String,
}

impl<'a> ErrorEnvelope<'a> {
    /// The envelope of `refusal`.
    pub fn of(refusal: &'a Refusal, request_id: &'a str) -> Self {
        Self {
            error: ErrorBody {
                code: refusal.code(),
                message: refusal.message(),
                fields: refusal.field_errors(),
                plan: refusal.plan(),
                request_id,
                docs: format!("/docs/errors#{}", refusal.code()),
            },
        }
    }
}

impl Refusal {
    /// The value of `Retry-After`, in seconds, if the caller can try again later.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.wait().map(|wait| wait.as_secs().max(1))
    }
}

impl Kind {
    /// The HTTP status (RFC 9110).
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Unauthenticated => 401,
            Self::PaymentRequired => 402,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::MediaType => 415,
            Self::Invalid => 422,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{json, to_value};

    use super::super::refusal::codes;
    use super::*;

    #[test]
    fn a_failure_has_one_shape() {
        let plain = Refusal::new(&codes::CONFLICT, "no");
        assert_eq!(
            to_value(ErrorEnvelope::of(&plain, "req_1")).unwrap(),
            json!({ "error": {
                "code": "conflict", "message": "no", "fields": [], "request_id": "req_1", "docs": "/docs/errors#conflict",
            } })
        );
        let full = Refusal::field("name", "is missing").unlocked_by("starter").retry_after(Duration::from_millis(5));
        assert_eq!(
            to_value(ErrorEnvelope::of(&full, "req_1")).unwrap(),
            json!({ "error": {
                "code": "validation_failed", "message": "`name` is missing",
                "fields": [{ "field": "name", "message": "is missing" }], "plan": "starter",
                "request_id": "req_1", "docs": "/docs/errors#validation_failed",
            } })
        );
        assert_eq!(
            (full.kind().status(), full.retry_after_seconds(), plain.retry_after_seconds()),
            (422, Some(1), None)
        );
    }
}
