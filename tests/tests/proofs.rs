//! Proofs: where they come from, and where they do not count.

use saas_kernel::Call;
use saas_kernel::access::{Explanation, Permission, Roles};
use saas_kernel::identity::authenticate::{Caller, Keep};
use saas_kernel::identity::credential::Credential;
use saas_kernel::identity::lookups::WorkspaceRef;
use saas_kernel::permissions::UpdateWorkspace;
use saas_kernel::secret::Token;
use saas_kernel::{BoxError, Ctx, Error, Proof, ReadTx, StoreError, SystemStore, Tx, access, audit, permissions};
use saas_kernel_postgres::PgTx;
use saas_kernel_tests::{Caller as HttpCaller, TestApp, TestResult, config};

async fn authenticate(app: &TestApp, caller: &HttpCaller, email: &str) -> Result<Caller, BoxError> {
    let answer = app.caller().log_in(email).await?;
    let set = answer.headers.get("set-cookie").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = set.split([';', '=']).nth(1).unwrap_or_default();
    let workspace: WorkspaceRef = caller.workspace_id.parse()?;
    let ctx = Ctx::at(app.kernel.now());
    let credential = Credential::Session(Token::presented(token));
    Ok(app.kernel.authenticate(&Call::new(ctx), &credential, Some(&workspace), Keep::No).await?.ok_or("a caller")?)
}

#[tokio::test]
async fn a_proof_counts_in_its_own_workspaces_transactions_only() -> TestResult {
    let app = TestApp::start().await?;
    let (ada, eve) = (app.sign_up("Ada").await?, app.sign_up("Eve").await?);
    let of_ada = authenticate(&app, &ada, "ada@example.com").await?;
    let of_eve = authenticate(&app, &eve, "eve@example.com").await?;
    let (grant, other) = (of_ada.member()?.clone(), of_eve.member()?.clone());
    let can = grant.allow::<UpdateWorkspace>()?;
    let note = |tx: &mut dyn Tx| audit::record(&can, tx, "test.noted", "workspace", can.workspace());

    note(&mut app.store.begin_tenant(&grant).await?)?;
    let store = app.kernel.store();
    for mut tx in [
        store.begin(other.scope()).await?,
        store.begin(of_ada.person()?.scope()).await?,
        SystemStore::begin(&app.system, "test").await?,
    ] {
        assert!(matches!(note(&mut *tx), Err(Error::Store(StoreError::Scope))), "{:?}", tx.scope());
    }
    // What was begun for the system is never begun by the application's store.
    let system = app.system.begin_system("test").await?;
    assert!(matches!(store.begin(system.scope().clone()).await, Err(StoreError::Scope)));
    assert!(PgTx::of(&mut *store.begin(grant.scope()).await?).is_ok());
    let explained = grant.explain(UpdateWorkspace::NAME);
    let Explanation { permission, held, by, holders, .. } = &explained;
    assert_eq!((*permission, *held, by.as_deref()), (UpdateWorkspace::NAME, true, Some("*")));
    assert_eq!(holders, &["owner", "admin"]);
    assert_eq!(explained.to_string(), "`owner` has `workspace.update` through `*`");
    let mut missing = explained.clone();
    (missing.role, missing.held, missing.by) = ("viewer".to_owned(), false, None);
    assert_eq!(missing.to_string(), "`viewer` does not have `workspace.update`; roles that do: owner, admin");
    Ok(())
}

/// More than one statement can bind, and a workspace's order stays that of the calls.
#[tokio::test]
async fn thousands_of_records_commit_together() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let grant = authenticate(&app, &ada, "ada@example.com").await?.member()?.clone();
    let can = grant.allow::<UpdateWorkspace>()?;
    let mut tx = app.store.begin_tenant(&grant).await?;
    for n in 0..7_000 {
        audit::record(&can, &mut tx, "test.noted", "number", n)?;
    }
    tx.commit().await?;
    let sql = "SELECT count(*) FROM (SELECT target_id::int - lag(target_id::int) OVER (ORDER BY at, id) AS step
               FROM kernel.audit_log WHERE action = 'test.noted') AS steps WHERE step = 1";
    assert_eq!(app.count(sql).await?, 6_999);
    Ok(())
}

/// The matrix of the reference app, as committed. Who changes a role changes this file in the same commit.
#[test]
fn the_role_matrix_is_the_committed_one() -> TestResult {
    let registry = [&permissions::all(), reference::projects::PERMISSIONS].concat();
    let roles = Roles::resolve(&config()?.roles, registry).map_err(|problems| problems.join("\n"))?;
    let committed = include_str!("../../examples/reference/roles.md");
    assert_eq!(
        roles.table(),
        committed,
        "the matrix changed; write it to examples/reference/roles.md:\n{}",
        roles.table()
    );

    // The thirteen actions of a B2B product; reading is apart.
    let actions: Vec<_> = roles
        .registry()
        .iter()
        .filter(|permission| !permission.name.ends_with(".read") || permission.name == "audit.read")
        .collect();
    assert_eq!(actions.len(), 13);
    for (role, expect) in [("owner", 13), ("admin", 9), ("member", 4), ("viewer", 0)] {
        let held =
            actions.iter().filter(|permission| roles.get(role).bits.has(access::intern(permission.name))).count();
        assert_eq!(held, expect, "{role}");
    }
    Ok(())
}

/// With one connection in all, nothing works that takes a second one while it holds the first.
#[tokio::test]
async fn one_checkout_serves_a_request() -> TestResult {
    let app = TestApp::start_with(|settings| settings.pool.max_connections = 1).await?;
    let ada = app.sign_up("Ada").await?;
    let project = ada.create_project("Second").await?.expect(reqwest::StatusCode::CREATED)?;
    let project = ada.at(&format!("/projects/{}", project["id"].as_str().unwrap_or_default()));
    for path in [
        "/api/v1/me",
        "/api/v1/workspaces",
        &ada.at(""),
        &ada.at("/entitlements"),
        &ada.at("/audit"),
        &ada.at("/projects"),
        &project,
    ] {
        ada.get(path).await?.expect(reqwest::StatusCode::OK)?;
    }
    ada.patch(&project, &serde_json::json!({ "name": "Renamed" })).await?.expect(reqwest::StatusCode::OK)?;
    ada.delete(&project).await?.expect(reqwest::StatusCode::NO_CONTENT)?;
    ada.post("/api/v1/workspaces", &serde_json::json!({ "name": "Third" }))
        .await?
        .expect(reqwest::StatusCode::CREATED)?;
    ada.post("/api/v1/auth/logout", &serde_json::json!(null)).await?.expect(reqwest::StatusCode::NO_CONTENT)?;
    Ok(())
}
