//! The session cookie, as text. It is the same whatever serves HTTP, so that several servers can share sessions.

use crate::base::request::RequestHead;
use crate::base::secret::Token;
use crate::identity::sessions::SessionLife;

/// Name and attributes of the session cookie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionCookie {
    /// Whether browsers reach the product over TLS. Without it cookies cannot be `Secure`, which is for development only.
    pub secure: bool,
}

impl SessionCookie {
    /// The cookie of a product that browsers reach at `public_url`.
    pub fn of(public_url: &str) -> Self {
        Self { secure: public_url.starts_with("https://") }
    }

    /// The cookie's name. `__Host-` binds the cookie to this host, this path and TLS (RFC 6265bis, section 4.1.3). Without TLS
    /// browsers refuse that prefix.
    pub fn name(self) -> &'static str {
        if self.secure { "__Host-session" } else { "session" }
    }

    /// The session token that the browser sent. Cookies are read as bytes: another application's that is not ASCII must not hide
    /// ours.
    pub fn token(self, head: &RequestHead<'_>) -> Option<Token> {
        let name = self.name().as_bytes();
        let pairs = head.all("cookie").flat_map(|line| line.split(|byte| *byte == b';'));
        let values = pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(name)?.strip_prefix(b"="));
        let value = values.filter_map(|value| std::str::from_utf8(value).ok()).find(|value| !value.is_empty())?;
        Some(Token::presented(value))
    }

    /// The value of the `Set-Cookie` header that sets the cookie to `token`. It expires with the longest life of a session.
    pub fn set(self, token: &Token, life: SessionLife) -> String {
        self.value(token.expose(), life.absolute.num_seconds())
    }

    /// The value of the `Set-Cookie` header that deletes the cookie.
    pub fn clear(self) -> String {
        self.value("", 0)
    }

    fn value(self, token: &str, max_age_seconds: i64) -> String {
        let (name, secure) = (self.name(), if self.secure { "; Secure" } else { "" });
        format!("{name}={token}; Path=/; Max-Age={max_age_seconds}; HttpOnly; SameSite=Lax{secure}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: SessionCookie = SessionCookie { secure: false };

    #[test]
    fn the_cookie_is_bound_to_host_path_and_tls() {
        let (token, life) = (Token::presented("secret"), SessionLife::default());
        let set = SessionCookie::of("https://app.example.com").set(&token, life);
        assert_eq!(set, "__Host-session=secret; Path=/; Max-Age=7776000; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(
            SessionCookie::of("http://localhost").set(&token, life),
            "session=secret; Path=/; Max-Age=7776000; HttpOnly; SameSite=Lax"
        );
        assert_eq!(PLAIN.clear(), "session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn the_token_is_found_among_other_cookies() {
        for (cookies, expect) in [
            (&[&b"session=abc"[..]][..], Some("abc")),
            (&[b"theme=gr\xfcn; session=; session=abc"], Some("abc")),
            (&[b"a=b", b" session=abc ;c=d"], Some("abc")),
            (&[b"session=\xff; session=abc"], Some("abc")),
            (&[b"xsession=abc; sessions=abc; session"], None),
            (&[b"__Host-session=abc"], None),
            (&[], None),
        ] {
            let token = PLAIN.token(&RequestHead::new("GET", cookies.iter().map(|line| ("cookie", *line))));
            assert_eq!(token.as_ref().map(Token::expose), expect, "{cookies:?}");
        }
    }
}
