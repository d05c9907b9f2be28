//! The chain: its order, its headers, its documents.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, ORIGIN};
use reqwest::{Method, StatusCode};
use saas_kernel_tests::{Answer, TestApp, TestResult};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Each request has everything wrong that comes later in the chain; the earliest stage answers.
#[tokio::test]
async fn the_stages_come_in_their_order() -> TestResult {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("product.config.yaml");
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/reference/product.config.yaml"))?;
    std::fs::write(&file, text.replace("api_per_ip: off", "api_per_ip: 12/day"))?;
    let app = TestApp::start_with(|settings| settings.config.clone_from(&file)).await?;
    let ada = app.sign_up("Ada").await?; // three calls
    let bad = |caller: &saas_kernel_tests::Caller, workspace: &str| {
        caller
            .request(Method::POST, &format!("/api/v1/workspaces/{workspace}/projects"))
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", "not a key")
            .body("{")
    };
    let evil = |request: reqwest::RequestBuilder| request.header(ORIGIN, "https://evil.example");
    let stranger = app.caller();
    for (request, expect) in [
        // CSRF before idempotency, idempotency before the handler's own checks.
        (evil(bad(&ada, &ada.workspace)), (403, "cross_origin")),
        (bad(&ada, &ada.workspace), (422, "validation_failed")),
        (bad(&ada, &ada.workspace).header("idempotency-key", "good"), (422, "validation_failed")),
        // Authentication before the body is looked at.
        (bad(&stranger, &ada.workspace), (401, "unauthenticated")),
        (bad(&ada, "elsewhere").header("x-nothing", "1"), (422, "validation_failed")),
    ] {
        let answer = Answer::of(request).await?;
        assert_eq!((answer.status.as_u16(), answer.code()), expect, "{}", answer.text);
    }
    for _ in 0..4 {
        ada.get("/api/v1/me").await?.expect(StatusCode::OK)?;
    }
    // The address' quota before everything else; the id and the headers still come with it.
    let limited = Answer::of(evil(bad(&stranger, "x"))).await?;
    assert_eq!((limited.status.as_u16(), limited.code()), (429, "rate_limited"));
    assert!(limited.headers.contains_key("x-request-id") && limited.headers.contains_key("retry-after"));
    Ok(())
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_its_guards() -> TestResult {
    let app = TestApp::start().await?;
    let caller = app.caller();
    let sent = Answer::of(caller.request(Method::GET, "/nothing").header("x-request-id", "trace-12345")).await?;
    assert_eq!(sent.body["error"]["request_id"], "trace-12345");
    for bad in ["short", "with space in it", &"x".repeat(101), "angle<brackets>"] {
        let answer = Answer::of(caller.request(Method::GET, "/nothing").header("x-request-id", bad)).await?;
        assert!(answer.body["error"]["request_id"].as_str().is_some_and(|id| id.starts_with("req_")), "{bad}");
    }
    for path in ["/healthz", "/readyz", "/openapi.json", "/docs/", "/docs/errors", "/api/v1/me", "/nothing"] {
        let answer = caller.get(path).await?;
        for header in
            ["x-request-id", "x-content-type-options", "content-security-policy", "referrer-policy", "x-frame-options"]
        {
            assert!(answer.headers.contains_key(header), "{path} lacks {header}");
        }
        let policy = answer.headers["content-security-policy"].to_str()?;
        assert!(!policy.contains("unsafe-inline") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
    }
    // An allowed origin can read refusals too.
    let app = TestApp::start().await?;
    let mut settings = saas_kernel_axum::HttpSettings::new("https://app.example.com")?;
    settings = settings.allow_origins("https://www.example.com")?;
    let router = saas_kernel_axum::app(&app.kernel, settings).into_router();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let refused =
        Answer::of(caller.client.get(format!("http://{address}/api/v1/me")).header(ORIGIN, "https://www.example.com"))
            .await?;
    assert_eq!(
        refused.headers.get("access-control-allow-origin").map(|v| v.as_bytes()),
        Some(&b"https://www.example.com"[..])
    );
    server.abort();
    let head = Answer::of(caller.request(Method::HEAD, "/nothing")).await?;
    assert_eq!((head.status, head.text.as_str()), (StatusCode::NOT_FOUND, ""));
    Ok(())
}

#[tokio::test]
async fn the_documents_are_complete_and_ask_no_cdn() -> TestResult {
    let app = TestApp::start().await?;
    let caller = app.caller();
    let document = caller.get("/openapi.json").await?.expect(StatusCode::OK)?;
    assert_eq!(document["openapi"], "3.1.0");
    let paths: Vec<&str> = document["paths"].as_object().ok_or("paths")?.keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        [
            "/api/v1/auth/login",
            "/api/v1/auth/logout",
            "/api/v1/auth/register",
            "/api/v1/invites/accept",
            "/api/v1/me",
            "/api/v1/me/home",
            "/api/v1/me/permissions",
            "/api/v1/project-templates",
            "/api/v1/workspaces",
            "/api/v1/workspaces/{ws}",
            "/api/v1/workspaces/{ws}/api-keys",
            "/api/v1/workspaces/{ws}/api-keys/{key}",
            "/api/v1/workspaces/{ws}/audit",
            "/api/v1/workspaces/{ws}/entitlements",
            "/api/v1/workspaces/{ws}/invites",
            "/api/v1/workspaces/{ws}/invites/{invite}",
            "/api/v1/workspaces/{ws}/members",
            "/api/v1/workspaces/{ws}/members/leave",
            "/api/v1/workspaces/{ws}/members/{user}",
            "/api/v1/workspaces/{ws}/permissions",
            "/api/v1/workspaces/{ws}/projects",
            "/api/v1/workspaces/{ws}/projects/{project}",
            "/api/v1/workspaces/{ws}/subscription",
            "/healthz",
            "/readyz",
            "/webhooks/{provider}",
        ]
    );
    for (path, item) in document["paths"].as_object().ok_or("paths")? {
        for (method, operation) in item.as_object().ok_or("an item")? {
            assert!(operation["responses"]["4XX"].is_object() && operation["security"].is_array(), "{method} {path}");
            assert!(operation["summary"].is_string() || operation["description"].is_string(), "{method} {path}");
            if path.contains("{ws}") {
                assert!(
                    operation["x-permission"].is_string() && operation["parameters"][0]["name"] == "ws",
                    "{method} {path}"
                );
            }
        }
    }
    let page = caller.get("/docs/").await?;
    assert!(page.status == StatusCode::OK && !page.text.contains("http"), "{}", page.text);
    for asset in page.text.split(['"', '\'']).filter(|text| text.ends_with(".js") || text.ends_with(".css")) {
        assert_eq!(
            caller.get(&format!("/docs/{}", asset.trim_start_matches("./"))).await?.status,
            StatusCode::OK,
            "{asset}"
        );
    }
    let errors = caller.get("/docs/errors").await?;
    assert!(errors.status == StatusCode::OK && errors.text.contains("id=\"limit_reached\""), "{}", errors.text);
    Ok(())
}

/// The same kernel with a product's other routes and another time limit.
async fn serve(
    app: &TestApp,
    routes: saas_kernel_axum::OpenApiRouter,
    limit: Duration,
) -> Result<(SocketAddr, tokio::task::JoinHandle<()>), saas_kernel::BoxError> {
    let mut settings = saas_kernel_axum::HttpSettings::new("http://127.0.0.1")?;
    settings.request_timeout = limit;
    let router = saas_kernel_axum::app(&app.kernel, settings).workspace_routes(routes).into_router();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    Ok((address, tokio::spawn(async move { axum::serve(listener, router).await.unwrap_or_default() })))
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() -> TestResult {
    let app = TestApp::start().await?;
    let (address, server) = serve(&app, saas_kernel_axum::OpenApiRouter::new(), Duration::from_millis(200)).await?;
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{\"email\"";
    stream.write_all(head.as_bytes()).await?;
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut answer)).await??;
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(
        answer.starts_with("HTTP/1.1 408 ") && answer.contains("request_timeout") && answer.contains("x-request-id"),
        "{answer}"
    );
    server.abort();
    Ok(())
}

#[tokio::test]
async fn a_panic_is_an_answer() -> TestResult {
    use saas_kernel_axum::{OpenApiRouter, View};
    let app = TestApp::start().await?;
    // A product's handler that panics, behind the same chain.
    async fn broken() -> View<()> {
        panic!("as planned")
    }
    let routes = OpenApiRouter::new().route("/broken", axum::routing::get(broken));
    let router = saas_kernel_axum::app(&app.kernel, saas_kernel_axum::HttpSettings::new("http://127.0.0.1")?)
        .workspace_routes(routes);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move { axum::serve(listener, router.into_router()).await });
    let answer = Answer::of(app.caller().client.get(format!("http://{address}/api/v1/workspaces/x/broken"))).await?;
    assert_eq!((answer.status, answer.code()), (StatusCode::INTERNAL_SERVER_ERROR, "internal"));
    assert!(!answer.text.contains("as planned"), "the cause is not told");
    server.abort();
    Ok(())
}

