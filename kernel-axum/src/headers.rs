//! Headers as the kernel takes them: bytes, because not all are text.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// All values of the header `name`, in their order.
pub(crate) fn lines<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl DoubleEndedIterator<Item = &'a [u8]> {
    headers.get_all(name).iter().map(HeaderValue::as_bytes)
}
