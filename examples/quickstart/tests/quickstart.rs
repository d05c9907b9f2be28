//! Runs the quickstart as a process and calls its API and the API of its own table.

use std::process::Stdio;

use saas_kernel_testing::{HttpClient, PASSWORD, StatusCode, TestResult};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

#[tokio::test]
async fn it_runs_on_a_database_of_its_own() -> TestResult {
    let mut child = Command::new(env!("CARGO_BIN_EXE_quickstart"))
        .env("APP_ADDR", "127.0.0.1:0")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("its output")?).lines();
    let mut said = String::new();
    while let Some(line) = lines.next_line().await? {
        said.push_str(&line);
        if line.contains("Ctrl-C") {
            break;
        }
    }
    let address = said.split("running at ").nth(1).and_then(|rest| rest.split(' ').next()).ok_or("an address")?;
    let ada = HttpClient::new(format!("{address}/api/v1"));
    let account = json!({ "email": "ada@example.com", "password": PASSWORD, "name": "Ada" });
    ada.post("/auth/register", &account).await?.expect(StatusCode::CREATED)?;
    let login = json!({ "email": "ada@example.com", "password": PASSWORD });
    ada.post("/auth/login", &login).await?.expect(StatusCode::OK)?;
    let workspaces = ada.get("/workspaces").await?.expect(StatusCode::OK)?;
    assert_eq!(workspaces["items"][0]["slug"], "ada");
    for (n, expect) in [
        (1, StatusCode::CREATED),
        (2, StatusCode::CREATED),
        (3, StatusCode::CREATED),
        (4, StatusCode::PAYMENT_REQUIRED),
    ] {
        ada.post("/workspaces/ada/notes", &json!(format!("Note {n}"))).await?.expect(expect)?;
    }
    let notes = ada.get("/workspaces/ada/notes").await?.expect(StatusCode::OK)?;
    assert_eq!(notes, json!(["Note 3", "Note 2", "Note 1"]));
    let entitlements = ada.get("/workspaces/ada/entitlements").await?.expect(StatusCode::OK)?;
    assert_eq!(entitlements["limits"]["notes"], json!({ "allowed": false, "limit": 3, "usage": 3 }));
    let invite = json!({ "email": "grace@example.com", "role": "reader" });
    ada.post("/workspaces/ada/invites", &invite).await?.expect(StatusCode::CREATED)?;
    let mail = ada.at_base(address).get("/dev/mail.json").await?.expect(StatusCode::OK)?;
    assert_eq!(mail["items"][0]["to"], "grace@example.com");
    assert!(include_str!("../src/main.rs").lines().count() < 90, "it fits on a screen");
    Ok(())
}
