//! Responses as they are stored under an idempotency key.

/// Headers that are never stored: secrets, and what belongs to one connection or one response only.
const NOT_STORED: [&str; 17] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "date",
    "idempotent-replayed",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
    "x-request-id",
];

/// A response that is stored for retries of its request. Its body must not hold a secret.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct StoredResponse {
    /// Status of the response, such as 201.
    pub status: u16,
    /// Names, in lower case, and values of the headers that the handler set, such as `location` and `etag`.
    pub headers: Vec<(String, String)>,
    /// Body of the response.
    pub body: Vec<u8>,
}

impl StoredResponse {
    /// Creates a response without headers.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// Adds a header. Cookies, credentials and headers of one connection or response (`Set-Cookie`, `Authorization`,
    /// `Content-Length`, `Date`, `X-Request-Id` and the like) are left out: a retry gets its own.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = name.to_ascii_lowercase();
        if !NOT_STORED.contains(&name.as_str()) {
            self.headers.push((name, value.to_owned()));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_headers_of_one_connection_are_not_stored() {
        let mut response = StoredResponse::new(201, "{}").header("Location", "/a").header("ETag", "\"1\"");
        for name in NOT_STORED {
            response = response.header(name, "x").header(&name.to_ascii_uppercase(), "x");
        }
        let kept = [("location", "/a"), ("etag", "\"1\"")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(response.headers, kept);
    }
}
