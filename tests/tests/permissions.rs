//! What the two lists of permissions say, to the letter: to an owner, a member and a key.

use reqwest::StatusCode;
use saas_kernel_tests::programs::{get_with, key};
use saas_kernel_tests::teammates::join;
use saas_kernel_tests::{TestApp, TestResult};
use serde_json::{Value, json};

const OWNER: &[&str] = &["owner"];
const ADMIN: &[&str] = &["owner", "admin"];
const MEMBER: &[&str] = &["owner", "admin", "member"];
const VIEWER: &[&str] = &["owner", "admin", "member", "viewer"];

/// In the order of their declaration, the kernel's before the product's.
const ALL: [(&str, &str, &[&str]); 15] = [
    ("workspace.read", "See the workspace, its plan and its usage.", VIEWER),
    ("workspace.update", "Rename the workspace and change its settings.", ADMIN),
    ("workspace.delete", "Delete the workspace.", OWNER),
    ("member.invite", "Invite people.", ADMIN),
    ("member.remove", "Remove people.", ADMIN),
    ("member.update", "Change people's roles.", ADMIN),
    ("member.list", "See who belongs to the workspace.", MEMBER),
    ("billing.manage", "Change the plan and the payment details.", OWNER),
    ("api_key.create", "Create and list API keys.", OWNER),
    ("api_key.delete", "Revoke API keys.", OWNER),
    ("audit.read", "Read the audit log.", ADMIN),
    ("project.read", "See projects.", VIEWER),
    ("project.create", "Create projects.", MEMBER),
    ("project.update", "Change projects.", MEMBER),
    ("project.delete", "Delete projects.", MEMBER),
];

const OF_A_MEMBER: [&str; 6] =
    ["workspace.read", "member.list", "project.read", "project.create", "project.update", "project.delete"];

/// Every permission as shown to somebody who is `role` and holds `held`.
fn catalogue(role: &str, held: &[&str]) -> Value {
    let item = |(name, description, roles): &(&str, &str, &[&str])| json!({ "name": name, "description": description, "roles": roles, "held": held.contains(name) });
    json!({ "role": role, "items": ALL.iter().map(item).collect::<Vec<_>>() })
}

#[tokio::test]
async fn everybody_is_told_every_permission_and_which_are_theirs() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let grace = join(&app, &ada, "Grace", "member").await?;
    let key = key(&ada, &["project.delete", "workspace.read"]).await?;
    let (path, all) = (ada.at("/permissions"), ALL.map(|(name, ..)| name));
    assert_eq!(ada.get(&path).await?.expect(StatusCode::OK)?, catalogue("owner", &all));
    assert_eq!(grace.get(&path).await?.expect(StatusCode::OK)?, catalogue("member", &OF_A_MEMBER));
    // A key has its own, and not those of the owner who made it.
    let told = get_with(&app, &key, &path).await?.expect(StatusCode::OK)?;
    assert_eq!(told, catalogue("api_key", &["project.delete", "workspace.read"]));
    Ok(())
}

#[tokio::test]
async fn one_is_told_what_one_may_do_in_each_workspace() -> TestResult {
    let app = TestApp::start().await?;
    let ada = app.sign_up("Ada").await?;
    let grace = join(&app, &ada, "Grace", "member").await?;
    let all = ALL.map(|(name, ..)| name);
    let page = |items: Value| json!({ "items": items, "next_cursor": null, "has_more": false });
    let in_adas = |role: &str, permissions: &[&str]| json!({ "workspace_id": ada.workspace_id, "slug": "ada", "role": role, "permissions": permissions });
    let in_graces = json!({ "workspace_id": grace.workspace_id, "slug": "grace", "role": "owner", "permissions": all });

    let path = "/api/v1/me/permissions";
    assert_eq!(ada.get(path).await?.expect(StatusCode::OK)?, page(json!([in_adas("owner", &all)])));
    // The older workspace first, though Grace joined it later than she founded her own.
    let mine = grace.get(path).await?.expect(StatusCode::OK)?;
    assert_eq!(mine, page(json!([in_adas("member", &OF_A_MEMBER), in_graces])));
    // A key is nobody who belongs anywhere; its own workspace's list tells it what it may do.
    let key = key(&ada, &["project.delete", "workspace.read"]).await?;
    let refused = get_with(&app, &key, path).await?;
    assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "forbidden"), "{}", refused.text);
    Ok(())
}
