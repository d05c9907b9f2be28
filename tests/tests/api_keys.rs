//! API keys: one workspace, the permissions they were made with, until they are revoked.
#![expect(clippy::indexing_slicing, reason = "a test that indexes wrong fails, as it should")]

use reqwest::{Method, StatusCode};
use saas_kernel::BoxError;
use saas_kernel_tests::{Answer, Caller, TestApp, TestResult, eventually};
use serde_json::{Value, json};

async fn make(by: &Caller, scopes: Value) -> Result<(String, String), BoxError> {
    let new = json!({ "name": "CI", "scopes": scopes });
    let made = by.post(&by.at("/api-keys"), &new).await?.expect(StatusCode::CREATED)?;
    let text = |field: &str| made[field].as_str().unwrap_or_default().to_owned();
    assert!(text("token").starts_with(&text("prefix")) && text("prefix").len() == 11, "{made}");
    Ok((text("id"), text("token")))
}

/// Calls with `key` and no cookie.
async fn call(app: &TestApp, key: &str, method: Method, path: &str, body: Option<Value>) -> Result<Answer, BoxError> {
    let request = app.caller().request(method, path).bearer_auth(key);
    Answer::of(match body {
        Some(body) => request.json(&body),
        None => request,
    })
    .await
}

#[tokio::test]
async fn a_key_does_what_it_was_made_for_until_it_is_revoked() -> TestResult {
    let app = TestApp::start().await?;
    let (ada, eve) = (app.sign_up("Ada").await?, app.sign_up("Eve").await?);
    let (id, key) = make(&ada, json!(["project.read", "project.create", "project.read"])).await?;
    let projects = ada.at("/projects");

    let made = call(&app, &key, Method::POST, &projects, Some(json!({ "name": "By a key" }))).await?;
    let made = made.expect(StatusCode::CREATED)?;
    assert_eq!(made["created_by"], json!({ "type": "api_key", "id": id }));
    let by_id = format!("/api/v1/workspaces/{}/projects", ada.workspace_id);
    call(&app, &key, Method::GET, &by_id, None).await?.expect(StatusCode::OK)?;
    let project = ada.at(&format!("/projects/{}", made["id"].as_str().unwrap_or_default()));
    let refused = call(&app, &key, Method::DELETE, &project, None).await?;
    assert_eq!(refused.code(), "forbidden");
    assert!(refused.text.contains("project.delete"), "{}", refused.text);
    let audit = ada.get(&ada.at(&format!("/audit?actor={id}"))).await?.expect(StatusCode::OK)?;
    assert_eq!(audit["items"][0]["target"]["id"], made["id"]);

    // Another workspace looks like none; what is a person's is not the key's.
    let strange = call(&app, &key, Method::GET, &eve.at("/projects"), None).await?;
    let missing = call(&app, &key, Method::GET, "/api/v1/workspaces/no-such-one/projects", None).await?;
    assert_eq!((strange.status, strange.without_request_id()), (StatusCode::NOT_FOUND, missing.without_request_id()));
    assert_eq!(call(&app, &key, Method::GET, "/api/v1/me", None).await?.code(), "forbidden");

    // A cookie beside it changes nothing, and no browser's rules hold a program up.
    let both = ada.request(Method::POST, &projects).bearer_auth(&key).header("origin", "https://elsewhere.example");
    let both = Answer::of(both.json(&json!({ "name": "Both" }))).await?.expect(StatusCode::CREATED)?;
    assert_eq!(both["created_by"]["type"], "api_key");

    // A retry is the same call.
    let retry = || app.caller().request(Method::POST, &projects).bearer_auth(&key).header("idempotency-key", "retry-1");
    let first = Answer::of(retry().json(&json!({ "name": "Once" }))).await?.expect(StatusCode::CREATED)?;
    assert_eq!(Answer::of(retry().json(&json!({ "name": "Once" }))).await?.expect(StatusCode::CREATED)?, first);

    let list = || async { ada.get(&ada.at("/api-keys")).await?.expect(StatusCode::OK) };
    eventually("the use is noted", || async { Ok(list().await?["items"][0]["last_used_at"].is_string()) }).await?;
    let listed = list().await?;
    assert_eq!(listed["items"][0]["scopes"], json!(["project.create", "project.read"]));
    assert!(!listed.to_string().contains(&key), "the secret is shown once");
    assert_eq!(
        app.count("SELECT count(*) FROM kernel.idempotency_keys WHERE convert_from(body, 'UTF8') LIKE '%sk\\_%'")
            .await?,
        0
    );

    ada.delete(&ada.at(&format!("/api-keys/{id}"))).await?.expect(StatusCode::NO_CONTENT)?;
    let refused = call(&app, &key, Method::GET, &projects, None).await?;
    assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "unauthenticated"));
    assert_eq!(ada.delete(&ada.at(&format!("/api-keys/{id}"))).await?.code(), "not_found");
    assert_eq!(list().await?["items"], json!([]));
    Ok(())
}

