//! Both apps run on one database: the reference app on axum, and this one.

use other_framework::{App, PERMISSIONS, serve};
use reqwest::header::{ORIGIN, SET_COOKIE};
use reqwest::{Method, RequestBuilder, StatusCode};
use saas_kernel::{BoxError, Kernel, ProductConfig};
use saas_kernel_tests::{Answer, PASSWORD, TestApp, TestResult};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const CONFIG: &str = "
brand: { name: Acme Tracker }
plans: [{ key: free, name: Free, limits: { projects: 5, members: 5 } }]
roles: [{ name: owner, permissions: ['*'] }, { name: viewer, permissions: [workspace.read, project.read] }]
rate_limits: { login_per_ip: off, login_per_email: 3/hour }
";

/// A code, and a request to the app at an address that is refused with it.
type Refused<'a> = (&'a str, &'a dyn Fn(&str) -> RequestBuilder);

/// The address of this app on the database of `app`.
async fn start(app: &TestApp) -> Result<String, BoxError> {
    let store = app.db.store().await?;
    let kernel = Kernel::builder(ProductConfig::parse(CONFIG)?)
        .keyring(saas_kernel::Keyring::ephemeral())
        .store(store.clone())
        .permissions(PERMISSIONS)
        .build()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    let public_url = "http://127.0.0.1".to_owned();
    tokio::spawn(serve(App { kernel, store, public_url }, listener));
    Ok(base)
}

#[tokio::test]
async fn a_session_begun_in_one_is_accepted_by_the_other() -> TestResult {
    let app = TestApp::start().await?;
    let base = start(&app).await?;
    let ada = app.sign_up("Ada").await?;
    let here = ada.at_base(&base);
    let workspace = here.get(&here.at("")).await?.expect(StatusCode::OK)?;
    assert_eq!(workspace["id"], json!(ada.workspace_id));
    here.create_project("Made on hyper").await?.expect(StatusCode::CREATED)?;
    let there = ada.get(&ada.at("/projects")).await?.expect(StatusCode::OK)?;
    let listed = here.get(&here.at("/projects")).await?.expect(StatusCode::OK)?;
    let names: Vec<&Value> = there["items"].as_array().into_iter().flatten().map(|project| &project["name"]).collect();
    assert_eq!(listed["items"].as_array().into_iter().flatten().collect::<Vec<_>>(), names);
    assert!(names.contains(&&json!("Made on hyper")), "{names:?}");

    // The other way: signed in here, used there; the session that the browser had ends in both.
    let (fresh, second) = (app.caller(), app.caller());
    let login = fresh.at_base(&base).log_in("ada@example.com").await?;
    let set = login.headers.get(SET_COOKIE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    assert!(set.starts_with("session=") && set.ends_with("; HttpOnly; SameSite=Lax"), "{set}");
    fresh.get("/api/v1/me").await?.expect(StatusCode::OK)?;
    let old = set.split(';').next().unwrap_or_default().to_owned();
    fresh.at_base(&base).log_in("ada@example.com").await?.expect(StatusCode::OK)?;
    let replayed = second.request(Method::GET, "/api/v1/me").header("cookie", old);
    assert_eq!(Answer::of(replayed).await?.status, StatusCode::UNAUTHORIZED);
    Ok(())
}

#[tokio::test]
async fn refusals_are_those_of_the_other_app() -> TestResult {
    let app = TestApp::start().await?;
    let base = start(&app).await?;
    let (ada, eve) = (app.sign_up("Ada").await?, app.sign_up("Eve").await?);
    let key = json!({ "name": "Reader", "scopes": ["project.read"] });
    let key = ada.post(&ada.at("/api-keys"), &key).await?.expect(StatusCode::CREATED)?;
    let key = format!("Bearer {}", key["token"].as_str().unwrap_or_default());
    let nobody = app.caller();
    let (projects, missing) = (ada.at("/projects"), "/api/v1/workspaces/no-such-workspace/projects");
    let name = json!({ "name": "Forged" });
    let mut reads = nobody.request(Method::GET, &projects).header("authorization", &key);
    Answer::of(reads).await?.expect(StatusCode::OK)?;
    reads = nobody.at_base(&base).request(Method::GET, &projects).header("authorization", &key);
    Answer::of(reads).await?.expect(StatusCode::OK)?;
    let requests: [Refused<'_>; 9] = [
        ("unauthenticated", &|base| nobody.at_base(base).request(Method::GET, &projects)),
        ("unauthenticated", &|base| {
            nobody.at_base(base).request(Method::GET, &projects).header("authorization", "Bearer sk_0")
        }),
        ("not_found", &|base| eve.at_base(base).request(Method::GET, &projects)),
        ("not_found", &|base| eve.at_base(base).request(Method::GET, missing)),
        ("not_found", &|base| ada.at_base(base).request(Method::GET, "/api/v1/workspaces/%00/projects")),
        ("forbidden", &|base| {
            nobody.at_base(base).request(Method::POST, &projects).header("authorization", &key).json(&name)
        }),
        ("cross_origin", &|base| {
            ada.at_base(base).request(Method::POST, &projects).header(ORIGIN, "https://evil.example").json(&name)
        }),
        ("validation_failed", &|base| ada.at_base(base).request(Method::POST, &projects).json(&json!({ "nmae": "" }))),
        ("malformed_json", &|base| {
            let request = ada.at_base(base).request(Method::POST, &projects);
            request.header("content-type", "application/json").body("{")
        }),
    ];
    for (code, request) in requests {
        let (here, there) = (Answer::of(request(&base)).await?, Answer::of(request(&ada.base)).await?);
        assert_eq!(here.code(), code, "{}", here.text);
        assert_eq!((here.status, here.without_request_id()), (there.status, there.without_request_id()));
        assert_eq!(
            here.headers.get("x-request-id").and_then(|id| id.to_str().ok()),
            here.body["error"]["request_id"].as_str()
        );
    }
    Ok(())
}

#[tokio::test]
async fn limits_and_idempotency_keys_hold() -> TestResult {
    let app = TestApp::start().await?;
    let base = start(&app).await?;
    let ada = app.sign_up("Ada").await?.at_base(&base);
    let create = async || {
        let request = ada.request(Method::POST, &ada.at("/projects")).header("idempotency-key", "once");
        Answer::of(request.json(&json!({ "name": "Once" }))).await
    };
    let (first, again) = (create().await?, create().await?);
    assert_eq!((first.status, &first.body), (StatusCode::CREATED, &again.body), "{}", again.text);
    let mut codes = Vec::new();
    for n in 0..5 {
        codes.push(ada.create_project(&format!("Project {n}")).await?.code().to_owned());
    }
    assert!(codes.contains(&"limit_reached".to_owned()), "{codes:?}");

    let wrong = json!({ "email": "Ada@example.com", "password": "wrong password" });
    for _ in 0..3 {
        assert_eq!(ada.post("/api/v1/auth/login", &wrong).await?.code(), "invalid_credentials");
    }
    let limited = ada.post("/api/v1/auth/login", &json!({ "email": "ada@example.com", "password": PASSWORD })).await?;
    assert_eq!((limited.status, limited.code()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
    assert!(limited.headers.contains_key("retry-after"));
    Ok(())
}
