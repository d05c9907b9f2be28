//! What a workspace pays for, as its owner sees it.

use reqwest::StatusCode;
use saas_kernel_tests::teammates::{accept, invite, token};
use saas_kernel_tests::{TestApp, TestResult, eventually, subscription_event};
use serde_json::{Value, json};

#[tokio::test]
async fn the_owner_sees_what_is_paid_for_also_when_it_is_not() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let own = ada.at("/subscription");
    let free = json!({
        "plan": "free", "access": "full", "status": null, "period_start": null, "period_end": null, "cancel_at": null,
    });
    assert_eq!(ada.get(&own).await?.expect(StatusCode::OK)?, free);

    let told = async |id: &str, kind: &str, status: &str, seconds: i64, cancel_at: Value| -> TestResult {
        let mut event = subscription_event(id, kind, &ada.workspace_id, "price_starter_month", status, seconds);
        event["data"]["object"]["cancel_at"] = cancel_at;
        app.stripe(&event).await?.expect(StatusCode::OK).map(drop)
    };
    for (id, kind, status, access, seconds) in [
        ("evt_1", "created", "active", "full", -9),
        ("evt_2", "updated", "past_due", "grace", -8),
        ("evt_3", "updated", "unpaid", "read_only", -7),
    ] {
        told(id, kind, status, seconds, json!(4_102_444_800_i64)).await?;
        eventually(status, || async { Ok(ada.get(&own).await?.body["status"] == status) }).await?;
        let seen = ada.get(&own).await?.expect(StatusCode::OK)?;
        assert_eq!((&seen["plan"], &seen["access"]), (&json!("starter"), &json!(access)));
        assert_eq!(seen["cancel_at"], "2100-01-01T00:00:00Z");
        assert!(seen["period_start"].is_string() && seen["period_end"].is_string(), "{seen}");
    }
    assert_eq!(ada.create_project("One more").await?.code(), "workspace_read_only");
    told("evt_4", "deleted", "canceled", -6, Value::Null).await?;
    eventually("the free plan again", || async { Ok(ada.get(&own).await?.body == free) }).await
}

/// The way out of a suspension leads over the bill.
#[tokio::test]
async fn the_bill_of_a_suspended_workspace_is_shown_to_who_manages_it_only() -> TestResult {
    let app = TestApp::start().await?;
    let (ada, bob) = (app.sign_up("Ada").await?, app.sign_up("Bob").await?);
    invite(&ada, "bob@example.com", "member").await?.expect(StatusCode::CREATED)?;
    accept(&bob, &token(&app, "bob@example.com")?).await?.expect(StatusCode::OK)?;
    assert_eq!(bob.get(&ada.at("/subscription")).await?.code(), "forbidden");
    let suspend = "UPDATE kernel.workspaces SET status = 'suspended'";
    sqlx::query(suspend).execute(&mut app.db.admin().await?).await?;
    assert_eq!(ada.get(&ada.at("/subscription")).await?.expect(StatusCode::OK)?["plan"], "free");
    assert_eq!(ada.get(&ada.at("/entitlements")).await?.code(), "workspace_suspended");
    assert_ne!(bob.get(&ada.at("/subscription")).await?.status, StatusCode::OK);
    Ok(())
}