#[tokio::test]
async fn the_log_of_a_workspace_can_be_searched() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let made = ada.create_project("Second").await?.expect(StatusCode::CREATED)?;
    let id = made["id"].as_str().unwrap_or_default();
    ada.patch(&ada.at(&format!("/projects/{id}")), &json!({ "status": "paused" })).await?.expect(StatusCode::OK)?;
    ada.delete(&ada.at(&format!("/projects/{id}"))).await?.expect(StatusCode::NO_CONTENT)?;
    let me = ada.get("/api/v1/me").await?.body["id"].as_str().unwrap_or_default().to_owned();
    for (filter, expect) in [
        (String::new(), 4),
        ("action=resource.create".to_owned(), 1),
        (format!("target_type=project&target_id={id}"), 3),
        (format!("actor={me}"), 4),
        ("actor=usr_01h455vb4pex5vsknk084sn02q".to_owned(), 0),
        ("from=2000-01-01T00:00:00Z&until=2001-01-01T00:00:00Z".to_owned(), 0),
        ("from=2000-01-01T00:00:00Z".to_owned(), 4),
    ] {
        let page = ada.get(&ada.at(&format!("/audit?{filter}"))).await?.expect(StatusCode::OK)?;
        assert_eq!(page["items"].as_array().map(Vec::len), Some(expect), "{filter}: {page}");
    }
    // Page by page gives the same entries in the same order.
    let all = ada.get(&ada.at("/audit")).await?.body["items"].clone();
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    for _ in 0..4 {
        let page = ada.get(&ada.at(&format!("/audit?limit=1{cursor}"))).await?.expect(StatusCode::OK)?;
        paged.push(page["items"][0].clone());
        cursor = format!("&cursor={}", page["next_cursor"].as_str().unwrap_or_default());
    }
    assert_eq!(all.as_array(), Some(&paged));
    Ok(())
}
