//! Invites: how long they last, how many there are, and what becomes of them when their mail does not.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::StatusCode;
use saas_kernel::BoxError;
use saas_kernel_tests::teammates::{accept, invite, join, token, user_id};
use saas_kernel_tests::{TestApp, TestResult};
use serde_json::{Value, json};

fn time(value: &Value) -> Result<DateTime<Utc>, BoxError> {
    Ok(value.as_str().ok_or("a time")?.parse()?)
}

#[tokio::test]
async fn an_invite_is_good_for_seven_days() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let made = invite(&ada, "grace@example.com", "member").await?.expect(StatusCode::CREATED)?;
    assert_eq!(time(&made["expires_at"])? - time(&made["created_at"])?, TimeDelta::days(7), "{made}");
    // What is promised is what is kept.
    let listed = ada.get(&ada.at("/invites")).await?.expect(StatusCode::OK)?;
    assert_eq!(listed["items"], json!([made]));
    Ok(())
}

/// 99 that are open, and one each that was accepted, was revoked, or has expired: those do not count.
const NEARLY_FULL: &str = "
INSERT INTO kernel.invites (workspace_id, id, email, email_lower, role, token_hash, invited_by, created_at, expires_at, accepted_at, revoked_at)
SELECT m.workspace_id, gen_random_uuid(), n || '@fill.example', n || '@fill.example', 'member', sha256(n::text::bytea), m.user_id,
       now() - interval '8 days', now() + CASE n WHEN 100 THEN interval '-1 second' ELSE interval '1 day' END,
       CASE n WHEN 101 THEN now() END, CASE n WHEN 102 THEN now() END
FROM kernel.memberships m, generate_series(1, 102) n";

#[tokio::test]
async fn a_hundred_invites_are_open_at_most() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    sqlx::raw_sql(NEARLY_FULL).execute(&mut app.db.admin().await?).await?;
    let last = invite(&ada, "hundredth@example.com", "member").await?.expect(StatusCode::CREATED)?;
    let before = app.count("SELECT count(*) FROM kernel.audit_log").await?;

    let refused = invite(&ada, "late@example.com", "member").await?;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "too_many_invites"), "{}", refused.text);
    assert_eq!(app.count("SELECT count(*) FROM kernel.invites WHERE email = 'late@example.com'").await?, 0);
    assert_eq!(app.count("SELECT count(*) FROM kernel.audit_log").await?, before, "no trace of what did not happen");
    assert!(token(&app, "late@example.com").is_err(), "nor a mail");

    // As the message says: with one revoked, there is room.
    let address = ada.at(&format!("/invites/{}", last["id"].as_str().unwrap_or_default()));
    ada.delete(&address).await?.expect(StatusCode::NO_CONTENT)?;
    invite(&ada, "late@example.com", "member").await?.expect(StatusCode::CREATED)?;
    Ok(())
}

/// Without a mailer none is ever sent.
#[tokio::test]
async fn an_invite_whose_mail_fails_is_kept_and_can_be_repeated() -> TestResult {
    let app = TestApp::start_with(|settings| settings.dev_mail = None).await?;
    let ada = app.sign_up("Ada").await?;
    let mut listed = Vec::new();
    for role in ["member", "viewer"] {
        let failed = invite(&ada, "grace@example.com", role).await?;
        assert_eq!((failed.status, failed.code()), (StatusCode::SERVICE_UNAVAILABLE, "mail_unavailable"));
        let open = ada.get(&ada.at("/invites")).await?.expect(StatusCode::OK)?;
        assert_eq!(open["items"].as_array().map(Vec::len), Some(1), "one to an address: {open}");
        let item = &open["items"][0];
        assert_eq!((&item["email"], &item["role"]), (&json!("grace@example.com"), &json!(role)));
        listed.push(time(&item["created_at"])?);
    }
    assert!(listed[0] < listed[1], "the second is a new one: {listed:?}");
    Ok(())
}