#[tokio::test]
async fn nobody_makes_a_key_above_themselves() -> TestResult {
    let app = TestApp::start().await?;
    let (ada, eve) = (app.sign_up("Ada").await?, app.sign_up("Eve").await?);
    let fields = |answer: &Answer| answer.body["error"]["fields"].clone();
    for (body, field) in [
        (json!({ "name": "x", "scopes": [] }), "scopes"),
        (json!({ "name": "", "scopes": ["project.read"] }), "name"),
        (json!({ "name": "x", "scopes": ["project.read", "project.raed"] }), "scopes[1]"),
        (json!({ "name": "x", "scopes": ["project.read"], "expires_at": "2020-01-01T00:00:00Z" }), "expires_at"),
        (json!({ "name": "x", "scopes": ["*"] }), "scopes[0]"),
        (json!({ "name": "x", "scopes": ["project.read"], "role": "owner" }), "role"),
    ] {
        let refused = ada.post(&ada.at("/api-keys"), &body).await?;
        assert_eq!((refused.code(), &fields(&refused)[0]["field"]), ("validation_failed", &json!(field)), "{body}");
    }
    assert_eq!(
        eve.post(&ada.at("/api-keys"), &json!({ "name": "x", "scopes": ["project.read"] })).await?.code(),
        "not_found"
    );

    // A key manages neither keys nor people, whatever it holds.
    let all = json!(["api_key.create", "member.invite", "member.remove", "member.update", "member.list"]);
    let (_, key) = make(&ada, all).await?;
    let me = ada.get("/api/v1/me").await?.body["id"].as_str().unwrap_or_default().to_owned();
    for (method, path, body) in [
        (Method::POST, "/api-keys".to_owned(), json!({ "name": "x", "scopes": ["member.list"] })),
        (Method::POST, "/invites".to_owned(), json!({ "email": "x@example.com", "role": "viewer" })),
        (Method::PATCH, format!("/members/{me}"), json!({ "role": "viewer" })),
        (Method::DELETE, format!("/members/{me}"), json!({})),
        (Method::POST, "/members/leave".to_owned(), json!({})),
    ] {
        let refused = call(&app, &key, method.clone(), &ada.at(&path), Some(body)).await?;
        assert_eq!(refused.code(), "forbidden", "{method} {path}: {}", refused.text);
    }

    let soon = json!({ "name": "Soon over", "scopes": ["project.read"], "expires_at": "2999-01-01T00:00:00Z" });
    let soon = ada.post(&ada.at("/api-keys"), &soon).await?.expect(StatusCode::CREATED)?;
    let soon = soon["token"].as_str().unwrap_or_default();
    call(&app, soon, Method::GET, &ada.at("/projects"), None).await?.expect(StatusCode::OK)?;
    sqlx::query("UPDATE kernel.api_keys SET expires_at = now()").execute(&mut app.db.admin().await?).await?;
    for key in [soon, "sk_unknown", "pat_other", "sk_\u{e9}", ""] {
        let refused = call(&app, key, Method::GET, &ada.at("/projects"), None).await?;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{key}: {}", refused.text);
    }
    Ok(())
}

/// Secrets are not stored: a retry learns of the key that it has, and that its secret was shown.
#[tokio::test]
async fn a_retry_of_a_creation_gets_the_key_without_its_secret() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let create = || {
        let request = ada.request(Method::POST, &ada.at("/api-keys")).header("idempotency-key", "key-1");
        Answer::of(request.json(&json!({ "name": "CI", "scopes": ["project.read"] })))
    };
    let first = create().await?;
    assert!(!first.headers.contains_key("idempotent-replayed"));
    let first = first.expect(StatusCode::CREATED)?;
    assert!(first["token"].is_string() && first["token_was_shown"] == false, "{first}");
    let again = create().await?;
    assert!(again.headers.contains_key("idempotent-replayed"));
    let mut expected = first.clone();
    expected["token"] = json!(null);
    expected["token_was_shown"] = json!(true);
    assert_eq!(again.expect(StatusCode::CREATED)?, expected);
    let token = first["token"].as_str().unwrap_or_default();
    let kept = "SELECT count(*) FROM kernel.idempotency_keys WHERE convert_from(body, 'UTF8') LIKE '%' || $1 || '%'";
    let kept: i64 = sqlx::query_scalar(kept).bind(token).fetch_one(&mut app.db.admin().await?).await?;
    assert_eq!(kept, 0, "the secret is stored nowhere");
    assert_eq!(app.count("SELECT count(*) FROM kernel.api_keys").await?, 1);
    Ok(())
}
