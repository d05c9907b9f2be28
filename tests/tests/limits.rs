//! A limit holds: for callers at once, for raw SQL, after deletes, after rollbacks.

use futures_util::future::join_all;
use reqwest::StatusCode;
use saas_kernel_tests::{TestApp, TestResult, eventually, subscription_event};
use serde_json::json;

/// The free plan allows 5; the sign-up's hook made the first.
const COUNT: &str = "SELECT count(*) FROM tracker.projects";
const USED: &str = "SELECT used FROM kernel.usage WHERE key = 'projects'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_at_once_fill_exactly_the_limit() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let first = ada.get(&ada.at("/projects")).await?.expect(StatusCode::OK)?;
    let first = first["items"][0]["id"].as_str().unwrap_or_default().to_owned();
    ada.delete(&ada.at(&format!("/projects/{first}"))).await?.expect(StatusCode::NO_CONTENT)?;
    assert_eq!((app.count(COUNT).await?, app.count(USED).await?), (0, 0), "the deleted row gave its place back");

    let answers = join_all((0..30).map(|n| {
        let ada = ada.clone();
        async move {
            ada.create_project(&format!("Project {n}")).await.map(|answer| (answer.status, answer.code().to_owned()))
        }
    }))
    .await;
    let (mut made, mut refused) = (0, 0);
    for answer in answers {
        match answer? {
            (StatusCode::CREATED, _) => made += 1,
            (StatusCode::PAYMENT_REQUIRED, code) if code == "limit_reached" => refused += 1,
            other => return Err(format!("unexpected: {other:?}").into()),
        }
    }
    assert_eq!((made, refused), (5, 25));
    assert_eq!((app.count(COUNT).await?, app.count(USED).await?), (5, 5));
    Ok(())
}

#[tokio::test]
async fn the_refusal_names_what_is_used_and_the_plan_that_has_more() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    for n in 2..=5 {
        ada.create_project(&format!("Project {n}")).await?.expect(StatusCode::CREATED)?;
    }
    let refused = ada.create_project("One more").await?;
    assert_eq!((refused.status, refused.code()), (StatusCode::PAYMENT_REQUIRED, "limit_reached"));
    assert_eq!(refused.body["error"]["plan"], "starter");
    assert_eq!(refused.body["error"]["message"], "5 of 5 `projects` of the plan Free are used; Starter allows 50");
    let entitlements = ada.get(&ada.at("/entitlements")).await?.expect(StatusCode::OK)?;
    assert_eq!(entitlements["limits"]["projects"], json!({ "allowed": false, "limit": 5, "usage": 5 }));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_sql_of_the_product_is_held_too() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let insert = "INSERT INTO tracker.projects (workspace_id, id, name, created_by_type, created_by_id, created_at, updated_at)
                  SELECT kernel.ws(), gen_random_uuid(), 'Raw', 'user', gen_random_uuid(), now(), now() FROM generate_series(1, $1)";
    let begin = async || -> Result<_, saas_kernel::BoxError> {
        let pool = sqlx::PgPool::connect(&app.db.app_url()).await?;
        let workspace: saas_kernel::id::WorkspaceId = ada.workspace_id.parse()?;
        let mut tx = pool.begin().await?;
        sqlx::query("SELECT set_config('app.workspace_id', $1, true)")
            .bind(workspace.uuid().to_string())
            .execute(&mut *tx)
            .await?;
        Ok(tx)
    };
    // Rolled back: nothing counts.
    let mut tx = begin().await?;
    sqlx::query(insert).bind(4).execute(&mut *tx).await?;
    tx.rollback().await?;
    assert_eq!(app.count(USED).await?, 1);
    // One too many: all of the statement is refused.
    let mut tx = begin().await?;
    let error = sqlx::query(insert).bind(5).execute(&mut *tx).await.expect_err("six of five");
    let error = error.into_database_error().ok_or("a database error")?;
    assert_eq!((error.code().as_deref(), error.constraint()), (Some("KL001"), Some("projects")));
    drop(tx);
    // Exactly the rest fits, raced by thirty.
    let inserted = join_all((0..30).map(|_| async {
        let mut tx = begin().await?;
        let done = sqlx::query(insert).bind(1).execute(&mut *tx).await.is_ok();
        if done {
            tx.commit().await?;
        }
        Ok::<_, saas_kernel::BoxError>(done)
    }))
    .await;
    let inserted: Vec<bool> = inserted.into_iter().collect::<Result<_, _>>()?;
    assert_eq!(inserted.iter().filter(|done| **done).count(), 4);
    assert_eq!((app.count(COUNT).await?, app.count(USED).await?), (5, 5));
    // Raw deletes give the places back.
    let mut tx = begin().await?;
    sqlx::query("DELETE FROM tracker.projects").execute(&mut *tx).await?;
    tx.commit().await?;
    assert_eq!((app.count(COUNT).await?, app.count(USED).await?), (0, 0));
    Ok(())
}

