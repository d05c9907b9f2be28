//! Who gets in where: every route of the OpenAPI document, called by every kind of caller, as committed in
//! `examples/reference/access.md`. A new route changes the table; who reviews it sees for whom it opened.
#![expect(clippy::indexing_slicing, reason = "a test that indexes wrong fails, as it should")]

use std::fmt::Write;

use reqwest::{Method, StatusCode};
use saas_kernel::BoxError;
use saas_kernel::access::intern;
use saas_kernel_tests::{Answer, Caller, TestApp, TestResult};
use serde_json::json;

const ROLES: [&str; 4] = ["viewer", "member", "admin", "owner"];
const CALLERS: [&str; 10] = [
    "nobody",
    "outsider",
    "suspended",
    "viewer",
    "member",
    "admin",
    "owner",
    "key: project.read",
    "revoked key",
    "other's key",
];

struct Callers {
    people: Vec<Caller>,
    keys: [String; 3],
}

impl Callers {
    /// As in `CALLERS`, in the workspace of the owner.
    async fn in_one_workspace(app: &TestApp) -> Result<(Self, String), BoxError> {
        let owner = app.sign_up("Owner").await?;
        let mut people = vec![app.caller(), app.sign_up("Outsider").await?];
        for (name, role) in [("Suspended", "owner"), ("Viewer", "viewer"), ("Member", "member"), ("Admin", "admin")] {
            let person = app.sign_up(name).await?;
            let email = format!("{}@example.com", name.to_lowercase());
            let invite = json!({ "email": email, "role": role });
            owner.post(&owner.at("/invites"), &invite).await?.expect(StatusCode::CREATED)?;
            let mail = app.mails().into_iter().next().ok_or("a mail")?;
            let token = mail.text().split("?token=").nth(1).and_then(|rest| rest.split_whitespace().next());
            person.post("/api/v1/invites/accept", &json!({ "token": token })).await?.expect(StatusCode::OK)?;
            people.push(person);
        }
        let suspend = "UPDATE kernel.memberships SET status = 'suspended'
                       WHERE user_id = (SELECT id FROM kernel.users WHERE email_lower = 'suspended@example.com')
                         AND workspace_id = (SELECT workspace_id FROM kernel.slugs WHERE slug = 'owner')";
        let suspended = sqlx::query(suspend).execute(&mut app.db.admin().await?).await?;
        assert_eq!(suspended.rows_affected(), 1);
        let key = json!({ "name": "key", "scopes": ["project.read"] });
        let mut keys = [String::new(), String::new(), String::new()];
        let outsider = people[1].clone();
        for (slot, (by, revoke)) in keys.iter_mut().zip([(&owner, false), (&owner, true), (&outsider, false)]) {
            let made = by.post(&by.at("/api-keys"), &key).await?.expect(StatusCode::CREATED)?;
            made["token"].as_str().unwrap_or_default().clone_into(slot);
            if revoke {
                let at = by.at(&format!("/api-keys/{}", made["id"].as_str().unwrap_or_default()));
                by.delete(&at).await?.expect(StatusCode::NO_CONTENT)?;
            }
        }
        let workspace = owner.workspace.clone();
        people.push(owner);
        Ok((Self { people, keys }, workspace))
    }

    async fn call(&self, app: &TestApp, caller: usize, method: &Method, path: &str) -> Result<Answer, BoxError> {
        let request = match self.people.get(caller) {
            Some(person) => person.request(method.clone(), path),
            None => {
                let key = self.keys.get(caller - self.people.len()).ok_or("a caller")?;
                app.caller().request(method.clone(), path).bearer_auth(key)
            }
        };
        // A body that no route takes: who is let in is told so, and nothing changes.
        let request = if matches!(*method, Method::POST | Method::PATCH) { request.json(&json!({})) } else { request };
        Answer::of(request).await
    }
}

/// `yes` is let in, whatever the handler then says of the input.
fn outcome(answer: &Answer) -> &'static str {
    let message = answer.body["error"]["message"].as_str().unwrap_or_default();
    match answer.code() {
        "unauthenticated" => "401",
        "forbidden" | "membership_suspended" => "403",
        "not_found" if message == "there is no such workspace" => "404",
        _ => "yes",
    }
}

#[tokio::test]
async fn every_route_lets_in_whom_the_table_says() -> TestResult {
    let app = TestApp::start().await?;
    let (callers, workspace) = Callers::in_one_workspace(&app).await?;
    let document = app.caller().get("/openapi.json").await?.expect(StatusCode::OK)?;
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().ok_or("paths")? {
        for (method, operation) in item.as_object().ok_or("an item")? {
            let permission = operation["x-permission"].as_str().unwrap_or_default().to_owned();
            routes.push((path.clone(), method.to_uppercase(), permission));
        }
    }
    // What ends a session or a membership comes last.
    routes.sort_by_key(|(path, method, _)| {
        (path.ends_with("/logout"), path.ends_with("/leave"), path.clone(), method.clone())
    });
    let mut table =
        format!("| route | permission | {} |\n|---|---|{}\n", CALLERS.join(" | "), "---|".repeat(CALLERS.len()));
    for (path, method, permission) in &routes {
        let address = path
            .replace("{ws}", &workspace)
            .replace("{project}", "prj_01h455vb4pex5vsknk084sn02q")
            .replace("{user}", "usr_01h455vb4pex5vsknk084sn02q")
            .replace("{invite}", "inv_01h455vb4pex5vsknk084sn02q")
            .replace("{key}", "key_01h455vb4pex5vsknk084sn02q")
            .replace("{provider}", "stripe");
        assert!(!address.contains('{'), "tell this test what stands for the parameter in {path}");
        let mut cells = Vec::new();
        for caller in 0..CALLERS.len() {
            let answer = callers.call(&app, caller, &method.parse()?, &address).await?;
            assert!(!answer.status.is_server_error(), "{method} {path}: {}", answer.text);
            cells.push(outcome(&answer));
        }
        let known = app.kernel.roles().registry().iter().find(|known| known.name == permission);
        let expects_one = path.contains("{ws}") && permission != "membership";
        assert_eq!(known.is_some(), expects_one, "{method} {path} documents the permission `{permission}`");
        for (role, cell) in ROLES.iter().zip(&cells[3..]) {
            if let Some(known) = known {
                let holds = app.kernel.roles().get(role).bits.has(intern(known.name));
                assert_eq!(*cell, if holds { "yes" } else { "403" }, "{method} {path} as {role}");
            }
        }
        writeln!(table, "| {method} {path} | {permission} | {} |", cells.join(" | "))?;
    }
    let committed = include_str!("../../examples/reference/access.md");
    assert!(
        committed == table,
        "who gets in where has changed; look at it, then write it to examples/reference/access.md:\n{table}"
    );
    Ok(())
}
