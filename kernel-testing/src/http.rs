//! Requests and their answers.

use std::time::Duration;

use reqwest::header::{COOKIE, HeaderMap, HeaderValue};
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, StatusCode};
use saas_kernel::BoxError;
use serde_json::Value;

/// Sends requests to the app.
#[derive(Clone, Debug)]
pub struct HttpClient {
    /// The client. Clones share its cookies.
    pub client: Client,
    /// What precedes every path, such as `http://127.0.0.1:40001`.
    pub base: String,
}

impl HttpClient {
    /// A client of the app at `base`, which keeps the cookies that it is given, and waits for an answer for a minute.
    pub fn new(base: impl Into<String>) -> Self {
        Self::build(base.into(), Client::builder().cookie_store(true))
    }

    /// Sends `cookie` with every request, and keeps none.
    pub(crate) fn with_cookie(base: String, cookie: &str) -> Result<Self, BoxError> {
        let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(cookie)?)]);
        Ok(Self::build(base, Client::builder().default_headers(headers)))
    }

    fn build(base: String, client: ClientBuilder) -> Self {
        // Building fails for settings of TLS only, and there are none.
        Self { client: client.timeout(Duration::from_secs(60)).build().unwrap_or_default(), base }
    }

    /// The same client, with the same cookies, for another app at `base`.
    #[must_use]
    pub fn at_base(&self, base: impl Into<String>) -> Self {
        Self { client: self.client.clone(), base: base.into() }
    }

    /// A request to `path`, to which headers and a body can be added; [`Answer::of`] sends it.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// Sends `GET`.
    ///
    /// # Errors
    /// As [`Answer::of`].
    pub async fn get(&self, path: &str) -> Result<Answer, BoxError> {
        Answer::of(self.request(Method::GET, path)).await
    }

    /// Sends `POST` with a JSON body.
    ///
    /// # Errors
    /// As [`Answer::of`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer, BoxError> {
        Answer::of(self.request(Method::POST, path).json(body)).await
    }

    /// Sends `PATCH` with a JSON body.
    ///
    /// # Errors
    /// As [`Answer::of`].
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Answer, BoxError> {
        Answer::of(self.request(Method::PATCH, path).json(body)).await
    }

    /// Sends `DELETE`.
    ///
    /// # Errors
    /// As [`Answer::of`].
    pub async fn delete(&self, path: &str) -> Result<Answer, BoxError> {
        Answer::of(self.request(Method::DELETE, path)).await
    }
}

/// What came back, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub text: String,
    /// The body as JSON; `null` if it is none.
    pub body: Value,
}

impl Answer {
    /// Sends `request` and reads the whole answer.
    ///
    /// # Errors
    /// If no answer came, or not all of it. A status of failure is no error; see [`Answer::expect`].
    pub async fn of(request: RequestBuilder) -> Result<Self, BoxError> {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        Ok(Self { status, headers, body: serde_json::from_str(&text).unwrap_or_default(), text })
    }

    /// The error code; `""` for a success.
    pub fn code(&self) -> &str {
        self.body.pointer("/error/code").and_then(Value::as_str).unwrap_or_default()
    }

    /// The JSON body, if the status is the expected one.
    ///
    /// # Errors
    /// Shows both statuses and the body if it is another one.
    pub fn expect(self, status: StatusCode) -> Result<Value, BoxError> {
        if self.status == status {
            Ok(self.body)
        } else {
            Err(format!("expected {status}, got {}: {}", self.status, self.text).into())
        }
    }

    /// The JSON body, of a failure without the request id, which differs from call to call.
    pub fn without_request_id(&self) -> Value {
        let mut body = self.body.clone();
        if let Some(id) = body.pointer_mut("/error/request_id") {
            *id = Value::Null;
        }
        body
    }
}
