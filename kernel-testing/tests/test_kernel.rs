//! What a product's tests rely on.

use saas_kernel::permissions::{ReadWorkspace, UpdateWorkspace};
use saas_kernel::tenancy::workspaces;
use saas_kernel::{Error, codes};
use saas_kernel_testing::{PASSWORD, Setup, StatusCode, TestKernel, TestResult};
use serde_json::json;

const CONFIG: &str = "
brand: { name: Acme }
plans: [{ key: free, name: Free, limits: { members: 2 } }]
roles: [{ name: owner, permissions: ['*'] }, { name: viewer, permissions: [workspace.read] }]
rate_limits: { login_per_ip: 1/hour }
sessions: { idle_days: 7 }";

#[tokio::test]
async fn members_act_with_their_roles_in_their_workspace() -> TestResult {
    let test = TestKernel::start(Setup::new(CONFIG)).await?;
    let (ada, eve) = (test.member("Ada Lovelace").await?, test.member("Eve").await?);
    let grace = test.join(&ada, "Grace", "viewer").await?;
    assert_eq!(test.mails().iter().map(|mail| mail.to().as_str()).collect::<Vec<_>>(), ["grace@example.com"]);
    assert_eq!((grace.workspace, grace.grant().await?.role().name.as_str()), (ada.workspace, "viewer"));
    assert_ne!(eve.workspace, ada.workspace);

    let seen = workspaces::get(&grace.can::<ReadWorkspace>().await?, &mut grace.tx().await?).await?;
    assert_eq!(seen.slug.as_str(), "ada-lovelace");
    let refused = grace.can::<UpdateWorkspace>().await.map(drop).unwrap_err();
    assert_eq!(refused.code(), Some(codes::FORBIDDEN.name));
    let stranger = eve.in_workspace_of(&ada).grant().await.unwrap_err();
    assert_eq!(stranger.code(), Some(codes::NOT_FOUND.name));

    let full = test.join(&ada, "Linus", "viewer").await.unwrap_err();
    assert!(full.to_string().contains("2 of 2 `members`"), "{full}");
    let taken = test.member("Eve").await.unwrap_err();
    assert!(matches!(&taken, Error::Broken(why) if why.to_string().contains("eve@example.com")), "{taken:?}");
    Ok(())
}

#[tokio::test]
async fn members_call_routes_over_http_until_their_session_ends() -> TestResult {
    let test = TestKernel::start(Setup::new(CONFIG)).await?;
    let ada = test.member("Ada").await?;
    let renamed = ada.patch(&ada.at(""), &json!({ "name": "Analytical Engines" })).await?.expect(StatusCode::OK)?;
    assert_eq!(renamed["name"], "Analytical Engines");
    let nobody = test.http().await?;
    assert_eq!(nobody.get(&ada.at("")).await?.code(), "unauthenticated");
    // The configuration allows one.
    for _ in 0..3 {
        let account = json!({ "email": ada.email.as_str(), "password": PASSWORD });
        nobody.post("/api/v1/auth/login", &account).await?.expect(StatusCode::OK)?;
    }
    assert_eq!(nobody.get(&ada.at("")).await?.status, StatusCode::OK);

    test.clock.advance(chrono::TimeDelta::days(8));
    let shown = ada.get(&ada.at("")).await?.expect(StatusCode::OK).unwrap_err().to_string();
    assert!(
        shown.starts_with("expected 200 OK, got 401 Unauthorized: {") && shown.contains("unauthenticated"),
        "{shown}"
    );
    assert_eq!(ada.grant().await.unwrap_err().code(), Some("unauthenticated"));
    Ok(())
}

#[tokio::test]
async fn rate_limits_apply_when_asked_for_and_a_wrong_configuration_is_refused() -> TestResult {
    let test = TestKernel::start(Setup::new(CONFIG).rate_limits()).await?;
    let nobody = test.http().await?;
    let account = json!({ "email": "ada@example.com", "password": PASSWORD });
    assert_eq!(nobody.post("/api/v1/auth/login", &account).await?.code(), "invalid_credentials");
    assert_eq!(nobody.post("/api/v1/auth/login", &account).await?.code(), "rate_limited");

    let wrong = TestKernel::start(Setup::new("brand: { nmae: Acme }")).await.unwrap_err().to_string();
    assert!(wrong.contains("line 1") && wrong.contains("nmae"), "{wrong}");
    Ok(())
}
