//! Teammates: invited, joined, promoted, removed; always with an owner, never above the inviter, never beyond the seats.

use futures_util::future::join_all;
use reqwest::StatusCode;
use saas_kernel_tests::teammates::{accept, invite, join, token, user_id};
use saas_kernel_tests::{TestApp, TestResult};
use serde_json::{Value, json};

fn roles(members: &Value) -> Vec<(&str, &str)> {
    members["items"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|m| (m["name"].as_str().unwrap_or_default(), m["role"].as_str().unwrap_or_default()))
        .collect()
}

#[tokio::test]
async fn invited_joined_promoted_removed() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let made = invite(&ada, "Grace@Example.com", "member").await?.expect(StatusCode::CREATED)?;
    assert_eq!((&made["role"], &made["invited_by"]["type"]), (&json!("member"), &json!("user")));
    assert!(!made.to_string().contains("token"), "the token is in the mail only");
    let mail = app.caller().get("/dev/mail.json").await?.expect(StatusCode::OK)?;
    assert_eq!(
        (&mail["items"][0]["to"], mail["items"].as_array().map(Vec::len)),
        (&json!("Grace@Example.com"), Some(1))
    );

    // Another address cannot use the link; the right one can, whatever its case.
    let link = token(&app, "Grace@Example.com")?;
    let eve = app.sign_up("Eve").await?;
    assert_eq!(accept(&eve, &link).await?.code(), "invite_for_another");
    let mut grace = app.sign_up("Grace").await?;
    let joined = accept(&grace, &link).await?.expect(StatusCode::OK)?;
    assert_eq!((&joined["workspace_id"], &joined["member"]["role"]), (&json!(ada.workspace_id), &json!("member")));
    // Again: nothing more happens, and nobody else gets in.
    accept(&grace, &link).await?.expect(StatusCode::OK)?;
    assert_eq!(accept(&eve, "inv_unknown").await?.code(), "not_found");
    grace.workspace.clone_from(&ada.workspace);
    let members = grace.get(&grace.at("/members")).await?.expect(StatusCode::OK)?;
    assert_eq!(roles(&members), [("Ada", "owner"), ("Grace", "member")]);
    assert_eq!(invite(&ada, "grace@example.com", "viewer").await?.code(), "already_member");

    let (ada_id, grace_id) = (user_id(&ada).await?, user_id(&grace).await?);
    let of = |id: &str| ada.at(&format!("/members/{id}"));
    assert_eq!(grace.patch(&of(&ada_id), &json!({ "role": "viewer" })).await?.code(), "forbidden");
    ada.patch(&of(&grace_id), &json!({ "role": "admin" })).await?.expect(StatusCode::OK)?;
    for (answer, code) in [
        (grace.patch(&of(&ada_id), &json!({ "role": "viewer" })).await?, "role_above_yours"),
        (grace.patch(&of(&grace_id), &json!({ "role": "owner" })).await?, "role_above_yours"),
        (grace.delete(&of(&ada_id)).await?, "role_above_yours"),
        (invite(&grace, "x@example.com", "owner").await?, "role_above_yours"),
        (invite(&grace, "x@example.com", "king").await?, "validation_failed"),
        (ada.patch(&of(&ada_id), &json!({ "role": "admin" })).await?, "last_owner"),
        (ada.delete(&of(&ada_id)).await?, "last_owner"),
        (ada.post(&ada.at("/members/leave"), &json!({})).await?, "last_owner"),
        (ada.delete(&of("usr_01h455vb4pex5vsknk084sn02q")).await?, "not_found"),
    ] {
        assert_eq!(answer.code(), code, "{}", answer.text);
    }
    let wrong = ada.post(&ada.at("/invites"), &json!({ "email": "nobody", "role": "king" })).await?;
    let fields = wrong.body["error"]["fields"].as_array().into_iter().flatten().map(|field| field["field"].clone());
    assert_eq!(fields.collect::<Vec<_>>(), ["email", "role"], "one answer names them all: {}", wrong.text);
    // A removed member's live session reaches the workspace no longer; the seat is free again.
    ada.delete(&of(&grace_id)).await?.expect(StatusCode::NO_CONTENT)?;
    assert_eq!(grace.get(&grace.at("/members")).await?.status, StatusCode::NOT_FOUND);
    assert_eq!(app.count("SELECT used FROM kernel.usage WHERE key = 'members' ORDER BY used DESC LIMIT 1").await?, 1);
    assert_eq!(accept(&grace, &link).await?.code(), "invite_unusable", "an old link revives nobody");

    let audit = ada.get(&ada.at("/audit?limit=100")).await?.expect(StatusCode::OK)?;
    let actions: Vec<_> = audit["items"].as_array().into_iter().flatten().map(|entry| &entry["action"]).collect();
    for action in ["member.invite", "member.join", "member.role_change", "member.remove"] {
        assert!(actions.contains(&&json!(action)), "{action}: {actions:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_invite_is_replaced_revoked_and_listed() -> TestResult {
    let app = TestApp::start().await?;
    let (ada, grace) = (app.sign_up("Ada").await?, app.sign_up("Grace").await?);
    invite(&ada, "grace@example.com", "member").await?.expect(StatusCode::CREATED)?;
    let first = token(&app, "grace@example.com")?;
    let again = invite(&ada, "GRACE@example.com", "viewer").await?.expect(StatusCode::CREATED)?;
    let second = token(&app, "GRACE@example.com")?;
    let open = ada.get(&ada.at("/invites")).await?.expect(StatusCode::OK)?;
    assert_eq!(open["items"], json!([again]), "one to an address");
    assert_eq!(accept(&grace, &first).await?.code(), "not_found", "the first link is void");
    let address = ada.at(&format!("/invites/{}", again["id"].as_str().unwrap_or_default()));
    ada.delete(&address).await?.expect(StatusCode::NO_CONTENT)?;
    assert_eq!(ada.delete(&address).await?.code(), "not_found");
    assert_eq!(accept(&grace, &second).await?.code(), "invite_unusable");

    invite(&ada, "grace@example.com", "member").await?.expect(StatusCode::CREATED)?;
    let mut admin = app.db.admin().await?;
    sqlx::query("UPDATE kernel.invites SET expires_at = now() - interval '1 second'").execute(&mut admin).await?;
    assert_eq!(accept(&grace, &token(&app, "grace@example.com")?).await?.code(), "invite_unusable");
    Ok(())
}

/// An invite is worth what its inviter may give when it is accepted.
#[tokio::test]
async fn an_invite_does_not_outlive_its_inviters_authority() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let grace = join(&app, &ada, "Grace", "admin").await?;
    invite(&grace, "eve@example.com", "admin").await?.expect(StatusCode::CREATED)?;
    let eve = app.sign_up("Eve").await?;
    let link = token(&app, "eve@example.com")?;
    let grace_at = ada.at(&format!("/members/{}", user_id(&grace).await?));
    ada.patch(&grace_at, &json!({ "role": "member" })).await?.expect(StatusCode::OK)?;
    assert_eq!(accept(&eve, &link).await?.code(), "invite_unusable");
    assert_eq!(invite(&grace, "x@example.com", "viewer").await?.code(), "forbidden");
    // The refusal used nothing up: with the authority back, the link works.
    ada.patch(&grace_at, &json!({ "role": "admin" })).await?.expect(StatusCode::OK)?;
    accept(&eve, &link).await?.expect(StatusCode::OK)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_owners_at_once_leave_one() -> TestResult {
    let app = TestApp::start().await?;
    for round in 0..4 {
        let ada = app.sign_up(&format!("Ada{round}")).await?;
        let grace = join(&app, &ada, &format!("Grace{round}"), "owner").await?;
        let ada_at = ada.at(&format!("/members/{}", user_id(&ada).await?));
        let grace_at = ada.at(&format!("/members/{}", user_id(&grace).await?));
        let (viewer, leave, nothing) = (json!({ "role": "viewer" }), ada.at("/members/leave"), json!({}));
        let answers = match round {
            0 => tokio::join!(ada.delete(&grace_at), grace.delete(&ada_at)),
            1 => tokio::join!(ada.patch(&grace_at, &viewer), grace.patch(&ada_at, &viewer)),
            2 => tokio::join!(ada.post(&leave, &nothing), grace.post(&leave, &nothing)),
            _ => tokio::join!(ada.delete(&grace_at), grace.patch(&ada_at, &viewer)),
        };
        let (one, other) = (answers.0?, answers.1?);
        let won = [&one, &other].iter().filter(|answer| answer.status.is_success()).count();
        assert_eq!(won, 1, "round {round}: {} / {}", one.text, other.text);
        let owners = app.count(
            "SELECT min(n) FROM (SELECT count(*) FILTER (WHERE role = 'owner') AS n FROM kernel.memberships
             GROUP BY workspace_id) AS counted",
        );
        assert_eq!(owners.await?, 1);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_invite_joins_once() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    invite(&ada, "grace@example.com", "member").await?.expect(StatusCode::CREATED)?;
    let (grace, link) = (app.sign_up("Grace").await?, token(&app, "grace@example.com")?);
    for answer in join_all((0..20).map(|_| accept(&grace, &link))).await {
        answer?.expect(StatusCode::OK)?;
    }
    assert_eq!(app.count("SELECT count(*) FROM kernel.audit_log WHERE action = 'member.join'").await?, 1);
    assert_eq!(app.count("SELECT max(used) FROM kernel.usage WHERE key = 'members'").await?, 2);
    Ok(())
}

/// The free plan has five seats, one of them the owner's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_accepts_fill_the_seats_exactly() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let names: Vec<String> = (0..30).map(|n| format!("P{n}")).collect();
    let people =
        join_all(names.iter().map(|name| app.sign_up(name))).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut links = Vec::new();
    for name in &names {
        let email = format!("{}@example.com", name.to_lowercase());
        invite(&ada, &email, "member").await?.expect(StatusCode::CREATED)?;
        links.push(token(&app, &email)?);
    }
    let answers = join_all(people.iter().zip(&links).map(|(person, link)| accept(person, link))).await;
    let mut joined = 0;
    for answer in answers {
        let answer = answer?;
        if answer.status == StatusCode::OK {
            joined += 1;
        } else {
            assert_eq!((answer.status, answer.code()), (StatusCode::PAYMENT_REQUIRED, "limit_reached"));
            assert!(answer.text.contains("all 5 seats"), "{}", answer.text);
        }
    }
    assert_eq!(joined, 4);
    assert_eq!(
        app.count("SELECT max(n) FROM (SELECT count(*) AS n FROM kernel.memberships GROUP BY workspace_id) AS c")
            .await?,
        5
    );
    let full = invite(&ada, "late@example.com", "member").await?;
    assert_eq!((full.code(), &full.body["error"]["plan"]), ("limit_reached", &json!("starter")));
    Ok(())
}

/// With one connection in all, accepting takes no second one while it holds the first.
#[tokio::test]
async fn accepting_needs_one_connection() -> TestResult {
    let app = TestApp::start_with(|settings| settings.pool.max_connections = 1).await?;
    let ada = app.sign_up("Ada").await?;
    let grace = join(&app, &ada, "Grace", "member").await?;
    grace.log_in("grace@example.com").await?.expect(StatusCode::OK)?;
    grace.get(&grace.at("/projects")).await?.expect(StatusCode::OK)?;
    Ok(())
}
