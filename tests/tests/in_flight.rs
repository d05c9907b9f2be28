//! A call is let in, and what let it in ends before the call does.
#![expect(clippy::indexing_slicing, reason = "a test that indexes wrong fails, as it should")]

use std::sync::Arc;

use chrono::TimeDelta;
use futures_util::future::{join, join_all};
use reqwest::{Method, StatusCode};
use saas_kernel::Call;
use saas_kernel::actor::Actor;
use saas_kernel::billing::limits::{self, Limit};
use saas_kernel::identity::authenticate::Keep;
use saas_kernel::identity::credential::Credential;
use saas_kernel::secret::Token;
use saas_kernel::store::IdentityRepositories;
use saas_kernel::{BoxError, Ctx, Error, Grant, StoreError};
use saas_kernel_postgres::PgResult;
use saas_kernel_tests::teammates::{join as join_workspace, user_id};
use saas_kernel_tests::{Answer, Caller, TestApp, TestResult, eventually, patient_db, subscription_event};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PROJECTS: &str = "SELECT count(*) FROM tracker.projects";

/// The grant of a call to the workspace of `by` that whoever has this address makes now.
async fn let_in(app: &TestApp, by: &Caller, email: &str) -> Result<Arc<Grant>, BoxError> {
    let answer = app.caller().log_in(email).await?;
    let set = answer.headers.get("set-cookie").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = Token::presented(set.split([';', '=']).nth(1).unwrap_or_default());
    let (ctx, asked) = (Ctx::at(app.kernel.now()), by.workspace_id.parse()?);
    let caller = app
        .kernel
        .authenticate(&Call::new(ctx), &Credential::Session(token), Some(&asked), Keep::No)
        .await?
        .ok_or("a caller")?;
    Ok(caller.member()?.clone())
}

async fn insert_project(tx: &mut saas_kernel_postgres::PgTx) -> Result<(), StoreError> {
    let insert =
        "INSERT INTO tracker.projects (workspace_id, id, name, created_by_type, created_by_id, created_at, updated_at)
                  SELECT kernel.ws(), gen_random_uuid(), 'In flight', 'user', gen_random_uuid(), now(), now()";
    sqlx::query(insert).execute(tx.conn()).await.store().map(drop)
}

async fn make_key(by: &Caller) -> Result<(String, String), BoxError> {
    let new = json!({ "name": "CI", "scopes": ["project.create", "project.update"] });
    let made = by.post(&by.at("/api-keys"), &new).await?.expect(StatusCode::CREATED)?;
    let text = |field: &str| made[field].as_str().unwrap_or_default().to_owned();
    Ok((by.at(&format!("/api-keys/{}", text("id"))), text("token")))
}

#[tokio::test]
async fn nothing_is_kept_for_somebody_who_was_removed_meanwhile() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let grace = join_workspace(&app, &ada, "Grace", "admin").await?;
    let grace_at = ada.at(&format!("/members/{}", user_id(&grace).await?));
    let grant = let_in(&app, &ada, "grace@example.com").await?;
    let before = app.count(PROJECTS).await?;

    let mut demoted = app.store.begin_tenant(&grant).await?;
    insert_project(&mut demoted).await?;
    ada.patch(&grace_at, &json!({ "role": "viewer" })).await?.expect(StatusCode::OK)?;
    assert!(matches!(demoted.commit().await, Err(StoreError::AccessChanged)));

    let grant = let_in(&app, &ada, "grace@example.com").await?;
    let mut removed = app.store.begin_tenant(&grant).await?;
    insert_project(&mut removed).await?;
    ada.delete(&grace_at).await?.expect(StatusCode::NO_CONTENT)?;
    assert!(matches!(removed.commit().await, Err(StoreError::AccessChanged)));
    assert_eq!(app.count(PROJECTS).await?, before);
    Ok(())
}

