//! Bad input: each its own 4xx in the envelope, never a 500, nothing written.

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use saas_kernel_tests::{Answer, TestApp, TestResult};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ROWS: &str = "SELECT (SELECT count(*) FROM tracker.projects) + (SELECT count(*) FROM kernel.audit_log)
    + (SELECT count(*) FROM kernel.outbox) + (SELECT count(*) FROM kernel.workspaces) + (SELECT count(*) FROM kernel.users)
    + (SELECT count(*) FROM kernel.idempotency_keys)";

fn is_envelope(answer: &Answer) -> bool {
    let Some(error) = answer.body.get("error") else { return false };
    let text = |key: &str| error.get(key).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    text("code")
        && text("message")
        && text("docs")
        && error.get("fields").is_some_and(Value::is_array)
        && error.get("request_id").and_then(Value::as_str)
            == answer.headers.get("x-request-id").and_then(|id| id.to_str().ok())
}

#[tokio::test]
async fn bodies() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let before = app.count(ROWS).await?;
    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(201));
    let huge = vec![b' '; 1024 * 1024 + 1];
    for (body, status, code, field) in [
        (&b"{"[..], 400, "malformed_json", ""),
        (b"", 400, "malformed_json", ""),
        (b"\xff\xfe", 400, "malformed_text", ""),
        (b"{\"name\":\"\xff\"}", 400, "malformed_text", ""),
        (br#"{"name":"a\u0000b"}"#, 400, "malformed_text", ""),
        (b"[]", 422, "validation_failed", "body"),
        (br#"["Array"]"#, 422, "validation_failed", "body"),
        (b"null", 422, "validation_failed", "body"),
        (b"{}", 422, "validation_failed", "name"),
        (br#"{"name":1}"#, 422, "validation_failed", "name"),
        (br#"{"name":""}"#, 422, "validation_failed", "name"),
        (br#"{"name":"a\nb"}"#, 422, "validation_failed", "name"),
        (br#"{"name":"a","colour":"red"}"#, 422, "validation_failed", "colour"),
        (br#"{"name":"a","workspace_id":"ws_01h455vb4pex5vsknk084sn02q"}"#, 422, "validation_failed", "workspace_id"),
        (long.as_bytes(), 422, "validation_failed", "name"),
        (&huge, 413, "payload_too_large", ""),
    ] {
        let shown = String::from_utf8_lossy(body).chars().take(60).collect::<String>();
        let request = ada.request(Method::POST, &ada.at("/projects")).header(CONTENT_TYPE, "application/json");
        let answer = Answer::of(request.body(body.to_vec())).await?;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{shown}: {}", answer.text);
        assert!(is_envelope(&answer), "{shown}: {}", answer.text);
        let named = answer.body["error"]["fields"][0]["field"].as_str().unwrap_or_default();
        assert_eq!(named, field, "{shown}");
    }
    let wrong_type = ada.request(Method::POST, &ada.at("/projects")).header(CONTENT_TYPE, "text/plain").body("{}");
    let answer = Answer::of(wrong_type).await?;
    assert_eq!((answer.status.as_u16(), answer.code()), (415, "unsupported_media_type"));
    assert_eq!(app.count(ROWS).await?, before, "nothing was written");
    Ok(())
}

#[tokio::test]
async fn addresses_and_queries() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let before = app.count(ROWS).await?;
    let page = ada.get(&ada.at("/projects?limit=1")).await?.expect(StatusCode::OK)?;
    assert_eq!(page["next_cursor"], Value::Null);
    for n in 2..=3 {
        ada.create_project(&format!("Project {n}")).await?.expect(StatusCode::CREATED)?;
    }
    let rows_now = app.count(ROWS).await?;
    assert_eq!(rows_now, before + 6);
    let page = ada.get(&ada.at("/projects?limit=1")).await?.expect(StatusCode::OK)?;
    let cursor = page["next_cursor"].as_str().ok_or("a cursor")?.to_owned();
    let second = ada.get(&ada.at(&format!("/projects?limit=1&cursor={cursor}"))).await?.expect(StatusCode::OK)?;
    assert_eq!((second["items"][0]["name"].as_str(), &second["has_more"]), (Some("Project 2"), &true.into()));
    let turned: String = cursor[20..21].chars().map(|c| if c == 'x' { 'y' } else { 'x' }).collect();
    let forged = format!("{}{turned}{}", &cursor[..20], &cursor[21..]);
    let eve = app.sign_up("Eve").await?;
    let projects = ada.at("/projects");
    for (path, status, code) in [
        (format!("{projects}?limit=0"), 422, "validation_failed"),
        (format!("{projects}?limit=101"), 422, "validation_failed"),
        (format!("{projects}?limit=many"), 422, "validation_failed"),
        (format!("{projects}?limit=1&limit=2"), 422, "validation_failed"),
        (format!("{projects}?sort=name"), 422, "validation_failed"),
        (format!("{projects}?cursor=%00"), 400, "malformed_text"),
        (format!("{projects}?cursor="), 422, "invalid_cursor"),
        (format!("{projects}?cursor=AAAA"), 422, "invalid_cursor"),
        (format!("{projects}?cursor={forged}"), 422, "invalid_cursor"),
        (format!("{}?cursor={cursor}", ada.at("/audit")), 422, "invalid_cursor"),
        (format!("{}?action=a&cursor={cursor}", ada.at("/audit")), 422, "invalid_cursor"),
        (format!("{}?actor=ada", ada.at("/audit")), 422, "validation_failed"),
        (format!("{}?from=yesterday", ada.at("/audit")), 422, "validation_failed"),
        (format!("{}?from=-200000-01-01T00:00:00Z", ada.at("/audit")), 422, "validation_failed"),
        (format!("{}?action=%ff", ada.at("/audit")), 400, "malformed_text"),
        (format!("{}?foo=1", ada.at("")), 422, "validation_failed"),
        (format!("{}?foo=%00", ada.at("/entitlements")), 400, "malformed_text"),
        ("/api/v1/me?foo=1".to_owned(), 422, "validation_failed"),
        (
            format!("{}?from=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", ada.at("/audit")),
            422,
            "validation_failed",
        ),
        (format!("{projects}/usr_01h455vb4pex5vsknk084sn02q"), 422, "invalid_id"),
        (format!("{projects}/prj_1"), 422, "invalid_id"),
        (format!("{projects}/prj_%00"), 422, "invalid_id"),
        (format!("{projects}/%ff"), 400, "malformed_text"),
        (format!("{projects}/prj_01h455vb4pex5vsknk084sn02q"), 404, "not_found"),
        ("/api/v1/workspaces/%ff/projects".to_owned(), 400, "malformed_text"),
        ("/api/v1/workspaces/%00/projects".to_owned(), 404, "not_found"),
        ("/api/v1/workspaces/usr_01h455vb4pex5vsknk084sn02q/projects".to_owned(), 404, "not_found"),
        ("/api/v1/nothing".to_owned(), 404, "not_found"),
    ] {
        let answer = ada.get(&path).await?;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{path}: {}", answer.text);
        assert!(is_envelope(&answer), "{path}: {}", answer.text);
    }
    // Another workspace's cursor is forged here.
    let answer = eve.get(&eve.at(&format!("/projects?cursor={cursor}"))).await?;
    assert_eq!(answer.code(), "invalid_cursor");
    for empty in [ada.at(""), format!("{projects}/{}", page["items"][0]["id"].as_str().unwrap_or_default())] {
        let answer = ada.patch(&empty, &serde_json::json!({})).await?;
        assert_eq!((answer.status.as_u16(), answer.code()), (422, "validation_failed"), "{empty}: {}", answer.text);
    }
    assert_eq!(app.count(ROWS).await? - rows_now, 7, "Eve's sign-up, with her login, and nothing else");
    let answer = Answer::of(ada.request(Method::PUT, &projects)).await?;
    assert_eq!((answer.status.as_u16(), answer.code()), (405, "method_not_allowed"));
    assert!(is_envelope(&answer) && answer.headers.contains_key("allow"), "{}", answer.text);
    Ok(())
}

#[tokio::test]
async fn sign_up_and_login() -> TestResult {
    let app = TestApp::start().await?;
    let caller = app.caller();
    let answer = caller
        .post("/api/v1/auth/register", &serde_json::json!({ "email": "nobody", "password": "short", "name": "" }))
        .await?;
    let fields: Vec<_> =
        answer.body["error"]["fields"].as_array().into_iter().flatten().map(|f| f["field"].clone()).collect();
    assert_eq!(
        (answer.status.as_u16(), fields),
        (422, vec!["email".into(), "password".into(), "name".into()]),
        "all at once"
    );
    for (email, password) in [
        ("nobody", "x"),
        ("nobody@example.com", "x"),
        ("nobody@example.com", &"p".repeat(1000)),
        ("a\tb@example.com", "x"),
    ] {
        let answer =
            caller.post("/api/v1/auth/login", &serde_json::json!({ "email": email, "password": password })).await?;
        assert_eq!((answer.status.as_u16(), answer.code()), (401, "invalid_credentials"));
    }
    assert_eq!(app.count(ROWS).await?, 0);
    Ok(())
}

/// Raw bytes, which no HTTP client would send.
#[tokio::test]
async fn raw_bytes_never_break_the_server() -> TestResult {
    let app = TestApp::start().await?;
    for bytes in [
        &b"\x00\x01\x02\r\n\r\n"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 18446744073709551615\r\nConnection: close\r\n\r\n",
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nffffffffffffffff\r\n",
        b"GET /api/v1/me HTTP/1.1\r\nHost: x\r\nCookie: session=\xff\xfe\r\nConnection: close\r\n\r\n",
        b"GET /api/v1/me HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\xffb\r\nConnection: close\r\n\r\n",
    ] {
        let mut stream = tokio::net::TcpStream::connect(app.address).await?;
        stream.write_all(bytes).await?;
        stream.shutdown().await?;
        let mut answer = Vec::new();
        // A reset is an answer too.
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{:?} -> {answer}", String::from_utf8_lossy(bytes));
    }
    app.caller().get("/healthz").await?.expect(StatusCode::OK)?;
    Ok(())
}