/// Nobody is told of a mail that was not sent, and who reads the outbox of development reads text and not pages.
#[tokio::test]
async fn the_page_of_mail_is_for_development_only_and_runs_nothing() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    ada.patch(&ada.at(""), &json!({ "name": "<b>Bold</b> & \"Co\"" })).await?.expect(StatusCode::OK)?;
    invite(&ada, "grace@example.com", "member").await?.expect(StatusCode::CREATED)?;
    let page = app.caller().get("/dev/mail").await?;
    let kind = page.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    assert!(page.status == StatusCode::OK && kind.starts_with("text/html"), "{} {kind}", page.status);
    for place in ["<h2>You are invited to ", "join "] {
        let escaped = format!("{place}&lt;b&gt;Bold&lt;/b&gt; &amp; ");
        assert!(page.text.contains(&escaped), "{escaped} is not in {}", page.text);
    }
    assert!(!page.text.contains("<b>"), "{}", page.text);

    let app = TestApp::start_with(|settings| settings.dev_mail = None).await?;
    for path in ["/dev/mail", "/dev/mail.json"] {
        let missing = app.caller().get(path).await?;
        assert_eq!((missing.status, missing.code()), (StatusCode::NOT_FOUND, "not_found"), "{path}");
    }
    Ok(())
}

/// No call suspends anybody yet; operators do, in the database.
#[tokio::test]
async fn a_suspended_member_is_signed_in_and_nobodys_member() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let grace = join(&app, &ada, "Grace", "owner").await?;
    let (link, grace_id) = (token(&app, "grace@example.com")?, user_id(&grace).await?);
    let suspend = "UPDATE kernel.memberships SET status = 'suspended'
                   WHERE workspace_id = (SELECT workspace_id FROM kernel.slugs WHERE slug = $1)
                     AND user_id = (SELECT id FROM kernel.users WHERE email_lower = 'grace@example.com')";
    let suspended = sqlx::query(suspend).bind(&ada.workspace).execute(&mut app.db.admin().await?).await?;
    assert_eq!(suspended.rows_affected(), 1);

    // Signed in as ever, also anew; they are told why the workspace is closed to them.
    for person in [grace, {
        let again = app.caller();
        again.log_in("grace@example.com").await?.expect(StatusCode::OK)?;
        again
    }] {
        let mine = person.get("/api/v1/workspaces").await?.expect(StatusCode::OK)?;
        let slugs: Vec<_> = mine["items"].as_array().into_iter().flatten().map(|one| &one["slug"]).collect();
        assert_eq!(slugs, ["grace"], "{mine}");
        let permissions = person.get("/api/v1/me/permissions").await?.expect(StatusCode::OK)?;
        assert_eq!(permissions["items"].as_array().map(Vec::len), Some(1), "{permissions}");
        let workspace = person.get(&ada.at("")).await?;
        assert_eq!(workspace.code(), "membership_suspended", "{}", workspace.text);
        // The link that made them a member does not do so again.
        assert_eq!(accept(&person, &link).await?.code(), "invite_unusable");
    }
    let members = ada.get(&ada.at("/members")).await?.expect(StatusCode::OK)?;
    let names: Vec<_> = members["items"].as_array().into_iter().flatten().map(|member| &member["name"]).collect();
    assert_eq!(names, ["Ada"], "{members}");
    // Nor are they an owner who could be left alone with the workspace.
    assert_eq!(ada.post(&ada.at("/members/leave"), &json!({})).await?.code(), "last_owner");
    let grace_at = ada.at(&format!("/members/{grace_id}"));
    assert_eq!(ada.patch(&grace_at, &json!({ "role": "viewer" })).await?.code(), "not_found");
    assert_eq!(ada.delete(&grace_at).await?.code(), "not_found");
    assert_eq!(
        app.count("SELECT max(used) FROM kernel.usage WHERE key = 'members'").await?,
        2,
        "the seat stays theirs"
    );
    Ok(())
}

/// Suspended is not gone: no invite leads back in.
#[tokio::test]
async fn a_suspended_member_is_not_invited_anew() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let grace = join(&app, &ada, "Grace", "member").await?;
    let link = token(&app, "grace@example.com")?;
    for sql in [
        "UPDATE kernel.memberships SET status = 'suspended' WHERE role = 'member'",
        "UPDATE kernel.invites SET accepted_at = NULL, accepted_by = NULL",
    ] {
        sqlx::query(sql).execute(&mut app.db.admin().await?).await?;
    }
    let again = invite(&ada, "grace@example.com", "member").await?;
    assert_eq!((again.status, again.code()), (StatusCode::CONFLICT, "already_member"), "{}", again.text);
    let accepted = accept(&grace, &link).await?;
    assert_eq!(accepted.code(), "invite_unusable");
    assert!(accepted.text.contains("suspended"), "{}", accepted.text);
    assert_eq!(grace.get(&ada.at("")).await?.code(), "membership_suspended", "still suspended");
    Ok(())
}
