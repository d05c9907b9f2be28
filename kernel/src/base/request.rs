//! The head of an HTTP request, as any framework can hand it over.

/// Method and headers of a request. Header values are bytes, because not all are text.
#[derive(Clone, Debug)]
pub struct RequestHead<'a> {
    method: &'a str,
    headers: Vec<(&'a str, &'a [u8])>,
}

impl<'a> RequestHead<'a> {
    /// Takes the method, such as `POST`, and all headers, each as name and value, in their order.
    pub fn new(method: &'a str, headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        Self { method, headers: headers.into_iter().collect() }
    }

    /// The method.
    pub fn method(&self) -> &'a str {
        self.method
    }

    /// All values of the header `name`, in their order.
    pub fn all(&self, name: &str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// The first value of the header `name`.
    pub fn first(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_whatever_their_case_and_in_order() {
        let headers = [("Cookie", &b"a"[..]), ("host", b"h"), ("cookie", b"b")];
        let head = RequestHead::new("GET", headers);
        assert_eq!(head.all("COOKIE").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!((head.first("cookie"), head.first("origin")), (Some(&b"a"[..]), None));
    }
}