/// Recording a key's use writes the row that its commit looks at again; a revocation waits for the one and then the other.
#[tokio::test]
async fn recording_a_keys_use_and_revoking_it_do_not_deadlock() -> TestResult {
    let app = TestApp::start_on(patient_db().await?, |_| {}).await?;
    let ada = app.sign_up("Ada").await?;
    let (address, key) = make_key(&ada).await?;
    app.count("WITH used AS (UPDATE kernel.api_keys SET last_used_at = now() RETURNING 1) SELECT count(*) FROM used")
        .await?;
    let (ctx, asked) = (Ctx::at(app.kernel.now()), ada.workspace_id.parse()?);
    let credential = Credential::ApiKey(Token::presented(&key));
    let caller = app.kernel.authenticate(&Call::new(ctx), &credential, Some(&asked), Keep::No).await?;
    let grant = caller.ok_or("a caller")?.member()?.clone();
    let Actor::ApiKey(id) = grant.actor() else { return Err("a key".into()) };
    let later = app.kernel.now() + TimeDelta::minutes(1);

    let mut record = app.store.begin_tenant(&grant).await?;
    record.api_keys().touch(grant.workspace(), id, later).await?;
    let revoke = tokio::spawn({
        let (ada, address) = (ada.clone(), address.clone());
        async move { ada.delete(&address).await.map_err(|error| error.to_string()) }
    });
    eventually("the revocation waits", || async {
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        Ok(app.count(waiting).await? == 1)
    })
    .await?;
    record.commit().await?;
    revoke.await??.expect(StatusCode::NO_CONTENT)?;
    Ok(())
}

/// The body of the call arrives after the key was revoked; the call had been let in before.
#[tokio::test]
async fn a_key_revoked_in_flight_writes_nothing() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let (address, key) = make_key(&ada).await?;
    let before = app.count(PROJECTS).await?;

    let mut connection = TcpStream::connect(app.address).await?;
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: app\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\nconnection: close\r\n\r\n",
        ada.at("/projects")
    );
    connection.write_all(head.as_bytes()).await?;
    // Noted beside the call as soon as the key has let it in.
    let used =
        || async { Ok(app.count("SELECT count(*) FROM kernel.api_keys WHERE last_used_at IS NOT NULL").await? == 1) };
    eventually("the call is let in", used).await?;
    ada.delete(&address).await?.expect(StatusCode::NO_CONTENT)?;
    let body = r#"{"name":"Too late"}"#;
    connection.write_all(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("access_changed"), "{answer}");
    assert_eq!(app.count(PROJECTS).await?, before);
    Ok(())
}

/// Once a removal or a revocation is answered, nothing more appears: the calls that came through had come through by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_appears_after_the_answer() -> TestResult {
    let app = TestApp::start_with(|settings| settings.pool.max_connections = 16).await?;
    let (mut kept, mut refused) = (0, 0);
    for round in 0..12 {
        let ada = app.sign_up(&format!("Ada{round}")).await?;
        app.stripe(&subscription_event(
            &format!("evt_{round}"),
            "created",
            &ada.workspace_id,
            "price_enterprise_month",
            "active",
            0,
        ))
        .await?
        .expect(StatusCode::OK)?;
        let paid = || async { Ok(ada.get(&ada.at("/entitlements")).await?.body["plan"] == "enterprise") };
        eventually("the plan is there", paid).await?;
        let grace = join_workspace(&app, &ada, &format!("Grace{round}"), "admin").await?;
        let (key_at, key) = make_key(&ada).await?;
        let by_key = round % 2 == 0;
        let ends = if by_key { key_at } else { ada.at(&format!("/members/{}", user_id(&grace).await?)) };
        let create = |n: usize| {
            let request = grace.request(Method::POST, &ada.at("/projects")).json(&json!({ "name": format!("P{n}") }));
            Answer::of(if by_key { request.bearer_auth(&key) } else { request })
        };
        let end = async {
            // Somewhere in the middle of them, each time elsewhere.
            for _ in 0..round {
                ada.get(&ada.at("/entitlements")).await?.expect(StatusCode::OK)?;
            }
            ada.delete(&ends).await?.expect(StatusCode::NO_CONTENT)?;
            app.count(PROJECTS).await
        };
        let (answers, at_the_answer) = join(join_all((0..24).map(create)), end).await;
        assert_eq!(app.count(PROJECTS).await?, at_the_answer?, "round {round}");
        for answer in answers {
            let answer = answer?;
            match (answer.status, answer.code()) {
                (StatusCode::CREATED, _) => kept += 1,
                (_, "access_changed" | "not_found" | "unauthenticated") => refused += 1,
                _ => return Err(answer.text.into()),
            }
        }
    }
    assert!(kept > 0 && refused > 0, "both happen: {kept} kept, {refused} refused");
    Ok(())
}

