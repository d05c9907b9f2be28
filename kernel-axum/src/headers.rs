//! The head of a request, as the kernel takes it.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use saas_kernel::request::RequestHead;

/// Method and headers for the kernel.
pub(crate) fn head<'a>(method: &'a Method, headers: &'a HeaderMap) -> RequestHead<'a> {
    let pair = |(name, value): (&'a HeaderName, &'a HeaderValue)| (name.as_str(), value.as_bytes());
    RequestHead::new(method.as_str(), headers.iter().map(pair))
}
