//! A retry with the same key does nothing twice.

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use saas_kernel_tests::{Answer, Caller, TestApp, TestResult};
use serde_json::{Value, json};

const PROJECTS: &str = "SELECT count(*) FROM tracker.projects";

async fn create(caller: &Caller, key: &str, body: &Value) -> Result<Answer, saas_kernel::BoxError> {
    Answer::of(caller.request(Method::POST, &caller.at("/projects")).header("Idempotency-Key", key).json(body)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_at_once_with_one_key_make_one_project() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let body = json!({ "name": "Once" });
    let answers = join_all((0..20).map(|_| create(&ada, "key-1", &body))).await;
    let answers: Vec<Answer> = answers.into_iter().collect::<Result<_, _>>()?;
    let first = answers.iter().find(|a| a.status == StatusCode::CREATED).ok_or("one was made")?;
    for answer in &answers {
        // Whoever waited too long for the first is told to come back; everybody else has its very answer.
        if matches!(answer.code(), "idempotency_in_flight" | "unavailable" | "busy") {
            continue;
        }
        assert_eq!((answer.status, &answer.text), (StatusCode::CREATED, &first.text));
    }
    assert_eq!(
        answers
            .iter()
            .filter(|a| a.status == StatusCode::CREATED && !a.headers.contains_key("idempotent-replayed"))
            .count(),
        1
    );
    assert_eq!(app.count(PROJECTS).await?, 2, "with the sign-up's own");
    let again = create(&ada, "key-1", &body).await?;
    assert_eq!((again.status, &again.text), (StatusCode::CREATED, &first.text));
    assert_eq!(again.headers.get("idempotent-replayed").map(|v| v.as_bytes()), Some(&b"true"[..]));
    Ok(())
}

#[tokio::test]
async fn a_key_belongs_to_its_request_and_its_caller() -> TestResult {
    let app = TestApp::start().await?;
    let (ada, eve) = (app.sign_up("Ada").await?, app.sign_up("Eve").await?);
    create(&ada, "key-1", &json!({ "name": "A" })).await?.expect(StatusCode::CREATED)?;
    let other = create(&ada, "key-1", &json!({ "name": "B" })).await?;
    assert_eq!((other.status, other.code()), (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"));
    let of_eve = create(&eve, "key-1", &json!({ "name": "A" })).await?;
    assert!(of_eve.status == StatusCode::CREATED && !of_eve.headers.contains_key("idempotent-replayed"));
    for bad in ["", "with space", &"k".repeat(201)] {
        assert_eq!(create(&ada, bad, &json!({ "name": "C" })).await?.code(), "validation_failed", "{bad}");
    }
    Ok(())
}

#[tokio::test]
async fn a_refused_request_leaves_its_key_free() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    for n in 2..=5 {
        ada.create_project(&format!("Project {n}")).await?.expect(StatusCode::CREATED)?;
    }
    let body = json!({ "name": "One more" });
    assert_eq!(create(&ada, "key-1", &body).await?.code(), "limit_reached");
    let first = ada.get(&ada.at("/projects")).await?.body["items"][0]["id"].as_str().unwrap_or_default().to_owned();
    ada.delete(&ada.at(&format!("/projects/{first}"))).await?.expect(StatusCode::NO_CONTENT)?;
    create(&ada, "key-1", &body).await?.expect(StatusCode::CREATED)?;
    Ok(())
}

#[tokio::test]
async fn founding_a_workspace_can_be_repeated_safely() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let found = || {
        Answer::of(
            ada.request(Method::POST, "/api/v1/workspaces")
                .header("Idempotency-Key", "w")
                .json(&json!({ "name": "Second" })),
        )
    };
    let (first, second) = (found().await?, found().await?);
    assert_eq!((first.status, &first.text), (second.status, &second.text));
    assert_eq!(app.count("SELECT count(*) FROM kernel.workspaces").await?, 2);
    Ok(())
}

/// What failed after the commit is tried again by a retry, and not answered as if it had worked.
#[tokio::test]
async fn a_call_whose_mail_failed_runs_again() -> TestResult {
    let app = TestApp::start_with(|settings| settings.dev_mail = None).await?;
    let ada = app.sign_up("Ada").await?;
    let invite = || {
        let request = ada.request(Method::POST, &ada.at("/invites")).header("idempotency-key", "invite-grace");
        Answer::of(request.json(&json!({ "email": "grace@example.com", "role": "member" })))
    };
    for _ in 0..2 {
        let refused = invite().await?;
        assert_eq!((refused.status, refused.code()), (StatusCode::SERVICE_UNAVAILABLE, "mail_unavailable"));
        assert!(!refused.headers.contains_key("idempotent-replayed"));
    }
    let open = ada.get(&ada.at("/invites")).await?.expect(StatusCode::OK)?;
    assert_eq!(open["items"].as_array().map(Vec::len), Some(1), "one to an address");
    Ok(())
}