/// A commit that has looked is waited for by whoever would end what it looked at: never the answer first and the row after.
/// Commits that come later queue behind the end, so that ever more of them cannot keep it waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_waits_for_the_commits_that_have_come_through() -> TestResult {
    let app = TestApp::start_on(patient_db().await?, |_| {}).await?;
    let ada = app.sign_up("Ada").await?;
    let grace = join_workspace(&app, &ada, "Grace", "admin").await?;
    let (key_at, key) = make_key(&ada).await?;
    let grace_at = ada.at(&format!("/members/{}", user_id(&grace).await?));
    ada.create_project("Second").await?.expect(StatusCode::CREATED)?;
    let projects = ada.get(&ada.at("/projects")).await?.expect(StatusCode::OK)?;
    // Noting that a key is used would wait too.
    Answer::of(grace.request(Method::POST, &ada.at("/projects")).bearer_auth(&key).json(&json!({ "name": "Third" })))
        .await?
        .expect(StatusCode::CREATED)?;
    let used =
        || async { Ok(app.count("SELECT count(*) FROM kernel.api_keys WHERE last_used_at IS NOT NULL").await? == 1) };
    eventually("the use is noted", used).await?;
    // Whoever commits a project waits for this lock, in the commit itself.
    let mut gate = app.db.admin().await?;
    sqlx::raw_sql(
        "CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN NULL; END';
         CREATE CONSTRAINT TRIGGER wait AFTER UPDATE ON tracker.projects DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION public.wait()",
    )
    .execute(&mut gate)
    .await?;
    for (by_key, ends) in [(true, &key_at), (false, &grace_at)] {
        sqlx::query("SELECT pg_advisory_lock(42)").execute(&mut gate).await?;
        // Each of another row: they do not wait for each other.
        let rename = |n: usize| {
            let at = ada.at(&format!("/projects/{}", projects["items"][n]["id"].as_str().unwrap_or_default()));
            let request = grace.request(Method::PATCH, &at).json(&json!({ "name": format!("By key: {by_key}") }));
            tokio::spawn(Answer::of(if by_key { request.bearer_auth(&key) } else { request }))
        };
        let in_time = rename(0);
        let waiting = |n| {
            let app = &app;
            move || async move {
                let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
                Ok(app.count(waiting).await? == n)
            }
        };
        eventually("the change commits", waiting(1)).await?;
        let end = ada.delete(ends);
        tokio::pin!(end);
        tokio::select! {
            answer = &mut end => return Err(format!("it did not wait: {}", answer?.status).into()),
            waits = eventually("the end waits", waiting(2)) => waits?,
        }
        let too_late = rename(1);
        eventually("the next one waits", waiting(3)).await?;
        sqlx::query("SELECT pg_advisory_unlock(42)").execute(&mut gate).await?;
        end.await?.expect(StatusCode::NO_CONTENT)?;
        in_time.await??.expect(StatusCode::OK)?;
        assert_eq!(too_late.await??.code(), "access_changed");
    }
    Ok(())
}

/// The cap stands beside the count: a reservation that comes after the downgrade meets the smaller plan.
#[tokio::test]
async fn a_downgrade_holds_for_a_reservation_that_comes_after_it() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let is_on = |key: &'static str| {
        let ada = &ada;
        move || async move { Ok(ada.get(&ada.at("/entitlements")).await?.body["plan"] == key) }
    };
    let event = |id, kind, status, seconds| {
        subscription_event(id, kind, &ada.workspace_id, "price_starter_month", status, seconds)
    };
    app.stripe(&event("evt_1", "created", "active", -9)).await?.expect(StatusCode::OK)?;
    eventually("the larger plan is there", is_on("starter")).await?;
    for n in 2..=5 {
        ada.create_project(&format!("Project {n}")).await?.expect(StatusCode::CREATED)?;
    }
    let grant = let_in(&app, &ada, "ada@example.com").await?;
    let mut tx = app.store.begin_tenant(&grant).await?;
    let can = grant.allow::<reference::projects::CreateProject>()?;
    app.stripe(&event("evt_2", "deleted", "canceled", 0)).await?.expect(StatusCode::OK)?;
    eventually("the smaller plan is there", is_on("free")).await?;
    let refused = limits::reserve(&can, &mut tx, Limit("projects"), 1).await;
    let Err(Error::Refused(refusal)) = refused else { return Err(format!("{refused:?}").into()) };
    assert_eq!((refusal.code(), refusal.plan()), ("limit_reached", Some("starter")));
    assert_eq!(refusal.message(), "5 of 5 `projects` are used; Starter allows 50");
    // And without a reservation, by raw SQL.
    assert!(matches!(insert_project(&mut tx).await, Err(StoreError::Limit(key)) if key == "projects"));
    Ok(())
}
