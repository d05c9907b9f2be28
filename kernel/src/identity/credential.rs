//! The credential of a request, from its headers.

use crate::base::error::{Refusal, codes};
use crate::base::request::RequestHead;
use crate::base::secret::Token;
use crate::identity::api_keys;
use crate::identity::cookie::SessionCookie;

/// A credential that a caller presented, not verified yet. Every kind leads through
/// [`Authenticator`](super::authenticate::Authenticator) to a principal and its entry into a workspace.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Credential {
    /// The token of a session, from its cookie.
    Session(Token),
    /// The token of an API key.
    ApiKey(Token),
}

impl Credential {
    /// The credential of the request `head`; `None` if it has none. An API key takes precedence over a cookie, because only a key
    /// is sent deliberately. Another scheme than `Bearer` (RFC 6750), such as a proxy's, is ignored.
    ///
    /// # Errors
    /// `unauthenticated` for two bearer tokens, or one that is no API key.
    pub fn of_request(head: &RequestHead<'_>, cookie: SessionCookie) -> Result<Option<Self>, Refusal> {
        Ok(match bearer(head)? {
            Some(key) => Some(Self::ApiKey(key)),
            None => cookie.token(head).map(Self::Session),
        })
    }

    /// Whether a browser sends it by itself, so that a write needs the [CSRF check](crate::guard::csrf::check).
    pub fn is_sent_by_browsers(&self) -> bool {
        match self {
            Self::ApiKey(_) => false,
            Self::Session(_) => true,
        }
    }
}

/// The key of `Authorization: Bearer sk_…`.
fn bearer(head: &RequestHead<'_>) -> Result<Option<Token>, Refusal> {
    let mut values = head.all("authorization");
    let Some(value) = values.next().and_then(|value| std::str::from_utf8(value).ok()) else { return Ok(None) };
    let Some((scheme, key)) = value.split_once(' ') else { return Ok(None) };
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    if values.next().is_some() || !key.starts_with(api_keys::PREFIX) {
        let text = "send one `Authorization: Bearer sk_…` with an API key of the workspace";
        return Err(Refusal::new(&codes::UNAUTHENTICATED, text));
    }
    Ok(Some(Token::presented(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The credential as `kind token`, `none`, or the code of the refusal.
    fn credential(authorization: &[&str], cookies: &[&str]) -> String {
        let authorization = authorization.iter().map(|line| ("authorization", line.as_bytes()));
        let cookies = cookies.iter().map(|line| ("cookie", line.as_bytes()));
        let head = RequestHead::new("GET", authorization.chain(cookies));
        let found = Credential::of_request(&head, SessionCookie { secure: false });
        match found {
            Ok(Some(Credential::ApiKey(token))) => format!("key {}", token.expose()),
            Ok(Some(Credential::Session(token))) => format!("session {}", token.expose()),
            Ok(None) => "none".to_owned(),
            Err(refusal) => refusal.code().to_owned(),
        }
    }

    #[test]
    fn a_key_precedes_a_cookie_and_other_schemes_are_ignored() {
        for (authorization, cookies, expect) in [
            (&[][..], &[][..], "none"),
            (&[], &["session=abc"], "session abc"),
            (&["Bearer sk_1"], &[], "key sk_1"),
            (&["bearer sk_1"], &["session=abc"], "key sk_1"),
            (&["Basic dTpw"], &["session=abc"], "session abc"),
            (&["nonsense"], &["session=abc"], "session abc"),
            (&["Bearer eyJhbGciOi"], &["session=abc"], "unauthenticated"),
            (&["Bearer sk_1", "Bearer sk_2"], &[], "unauthenticated"),
            (&["Bearer  sk_1"], &[], "unauthenticated"),
        ] {
            assert_eq!(credential(authorization, cookies), expect, "{authorization:?} {cookies:?}");
        }
    }

    #[test]
    fn only_a_cookie_needs_the_csrf_check() {
        assert!(Credential::Session(Token::presented("a")).is_sent_by_browsers());
        assert!(!Credential::ApiKey(Token::presented("sk_a")).is_sent_by_browsers());
    }
}
