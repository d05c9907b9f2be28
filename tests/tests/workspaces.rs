//! Workspaces: founded, listed, renamed; slugs claimed once.

use futures_util::future::join_all;
use reqwest::StatusCode;
use saas_kernel_tests::{TestApp, TestResult};
use serde_json::json;

#[tokio::test]
async fn created_listed_read_and_renamed() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let made = ada
        .post("/api/v1/workspaces", &json!({ "name": "Acme & Sons", "slug": "acme" }))
        .await?
        .expect(StatusCode::CREATED)?;
    assert_eq!(
        (made["slug"].as_str(), made["plan"].as_str(), made["created_by"]["type"].as_str()),
        (Some("acme"), Some("free"), Some("user"))
    );
    let page = ada.get("/api/v1/workspaces?limit=1").await?.expect(StatusCode::OK)?;
    let cursor = page["next_cursor"].as_str().ok_or("a cursor")?;
    let page = ada.get(&format!("/api/v1/workspaces?limit=1&cursor={cursor}")).await?.expect(StatusCode::OK)?;
    assert_eq!((&page["items"][0], &page["has_more"]), (&made, &false.into()));

    let renamed = ada
        .patch("/api/v1/workspaces/acme", &json!({ "name": "Acme", "slug": "acme-inc" }))
        .await?
        .expect(StatusCode::OK)?;
    assert_eq!((renamed["name"].as_str(), renamed["slug"].as_str()), (Some("Acme"), Some("acme-inc")));
    for address in ["acme", "acme-inc", made["id"].as_str().unwrap_or_default()] {
        let found = ada.get(&format!("/api/v1/workspaces/{address}")).await?.expect(StatusCode::OK)?;
        assert_eq!(found, renamed, "{address}: the old address keeps leading here");
    }
    ada.patch("/api/v1/workspaces/acme-inc", &json!({ "slug": "acme" })).await?.expect(StatusCode::OK)?;
    let audit = ada.get("/api/v1/workspaces/acme/audit?action=workspace.update").await?.expect(StatusCode::OK)?;
    assert_eq!(audit["items"].as_array().map(Vec::len), Some(2));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slug_has_one_winner() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let eve = app.sign_up("Eve").await?;
    let claim = json!({ "name": "Acme", "slug": "acme" });
    let answers = join_all((0..20).map(|n| {
        if n % 2 == 0 { ada.post("/api/v1/workspaces", &claim) } else { eve.post("/api/v1/workspaces", &claim) }
    }))
    .await;
    let mut won = 0;
    for answer in answers {
        let answer = answer?;
        match answer.status {
            StatusCode::CREATED => won += 1,
            _ => assert_eq!((answer.status, answer.code()), (StatusCode::CONFLICT, "slug_taken")),
        }
    }
    assert_eq!((won, app.count("SELECT count(*) FROM kernel.workspaces WHERE slug = 'acme'").await?), (1, 1));
    // A derived slug gives way instead.
    let derived = eve.post("/api/v1/workspaces", &json!({ "name": "Acme" })).await?.expect(StatusCode::CREATED)?;
    assert!(derived["slug"].as_str().is_some_and(|slug| slug.starts_with("acme-")), "{derived}");
    // Renaming onto it is refused, and changes nothing.
    let refused = eve.patch(&eve.at(""), &json!({ "name": "Other", "slug": "ada" })).await?;
    assert_eq!(refused.code(), "slug_taken");
    assert_eq!(eve.get(&eve.at("")).await?.body["name"], "Eve's workspace");
    Ok(())
}

#[tokio::test]
async fn two_people_of_one_name_both_get_a_workspace() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let other = app.caller();
    let account = json!({ "email": "other@example.com", "password": saas_kernel_tests::PASSWORD, "name": "Ada" });
    other.post("/api/v1/auth/register", &account).await?.expect(StatusCode::CREATED)?;
    other.log_in("other@example.com").await?.expect(StatusCode::OK)?;
    let theirs = other.get("/api/v1/workspaces").await?.expect(StatusCode::OK)?;
    let slug = theirs["items"][0]["slug"].as_str().unwrap_or_default();
    assert!(slug.starts_with("ada-") && slug != ada.workspace, "{slug}");
    Ok(())
}