#[tokio::test]
async fn a_downgrade_holds_from_its_commit_on_and_deletes_nothing() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let id = &ada.workspace_id;
    let plan_is =
        async |plan: &str| eventually(plan, || async { Ok(ada.get(&ada.at("")).await?.body["plan"] == plan) }).await;
    app.stripe(&subscription_event("evt_1", "created", id, "price_starter_month", "active", -10))
        .await?
        .expect(StatusCode::OK)?;
    plan_is("starter").await?;
    for n in 2..=8 {
        ada.create_project(&format!("Project {n}")).await?.expect(StatusCode::CREATED)?;
    }
    app.stripe(&subscription_event("evt_2", "deleted", id, "price_starter_month", "canceled", 0))
        .await?
        .expect(StatusCode::OK)?;
    plan_is("free").await?;
    assert_eq!(ada.create_project("One more").await?.code(), "limit_reached");
    assert_eq!(app.count(COUNT).await?, 8, "nothing is deleted");
    Ok(())
}

/// An upsert that finds its row needs no place: the one that was reserved is given back by the commit.
#[tokio::test]
async fn a_reservation_without_a_row_is_given_back() -> TestResult {
    use saas_kernel::Call;
    use saas_kernel::billing::limits::reserve;
    use saas_kernel::identity::authenticate::Keep;
    use saas_kernel::identity::credential::Credential;
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let set = app.caller().log_in("ada@example.com").await?;
    let set = set.headers.get("set-cookie").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = saas_kernel::secret::Token::presented(set.split([';', '=']).nth(1).unwrap_or_default());
    let ctx = saas_kernel::Ctx::at(app.kernel.now());
    let (call, credential) = (Call::new(ctx), Credential::Session(token));
    let found = app.kernel.authenticate(&call, &credential, Some(&ada.workspace_id.parse()?), Keep::No).await?;
    let grant = found.ok_or("a caller")?.member()?.clone();
    let can = grant.allow::<reference::projects::CreateProject>()?;
    let mut tx = app.store.begin_tenant(&grant).await?;
    reserve(&can, &mut tx, saas_kernel::Limit("projects"), 3).await?;
    sqlx::query(
        "INSERT INTO tracker.projects SELECT * FROM tracker.projects ON CONFLICT (workspace_id, id) DO NOTHING",
    )
    .execute(tx.conn())
    .await?;
    sqlx::query(
        "INSERT INTO tracker.projects (workspace_id, id, name, created_by_type, created_by_id, created_at, updated_at)
         SELECT kernel.ws(), gen_random_uuid(), 'Raw', 'user', gen_random_uuid(), now(), now()",
    )
    .execute(tx.conn())
    .await?;
    tx.commit().await?;
    assert_eq!((app.count(COUNT).await?, app.count(USED).await?), (2, 2));
    assert!(
        reserve(&can, &mut app.store.begin_tenant(&grant).await?, saas_kernel::Limit("projects"), 0).await.is_err()
    );
    assert!(
        reserve(&can, &mut app.store.begin_tenant(&grant).await?, saas_kernel::Limit("nobody_names_it"), 1)
            .await
            .is_err()
    );
    Ok(())
}

/// The configuration allows another number: told to the database once, for every workspace of the plan.
#[tokio::test]
async fn a_changed_configuration_reaches_the_caps() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/reference/product.config.yaml");
    let text = std::fs::read_to_string(file)?
        .replace("limits: { projects: 5,", "limits: { boards: 7, projects: 2,")
        .replace("limits: { projects", "limits: { boards: 9, projects");
    let changed = saas_kernel::ProductConfig::parse(&text)?;
    assert!(app.system.sync_catalog(&changed.catalog).await?);
    assert!(!app.system.sync_catalog(&changed.catalog).await?, "the second time there is nothing to do");
    let limits = ada.get(&ada.at("/entitlements")).await?.body["limits"].clone();
    assert_eq!(
        limits,
        json!({
            "boards": { "allowed": true, "limit": 7, "usage": 0 },
            "members": { "allowed": true, "limit": 5, "usage": 1 },
            "projects": { "allowed": true, "limit": 2, "usage": 1 },
        })
    );
    Ok(())
}
