//! `GET /dev/mail`: the mails that a development mailer kept instead of sending. They contain secrets.

use axum::extract::State;
use axum::response::Html;
use axum::routing::get;
use axum::{Json, Router};
use saas_kernel::memory::mailer::MemoryMailer;
use serde_json::{Value, json};

use crate::openapi::escape;

/// `/dev/mail` as a page and `/dev/mail.json` as JSON.
pub(crate) fn routes(mailer: MemoryMailer) -> Router {
    Router::new().route("/dev/mail", get(page)).route("/dev/mail.json", get(list)).with_state(mailer)
}

async fn list(State(mailer): State<MemoryMailer>) -> Json<Value> {
    let mails = mailer.mails();
    let items: Vec<Value> = mails
        .iter()
        .map(|mail| json!({ "to": mail.to().as_str(), "subject": mail.subject(), "text": mail.text() }))
        .collect();
    Json(json!({ "items": items }))
}

async fn page(State(mailer): State<MemoryMailer>) -> Html<String> {
    let mut html = "<!doctype html><html lang=en><meta charset=utf-8><title>Mail</title><h1>Mail, newest first</h1>\
        <p>An invite's link leads to a page of your front end. Without one, its addressee signs in and sends \
        <code>POST /api/v1/invites/accept {\"token\": \"inv_…\"}</code>.</p>"
        .to_owned();
    for mail in mailer.mails() {
        let (to, subject, text) = (escape(mail.to().as_str()), escape(mail.subject()), escape(mail.text()));
        html.push_str(&format!("<h2>{subject}</h2><p>to {to}</p><pre>{text}</pre>"));
    }
    Html(html)
}
