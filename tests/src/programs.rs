//! How programs get keys, and call with them.

use reqwest::{Method, StatusCode};
use saas_kernel::BoxError;
use serde_json::{Value, json};

use crate::{Answer, Caller, TestApp};

/// `by` asks for a key of their workspace with `scopes`.
pub async fn ask_for_key(by: &Caller, scopes: &[&str]) -> Result<Answer, BoxError> {
    by.post(&by.at("/api-keys"), &json!({ "name": "A program", "scopes": scopes })).await
}

/// The token of a new key.
pub async fn key(by: &Caller, scopes: &[&str]) -> Result<String, BoxError> {
    token(&ask_for_key(by, scopes).await?.expect(StatusCode::CREATED)?)
}

/// The token in the answer that a key was made with.
pub fn token(made: &Value) -> Result<String, BoxError> {
    Ok(made["token"].as_str().ok_or("a token")?.to_owned())
}

/// Reads `path` with `key` and no cookie.
pub async fn get_with(app: &TestApp, key: &str, path: &str) -> Result<Answer, BoxError> {
    Answer::of(app.caller().request(Method::GET, path).bearer_auth(key)).await
}
