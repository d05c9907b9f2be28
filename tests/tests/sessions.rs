//! Sign-up, login, logout: the cookie, its life, and what nobody can learn.

use futures_util::future::join_all;
use reqwest::StatusCode;
use reqwest::header::{COOKIE, SET_COOKIE};
use saas_kernel::identity::sign_up::ANSWER_FLOOR;
use saas_kernel_tests::{Answer, PASSWORD, TestApp, TestResult, eventually};
use serde_json::json;

fn cookie(answer: &Answer) -> String {
    answer.headers.get(SET_COOKIE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_cookie_is_rotated_at_login_and_dead_after_logout() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let first = ada.log_in("ada@example.com").await?;
    let set = cookie(&first);
    assert!(
        set.starts_with("session=")
            && set.contains("HttpOnly")
            && set.contains("SameSite=Lax")
            && set.contains("Path=/"),
        "{set}"
    );
    let pair = |set: &str| set.split(';').next().unwrap_or_default().to_owned();
    let with = async |pair: &str| {
        Answer::of(app.caller().client.get(format!("http://{}/api/v1/me", app.address)).header(COOKIE, pair)).await
    };
    with(&pair(&set)).await?.expect(StatusCode::OK)?;
    let second = cookie(&ada.log_in("ADA@example.com").await?);
    assert_ne!(pair(&set), pair(&second));
    assert_eq!(with(&pair(&set)).await?.status, StatusCode::UNAUTHORIZED, "the replaced session has ended");
    ada.post("/api/v1/auth/logout", &json!(null)).await?.expect(StatusCode::NO_CONTENT)?;
    assert_eq!(with(&pair(&second)).await?.status, StatusCode::UNAUTHORIZED, "logout really ends it");
    assert_eq!(app.count("SELECT count(*) FROM kernel.sessions").await?, 0);
    Ok(())
}

#[tokio::test]
async fn behind_tls_the_cookie_is_bound_to_the_host() -> TestResult {
    let app = TestApp::start_with(|settings| settings.public_url = "https://app.example.com".to_owned()).await?;
    let caller = app.caller();
    caller
        .post("/api/v1/auth/register", &json!({ "email": "ada@example.com", "password": PASSWORD, "name": "Ada" }))
        .await?;
    let answer = caller.log_in("ada@example.com").await?;
    let set = cookie(&answer);
    assert!(set.starts_with("__Host-session=") && set.contains("; Secure"), "{set}");
    assert!(answer.headers.contains_key("strict-transport-security"));
    Ok(())
}

#[tokio::test]
async fn nobody_learns_who_has_an_account() -> TestResult {
    let app = TestApp::start().await?;
    app.sign_up("Ada").await?;
    let caller = app.caller();
    let register = async |email: &str| {
        caller
            .post("/api/v1/auth/register", &json!({ "email": email, "password": "another password", "name": "Eve" }))
            .await
    };
    let began = tokio::time::Instant::now();
    let taken = register("Ada@Example.com").await?;
    assert!(began.elapsed() >= ANSWER_FLOOR, "{:?}", began.elapsed());
    let free = register("bob@example.com").await?;
    assert_eq!((taken.status, free.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(taken.text.replace("Ada@Example.com", ""), free.text.replace("bob@example.com", ""));
    assert_eq!(app.count("SELECT count(*) FROM kernel.users").await?, 2);
    caller.log_in("ada@example.com").await?.expect(StatusCode::OK)?;
    let wrong = async |email: &str| {
        caller.post("/api/v1/auth/login", &json!({ "email": email, "password": "wrong password" })).await
    };
    let (known, unknown) = (wrong("ada@example.com").await?, wrong("nobody@example.com").await?);
    assert_eq!((known.status, known.without_request_id()), (unknown.status, unknown.without_request_id()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_signs_up_once_under_race() -> TestResult {
    let app = TestApp::start().await?;
    let account = json!({ "email": "ada@example.com", "password": PASSWORD, "name": "Ada" });
    let callers: Vec<_> = (0..10).map(|_| app.caller()).collect();
    for answer in join_all(callers.iter().map(|caller| caller.post("/api/v1/auth/register", &account))).await {
        answer?.expect(StatusCode::CREATED)?;
    }
    assert_eq!(app.count("SELECT count(*) FROM kernel.users").await?, 1);
    assert_eq!(app.count("SELECT count(*) FROM kernel.workspaces").await?, 1);
    Ok(())
}

#[tokio::test]
async fn logins_and_sign_ups_are_limited_per_address_and_per_account() -> TestResult {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("product.config.yaml");
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/reference/product.config.yaml"))?;
    // The kernel's own defaults: 5/minute and 5/hour by address, 10/hour by account.
    std::fs::write(&file, text.split("rate_limits:").next().unwrap_or_default())?;
    let app = TestApp::start_with(|settings| {
        settings.config.clone_from(&file);
        settings.trusted_proxies = "127.0.0.1".to_owned();
    })
    .await?;
    let from = async |address: &str, path: &str, email: &str| {
        let request =
            app.caller().client.post(format!("http://{}{path}", app.address)).header("x-forwarded-for", address);
        Answer::of(request.json(&json!({ "email": email, "password": "wrong password" }))).await
    };
    for n in 0..5 {
        assert_eq!(
            from("192.0.2.1", "/api/v1/auth/login", &format!("a{n}@example.com")).await?.status,
            StatusCode::UNAUTHORIZED
        );
    }
    let limited = from("192.0.2.1", "/api/v1/auth/login", "a9@example.com").await?;
    assert_eq!((limited.status, limited.code()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
    let wait: u64 = limited.headers.get("retry-after").and_then(|v| v.to_str().ok()).unwrap_or_default().parse()?;
    assert!((1..=12).contains(&wait), "{wait}");
    // Another address is another caller; one account is one account from everywhere.
    for n in 0..10 {
        assert_eq!(
            from(&format!("192.0.2.{}", 100 + n), "/api/v1/auth/login", "ada@example.com").await?.status,
            StatusCode::UNAUTHORIZED
        );
    }
    assert_eq!(
        from("192.0.2.200", "/api/v1/auth/login", "ADA@example.com").await?.status,
        StatusCode::TOO_MANY_REQUESTS
    );
    let register = async |n: usize| {
        let request = app
            .caller()
            .client
            .post(format!("http://{}/api/v1/auth/register", app.address))
            .header("x-forwarded-for", "192.0.2.7");
        Answer::of(request.json(&json!({ "email": format!("r{n}@example.com"), "password": PASSWORD, "name": "R" })))
            .await
    };
    for n in 0..5 {
        assert_eq!(register(n).await?.status, StatusCode::CREATED);
    }
    assert_eq!(register(5).await?.status, StatusCode::TOO_MANY_REQUESTS);
    Ok(())
}

#[tokio::test]
async fn use_lets_a_session_last_longer() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let age = "UPDATE kernel.sessions SET created_at = now() - interval '10 days', seen_at = now() - interval '10 days', expires_at = now() + interval '4 days'";
    sqlx::query(age).execute(&mut app.db.admin().await?).await?;
    ada.get("/api/v1/me").await?.expect(StatusCode::OK)?;
    let renewed = "SELECT count(*) FROM kernel.sessions WHERE seen_at > now() - interval '1 minute' AND expires_at > now() + interval '13 days'";
    eventually("it is noted as used", || async { Ok(app.count(renewed).await? == 1) }).await?;
    // Never beyond its absolute end, and never revived.
    let old = "UPDATE kernel.sessions SET created_at = now() - interval '89 days', seen_at = now() - interval '1 day', expires_at = now() + interval '1 hour'";
    sqlx::query(old).execute(&mut app.db.admin().await?).await?;
    ada.get("/api/v1/me").await?.expect(StatusCode::OK)?;
    let bounded = "SELECT count(*) FROM kernel.sessions WHERE seen_at > now() - interval '1 minute' AND expires_at < now() + interval '25 hours'";
    eventually("it ends at its absolute end", || async { Ok(app.count(bounded).await? == 1) }).await?;
    sqlx::query("UPDATE kernel.sessions SET expires_at = now()").execute(&mut app.db.admin().await?).await?;
    assert_eq!(ada.get("/api/v1/me").await?.status, StatusCode::UNAUTHORIZED);
    Ok(())
}

#[tokio::test]
async fn signing_in_as_somebody_else_ends_the_session_the_browser_had() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    app.sign_up("Eve").await?;
    let first = cookie(&ada.log_in("ada@example.com").await?);
    let pair = first.split(';').next().unwrap_or_default();
    ada.log_in("eve@example.com").await?.expect(StatusCode::OK)?;
    let old = app.caller().client.get(format!("http://{}/api/v1/me", app.address)).header(COOKIE, pair);
    assert_eq!(Answer::of(old).await?.status, StatusCode::UNAUTHORIZED);
    // A cookie beside it that is not ASCII, or an empty one before it, does not take ours along.
    let second = cookie(&ada.log_in("eve@example.com").await?);
    let pair = second.split(';').next().unwrap_or_default();
    let mixed = [b"theme=gr\xfcn; session=; ".as_slice(), pair.as_bytes()].concat();
    let request = app.caller().client.get(format!("http://{}/api/v1/me", app.address)).header(COOKIE, mixed);
    Answer::of(request).await?.expect(StatusCode::OK)?;
    Ok(())
}
