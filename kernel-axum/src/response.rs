//! Responses of handlers. Each can also be stored, to answer a retry with the same idempotency key.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use saas_kernel::idempotency::StorableResponse;
use saas_kernel::identity::sessions::Session;
use saas_kernel::page::Page;
use saas_kernel::response::StoredResponse;
use saas_kernel::{BoxError, Grant};
use serde::Serialize;
use utoipa::ToSchema;

/// Status 200 with `T` as JSON.
#[derive(Debug)]
pub struct View<T>(pub T);

/// Status 201 with what was created as JSON.
#[derive(Debug)]
pub struct Created<T>(pub T);

/// Status 204 without a body.
#[derive(Clone, Copy, Debug)]
pub struct NoContent;

/// A response with headers of its own, such as `Location` or `ETag`. They are stored with the response and sent to its retries
/// too; cookies, credentials, values that are marked as sensitive and values that are not text are left out.
#[derive(Debug)]
pub struct WithHeaders<R> {
    response: R,
    headers: HeaderMap,
}

impl<R> WithHeaders<R> {
    /// The response, without headers of its own yet.
    pub fn new(response: R) -> Self {
        Self { response, headers: HeaderMap::new() }
    }

    /// Adds a header, beside those of the same name.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }
}

/// One page of a list, as JSON.
#[derive(Serialize, ToSchema, Debug)]
#[non_exhaustive]
pub struct List<T> {
    /// The rows of this page.
    pub items: Vec<T>,
    /// The `cursor` of the next page; `null` on the last one.
    #[schema(required)]
    pub next_cursor: Option<String>,
    /// Whether there is a next page.
    pub has_more: bool,
}

impl<T> List<T> {
    /// A page of a list in a workspace: `list` is its name, to which the cursor is bound, and `view` converts each row.
    pub fn of<R>(grant: &Grant, list: &str, page: Page<R>, view: impl Fn(R) -> T) -> View<Self> {
        let next = grant.next_cursor(list, &page);
        Self::new(page, next, view)
    }

    /// A page of a list of the signed-in user's own; see [`List::of`].
    pub fn of_user<R>(session: &Session, list: &str, page: Page<R>, view: impl Fn(R) -> T) -> View<Self> {
        let next = session.next_cursor(list, &page);
        Self::new(page, next, view)
    }

    fn new<R>(page: Page<R>, next_cursor: Option<String>, view: impl Fn(R) -> T) -> View<Self> {
        let has_more = next_cursor.is_some();
        View(Self { items: page.items.into_iter().map(view).collect(), next_cursor, has_more })
    }
}

impl<T: Serialize> IntoResponse for View<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, axum::Json(self.0)).into_response()
    }
}

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl<R: IntoResponse> IntoResponse for WithHeaders<R> {
    fn into_response(self) -> Response {
        let mut response = self.response.into_response();
        response.headers_mut().extend(self.headers);
        response
    }
}

impl<R: StorableResponse> StorableResponse for WithHeaders<R> {
    fn stored(&self) -> Result<StoredResponse, BoxError> {
        let mut stored = self.response.stored()?;
        for (name, value) in self.headers.iter().filter(|(_, value)| !value.is_sensitive()) {
            if let Ok(value) = value.to_str() {
                stored = stored.header(name.as_str(), value);
            }
        }
        Ok(stored)
    }
}

fn stored(status: StatusCode, body: &impl Serialize) -> Result<StoredResponse, BoxError> {
    Ok(StoredResponse::new(status.as_u16(), serde_json::to_vec(body)?))
}

impl<T: Serialize> StorableResponse for View<T> {
    fn stored(&self) -> Result<StoredResponse, BoxError> {
        stored(StatusCode::OK, &self.0)
    }
}

impl<T: Serialize> StorableResponse for Created<T> {
    fn stored(&self) -> Result<StoredResponse, BoxError> {
        stored(StatusCode::CREATED, &self.0)
    }
}

impl StorableResponse for NoContent {
    fn stored(&self) -> Result<StoredResponse, BoxError> {
        Ok(StoredResponse::new(StatusCode::NO_CONTENT.as_u16(), Vec::new()))
    }
}
