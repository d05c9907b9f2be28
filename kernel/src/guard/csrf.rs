//! Prevents cross-site request forgery: a write must come from a page of an allowed origin, or from no page at all.

use crate::base::error::{Refusal, codes};

/// The headers by which browsers tell the page that a request comes from. No page can set any of them.
#[derive(Clone, Copy, Default, Debug)]
pub struct PageHeaders<'a> {
    /// `Sec-Fetch-Site`.
    pub sec_fetch_site: Option<&'a [u8]>,
    /// `Origin`.
    pub origin: Option<&'a [u8]>,
    /// `Host`.
    pub host: Option<&'a [u8]>,
}

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

/// Checks a call with `method` that has a cookie or no credential at all. Calls with another credential need no check, because
/// a browser never sends one by itself. Writes are refused when they come from pages of other origins: by `Sec-Fetch-Site`,
/// else by `Origin` (OWASP CSRF Prevention Cheat Sheet, fetch metadata with origin as the fallback). A caller that sends
/// neither header is not a browser, so nothing makes it send a cookie unintentionally.
///
/// # Errors
/// `cross_origin`.
pub fn check(method: &str, page: &PageHeaders<'_>, own: &OwnOrigins<'_>) -> Result<(), Refusal> {
    if matches!(method, "GET" | "HEAD" | "OPTIONS") {
        return Ok(());
    }
    let of_own_page = page.origin.is_some_and(|origin| own.contain(origin));
    let of_same_host = || {
        let origin = page.origin.and_then(|origin| std::str::from_utf8(origin).ok());
        origin.and_then(|origin| origin.split_once("://")).is_some_and(|(_, host)| Some(host.as_bytes()) == page.host)
    };
    let allowed = match page.sec_fetch_site {
        Some(b"same-origin" | b"none") => true,
        Some(_) => of_own_page,
        None => page.origin.is_none() || of_own_page || of_same_host(),
    };
    if allowed {
        return Ok(());
    }
    let from = page.origin.map_or_else(|| "another site".into(), String::from_utf8_lossy);
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
        let page = |sec_fetch_site: Option<&'static str>, origin: Option<&'static str>| PageHeaders {
            sec_fetch_site: sec_fetch_site.map(str::as_bytes),
            origin: origin.map(str::as_bytes),
            host: Some(b"localhost:3000"),
        };
        let no_host = PageHeaders { origin: Some(b"https://"), ..PageHeaders::default() };
        let unreadable = PageHeaders { origin: Some(b"https://app.example.com\xff"), ..PageHeaders::default() };
        for (page, expect) in [
            (page(None, None), true),
            (page(Some("same-origin"), None), true),
            (page(Some("none"), None), true),
            (page(Some("cross-site"), Some("https://evil.example")), false),
            (page(Some("same-site"), Some("https://blog.example.com")), false),
            (page(Some("same-site"), Some("https://www.example.com")), true),
            (page(Some("cross-site"), None), false),
            (page(Some("nonsense"), None), false),
            (page(None, Some("https://app.example.com")), true),
            (page(None, Some("https://evil.example")), false),
            (page(None, Some("null")), false),
            (page(None, Some("http://localhost:3000")), true),
            (no_host, false),
            (unreadable, false),
        ] {
            for method in ["POST", "PATCH", "DELETE", "PUT", "BREW"] {
                let refused = check(method, &page, &own).err();
                assert_eq!(refused.map(|refusal| refusal.code()), (!expect).then_some("cross_origin"), "{page:?}");
            }
            assert!(check("GET", &page, &own).is_ok());
        }
    }
}
