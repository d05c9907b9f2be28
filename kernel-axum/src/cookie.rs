//! The session cookie.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use saas_kernel::secret::Token;

use crate::settings::HttpSettings;

/// `__Host-` binds the cookie to this host, this path and TLS (RFC 6265bis, section 4.1.3). Without TLS, in development,
/// no browser takes that prefix.
pub(crate) fn name(settings: &HttpSettings) -> &'static str {
    if settings.secure() { "__Host-session" } else { "session" }
}

/// The token the browser sent.
pub(crate) fn token(headers: &HeaderMap, settings: &HttpSettings) -> Option<Token> {
    let name = name(settings).as_bytes();
    // Bytes, not text: a cookie of somebody else's that is not ASCII must not take ours along.
    let pairs = headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    let values = pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(name)?.strip_prefix(b"="));
    let value = values.filter_map(|value| std::str::from_utf8(value).ok()).find(|value| !value.is_empty())?;
    Some(Token::presented(value))
}

/// Sets the cookie to `token`; it lasts as long as the session may.
pub(crate) fn set(token: &Token, max_age_seconds: i64, settings: &HttpSettings) -> Option<HeaderValue> {
    header(token.expose(), max_age_seconds, settings)
}

/// Makes the browser forget it.
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
