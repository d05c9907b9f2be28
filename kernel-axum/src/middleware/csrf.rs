//! Prevents cross-site request forgery: a write must come from a page of an allowed origin, or from no page at all.

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Method};
use saas_kernel::{Refusal, codes};

use crate::settings::HttpSettings;

/// Refuses writes that come from pages of other origins: by `Sec-Fetch-Site`, else by `Origin` (OWASP CSRF Prevention
/// Cheat Sheet, fetch metadata with origin as the fallback). No page can set either header. A caller that sends
/// neither is not a browser, so nothing makes it send a cookie unintentionally.
pub(crate) fn check(method: &Method, headers: &HeaderMap, settings: &HttpSettings) -> Result<(), Refusal> {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let origin = header(ORIGIN.as_str());
    let own = origin.is_some_and(|origin| settings.is_own_origin(origin));
    let same_host = || {
        let host = header(HOST.as_str());
        origin.and_then(|origin| origin.split_once("://")).is_some_and(|(_, rest)| Some(rest) == host)
    };
    let allowed = match header("sec-fetch-site") {
        Some("same-origin" | "none") => true,
        Some(_) => own,
        None => origin.is_none() || own || same_host(),
    };
    if allowed {
        return Ok(());
    }
    let from = origin.unwrap_or("another site");
    let text = format!(
        "this write comes from a page of {from}; call from {}, or add that origin to `allowed_origins`",
        settings.public_url
    );
    Err(Refusal::new(&codes::CROSS_ORIGIN, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_comes_from_a_page_of_ours_or_from_no_page() {
        let settings =
            HttpSettings::new("https://app.example.com").unwrap().allow_origins("https://www.example.com").unwrap();
        for (headers, expect) in [
            (&[][..], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")], false),
            (&[("sec-fetch-site", "same-site"), ("origin", "https://blog.example.com")], false),
            (&[("sec-fetch-site", "same-site"), ("origin", "https://www.example.com")], true),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "nonsense")], false),
            (&[("origin", "https://app.example.com")], true),
            (&[("origin", "https://evil.example")], false),
            (&[("origin", "null")], false),
            (&[("origin", "http://localhost:3000"), ("host", "localhost:3000")], true),
        ] {
            let headers: HeaderMap = headers.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect();
            for method in [Method::POST, Method::PATCH, Method::DELETE, Method::PUT] {
                assert_eq!(check(&method, &headers, &settings).is_ok(), expect, "{headers:?}");
            }
            assert!(check(&Method::GET, &headers, &settings).is_ok());
        }
    }
}
