//! Prevents cross-site request forgery: a write must come from a page of an allowed origin, or from no page at all.

use crate::base::error::{Refusal, codes};
use crate::base::request::RequestHead;

/// The origins whose pages may write with the user's cookie.
#[derive(Clone, Copy, Debug)]
pub struct OwnOrigins<'a> {
    /// The origin at which browsers reach the product, such as `https://app.example.com`.
    pub public_url: &'a str,
    /// Other origins that are allowed.
    pub allowed: &'a [String],
}

impl OwnOrigins<'_> {
    fn contain(&self, origin: &[u8]) -> bool {
        origin == self.public_url.as_bytes() || self.allowed.iter().any(|allowed| allowed.as_bytes() == origin)
    }
}

/// Checks a request that has a cookie or no credential at all; a browser sends no other credential by itself. Writes are refused
/// when they come from pages of other origins: by `Sec-Fetch-Site`, else by `Origin` (OWASP CSRF Prevention Cheat Sheet, fetch
/// metadata with origin as the fallback). No page can set either header. A caller that sends neither is not a browser, so
/// nothing makes it send a cookie unintentionally.
///
/// # Errors
/// `cross_origin`.
pub fn check(head: &RequestHead<'_>, own: &OwnOrigins<'_>) -> Result<(), Refusal> {
    if matches!(head.method(), "GET" | "HEAD" | "OPTIONS") {
        return Ok(());
    }
    let origin = head.first("origin");
    let of_own_page = origin.is_some_and(|origin| own.contain(origin));
    let of_same_host = || {
        let origin = origin.and_then(|origin| std::str::from_utf8(origin).ok()?.split_once("://"));
        origin.is_some_and(|(_, host)| Some(host.as_bytes()) == head.first("host"))
    };
    let allowed = match head.first("sec-fetch-site") {
        Some(b"same-origin" | b"none") => true,
        Some(_) => of_own_page,
        None => origin.is_none() || of_own_page || of_same_host(),
    };
    if allowed {
        return Ok(());
    }
    let from = origin.map_or_else(|| "another site".into(), String::from_utf8_lossy);
    let text = format!(
        "this write comes from a page of {from}; call from {}, or add that origin to `allowed_origins`",
        own.public_url
    );
    Err(Refusal::new(&codes::CROSS_ORIGIN, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_comes_from_a_page_of_ours_or_from_no_page() {
        let allowed = ["https://www.example.com".to_owned()];
        let own = OwnOrigins { public_url: "https://app.example.com", allowed: &allowed };
        let (site, origin) = ("sec-fetch-site", "origin");
        for (headers, expect) in [
            (&[][..], true),
            (&[(site, "same-origin")], true),
            (&[(site, "none")], true),
            (&[(site, "cross-site"), (origin, "https://evil.example")], false),
            (&[(site, "same-site"), (origin, "https://blog.example.com")], false),
            (&[(site, "same-site"), (origin, "https://www.example.com")], true),
            (&[(site, "cross-site")], false),
            (&[(site, "nonsense")], false),
            (&[(origin, "https://app.example.com")], true),
            (&[(origin, "https://app.example.com.evil.example")], false),
            (&[(origin, "https://evil.example")], false),
            (&[(origin, "null")], false),
            (&[(origin, "https://")], false),
            (&[(origin, "http://localhost:3000"), ("host", "localhost:3000")], true),
            (&[(origin, "http://localhost:3000"), ("host", "localhost:3001")], false),
        ] {
            let head = |method| RequestHead::new(method, headers.iter().map(|(name, value)| (*name, value.as_bytes())));
            for method in ["POST", "PATCH", "DELETE", "PUT", "BREW"] {
                let refused = check(&head(method), &own).err();
                assert_eq!(refused.map(|refusal| refusal.code()), (!expect).then_some("cross_origin"), "{headers:?}");
            }
            assert!(check(&head("GET"), &own).is_ok());
        }
        let unreadable = RequestHead::new("POST", [(origin, &b"https://app.example.com\xff"[..])]);
        assert!(check(&unreadable, &own).is_err());
    }
}
