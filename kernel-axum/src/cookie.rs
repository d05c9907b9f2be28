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
    let name = name(settings);
    let pairs =
        headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    let value = pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(key, _)| *key == name)?.1;
    (!value.is_empty()).then(|| Token::presented(value))
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
