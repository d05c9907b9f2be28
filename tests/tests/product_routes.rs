//! A product's routes that belong to no workspace: for signed-in people, and for everybody.

use reqwest::header::ORIGIN;
use reqwest::{Method, StatusCode};
use saas_kernel_axum::{HttpSettings, NoContent, NoQuery, OpenApiRouter, app, routes, serve_until, utoipa};
use saas_kernel_tests::programs::{get_with, key};
use saas_kernel_tests::{Answer, TestApp, TestResult};
use serde_json::json;
use tokio::sync::oneshot;

#[tokio::test]
async fn a_user_route_is_for_signed_in_people() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let home = ada.get("/api/v1/me/home").await?.expect(StatusCode::OK)?;
    assert_eq!(home, json!({ "workspace": "ada" }));
    assert_eq!(app.caller().get("/api/v1/me/home").await?.code(), "unauthenticated");
    let key = key(&ada, &["project.read"]).await?;
    assert_eq!(get_with(&app, &key, "/api/v1/me/home").await?.code(), "forbidden");
    Ok(())
}

#[tokio::test]
async fn a_public_route_needs_no_credentials() -> TestResult {
    let app = TestApp::start().await?;
    let templates = app.caller().get("/api/v1/project-templates").await?.expect(StatusCode::OK)?;
    assert_eq!(templates[0]["key"], "software");
    assert_eq!(app.caller().get("/api/v1/project-templates?page=2").await?.code(), "validation_failed");
    Ok(())
}

#[tokio::test]
async fn the_document_says_which_routes_need_a_session() -> TestResult {
    let app = TestApp::start().await?;
    let document = app.caller().get("/openapi.json").await?.expect(StatusCode::OK)?;
    let security = |path: &str| document["paths"][path]["get"]["security"].clone();
    assert_eq!(security("/api/v1/project-templates"), json!([{}]));
    assert_eq!(security("/api/v1/me/home"), json!([{ "session": [] }]));
    assert_eq!(
        security("/api/v1/workspaces/{ws}/projects"),
        json!([{ "session": [] }, { "api_key": [] }]),
        "a workspace's routes are as they were"
    );
    Ok(())
}

/// Its handler does not ask who calls.
#[utoipa::path(get, path = "/careless", responses((status = 204)))]
async fn careless(_: NoQuery) -> NoContent {
    NoContent
}

#[utoipa::path(post, path = "/contact", responses((status = 204)))]
async fn contact(_: NoQuery) -> NoContent {
    NoContent
}

#[tokio::test]
async fn both_are_behind_the_whole_chain() -> TestResult {
    let reference = TestApp::start().await?;
    let ada = reference.sign_up("Ada").await?;
    let key = key(&ada, &["project.read"]).await?;
    let product = app(&reference.kernel, HttpSettings::new("http://127.0.0.1")?)
        .user_routes(OpenApiRouter::new().routes(routes!(careless)))
        .user_routes(OpenApiRouter::new())
        .public_routes(OpenApiRouter::new().routes(routes!(contact)));
    let (started, address) = oneshot::channel();
    let server = tokio::spawn(async move {
        let started = |address| {
            let _ = started.send(address);
        };
        serve_until(product, "127.0.0.1:0", started, std::future::pending()).await
    });
    let base = format!("http://{}/api/v1", address.await?);

    let request =
        |caller: &saas_kernel_tests::Caller, method, path: &str| caller.client.request(method, format!("{base}{path}"));
    let nobody = reference.caller();
    let refused = Answer::of(request(&nobody, Method::GET, "/careless")).await?;
    assert_eq!(refused.code(), "unauthenticated", "{}", refused.text);
    let refused = Answer::of(request(&nobody, Method::GET, "/careless").bearer_auth(&key)).await?;
    assert_eq!(refused.code(), "forbidden", "{}", refused.text);
    Answer::of(request(&ada, Method::GET, "/careless")).await?.expect(StatusCode::NO_CONTENT)?;

    Answer::of(request(&nobody, Method::POST, "/contact")).await?.expect(StatusCode::NO_CONTENT)?;
    let forged = Answer::of(request(&nobody, Method::POST, "/contact").header(ORIGIN, "https://evil.example")).await?;
    assert_eq!(forged.code(), "cross_origin", "{}", forged.text);
    assert!(forged.headers.contains_key("x-request-id"));
    // The guard of one product's user routes covers nothing else.
    assert_eq!(Answer::of(request(&nobody, Method::GET, "/nothing")).await?.code(), "not_found");
    assert_eq!(Answer::of(request(&nobody, Method::POST, "/careless")).await?.code(), "method_not_allowed");
    server.abort();
    Ok(())
}
