//! How people get into each other's workspaces.

use reqwest::StatusCode;
use saas_kernel::BoxError;
use serde_json::json;

use crate::{Answer, Caller, TestApp};

/// `by` invites `email` into their workspace.
pub async fn invite(by: &Caller, email: &str, role: &str) -> Result<Answer, BoxError> {
    by.post(&by.at("/invites"), &json!({ "email": email, "role": role })).await
}

/// The token of the newest mail to `email`.
pub fn token(app: &TestApp, email: &str) -> Result<String, BoxError> {
    let mail = app.mails().into_iter().find(|mail| mail.to().as_str() == email).ok_or("a mail")?;
    let token = mail.text().split("?token=").nth(1).and_then(|rest| rest.split_whitespace().next());
    Ok(token.ok_or("a link")?.to_owned())
}

/// `caller` presents the token of an invite.
pub async fn accept(caller: &Caller, token: &str) -> Result<Answer, BoxError> {
    caller.post("/api/v1/invites/accept", &json!({ "token": token })).await
}

/// `name` signs up and joins the workspace of `by`; their own requests then go there.
pub async fn join(app: &TestApp, by: &Caller, name: &str, role: &str) -> Result<Caller, BoxError> {
    let email = format!("{}@example.com", name.to_lowercase());
    invite(by, &email, role).await?.expect(StatusCode::CREATED)?;
    let mut joined = app.sign_up(name).await?;
    accept(&joined, &token(app, &email)?).await?.expect(StatusCode::OK)?;
    joined.workspace.clone_from(&by.workspace);
    Ok(joined)
}

/// The id of whoever calls.
pub async fn user_id(of: &Caller) -> Result<String, BoxError> {
    Ok(of.get("/api/v1/me").await?.body["id"].as_str().ok_or("an id")?.to_owned())
}
