//! Who signs in and out is recorded in the person's own log, with the request that did it.

use reqwest::{Method, StatusCode};
use saas_kernel_tests::teammates::invite;
use saas_kernel_tests::{Answer, TestApp, TestResult};
use serde_json::json;

#[tokio::test]
async fn sign_up_login_and_logout_are_in_the_persons_log_and_in_no_workspaces() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    assert_eq!(ada.post("/api/v1/auth/logout", &json!({})).await?.status, StatusCode::NO_CONTENT);
    assert_eq!(ada.log_in("ada@example.com").await?.status, StatusCode::OK);
    let wrong = json!({ "email": "ada@example.com", "password": "not the password" });
    assert_eq!(app.caller().post("/api/v1/auth/login", &wrong).await?.status, StatusCode::UNAUTHORIZED);

    let about_her = "SELECT array_agg(a.action ORDER BY a.seq) FROM kernel.audit_log a JOIN kernel.users u ON u.id = a.subject_id
        JOIN kernel.audit_personal p ON (p.subject_id, p.at, p.id, p.retention) = (a.subject_id, a.at, a.id, a.retention)
        WHERE a.subject_type = 'person' AND a.actor_type = 'user' AND a.actor_id = u.id AND a.retention = 'security' AND p.ip = '127.0.0.1'";
    let about_her: Vec<String> = sqlx::query_scalar(about_her).fetch_one(&mut app.db.admin().await?).await?;
    assert_eq!(about_her, ["user.sign_up", "user.login", "user.logout", "user.login"]);
    let log = ada.get(&ada.at("/audit")).await?.expect(StatusCode::OK)?;
    let actions: Vec<&str> =
        log["items"].as_array().ok_or("a list")?.iter().filter_map(|e| e["action"].as_str()).collect();
    assert!(
        actions.contains(&"workspace.create") && !actions.iter().any(|action| action.starts_with("user.")),
        "{actions:?}"
    );
    Ok(())
}

#[tokio::test]
async fn records_carry_the_requests_trace_if_it_is_one() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (name, sent) in [("traced", &[trace][..]), ("untraced", &["00-not-a-trace-01"]), ("ambiguous", &[trace, trace])]
    {
        let mut request = ada.request(Method::POST, &ada.at("/projects")).json(&json!({ "name": name }));
        for value in sent {
            request = request.header("traceparent", *value);
        }
        Answer::of(request).await?.expect(StatusCode::CREATED)?;
    }
    let traces = "SELECT array_agg(a.trace ORDER BY a.seq), bool_and(a.request_id = o.request_id AND a.trace IS NOT DISTINCT FROM o.trace)
        FROM kernel.audit_log a JOIN kernel.outbox o ON o.xid = a.xid WHERE a.action = 'resource.create' AND o.body ->> 'name' LIKE '%a%ed'
           OR a.action = 'resource.create' AND o.body ->> 'name' = 'ambiguous'";
    let stored: (Vec<Option<String>>, bool) = sqlx::query_as(traces).fetch_one(&mut app.db.admin().await?).await?;
    assert_eq!(stored, (vec![Some(trace.to_owned()), None, None], true));
    Ok(())
}

#[tokio::test]
async fn an_invited_address_is_shown_in_the_log_until_it_is_erased() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    invite(&ada, "grace@example.com", "member").await?.expect(StatusCode::CREATED)?;
    let newest = async || ada.get(&ada.at("/audit?action=member.invite")).await?.expect(StatusCode::OK);
    assert_eq!(newest().await?["items"][0]["meta"], json!({ "email": "grace@example.com", "role": "member" }));
    sqlx::query("DELETE FROM kernel.audit_personal").execute(&mut app.db.admin().await?).await?;
    let erased = newest().await?["items"][0].clone();
    assert_eq!((&erased["meta"], &erased["ip"]), (&json!({ "role": "member" }), &json!(null)));
    Ok(())
}
