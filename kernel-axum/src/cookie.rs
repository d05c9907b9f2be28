//! The session cookie.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use saas_kernel::secret::Token;

use crate::settings::HttpSettings;

/// The cookie's name. `__Host-` binds the cookie to this host, this path and TLS (RFC 6265bis, section 4.1.3). Without
/// TLS, in development, browsers refuse that prefix.
pub(crate) fn name(settings: &HttpSettings) -> &'static str {
    if settings.secure() { "__Host-session" } else { "session" }
}

/// The session token that the browser sent.
pub(crate) fn token(headers: &HeaderMap, settings: &HttpSettings) -> Option<Token> {
    let name = name(settings).as_bytes();
    // Bytes, not text: another application's cookie that is not ASCII must not hide ours.
    let pairs = headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    let values = pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(name)?.strip_prefix(b"="));
    let value = values.filter_map(|value| std::str::from_utf8(value).ok()).find(|value| !value.is_empty())?;
    Some(Token::presented(value))
}

/// The header that sets the cookie to `token`. It expires with the session's longest life.
pub(crate) fn set(token: &Token, max_age_seconds: i64, settings: &HttpSettings) -> Option<HeaderValue> {
    header(token.expose(), max_age_seconds, settings)
}

/// The header that deletes the cookie.
pub(crate) fn clear(settings: &HttpSettings) -> Option<HeaderValue> {
    header("", 0, settings)
}

fn header(value: &str, max_age: i64, settings: &HttpSettings) -> Option<HeaderValue> {
    let secure = if settings.secure() { "; Secure" } else { "" };
    let text = format!("{}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}", name(settings));
    let mut header = HeaderValue::from_str(&text).ok()?;
    header.set_sensitive(true);
    Some(header)
}
