//! JSON bodies, parsed strictly.

use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use saas_kernel::{Refusal, codes, json};
use serde::de::DeserializeOwned;

use crate::body;
use crate::error::ApiError;
use crate::state::BodyLimit;

/// The body as a JSON object of type `T`. Give `T` `#[serde(deny_unknown_fields)]`, so that a misspelt field is refused
/// instead of ignored. Errors name the field.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            let text = "the body must be JSON; send `Content-Type: application/json`";
            return Err(Refusal::new(&codes::UNSUPPORTED_MEDIA_TYPE, text).into());
        }
        let limit = parts.extensions.get::<BodyLimit>().copied().unwrap_or_default();
        let bytes = body::read(&parts, body, limit).await?;
        Ok(Self(json::parse(&bytes)?))
    }
}

pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let essence =
        headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}
