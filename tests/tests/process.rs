//! The reference app as a process: its demo, its development mode, its commands.

use std::process::Stdio;
use std::time::Duration;

use saas_kernel_tests::{TestResult, eventually, test_db};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

fn reference(command: &str) -> Command {
    let mut reference = Command::new(env!("CARGO_BIN_EXE_reference-under-test"));
    for name in
        ["DATABASE_URL", "SYSTEM_DATABASE_URL", "STRIPE_WEBHOOK_SECRET", "APP_URL", "KERNEL_SECRETS", "RUST_LOG"]
    {
        reference.env_remove(name);
    }
    reference.arg(command).kill_on_drop(true);
    reference
}

#[tokio::test]
async fn the_demo_goes_through() -> TestResult {
    let output = reference("demo").output().await?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("every answer was the expected one"), "{out}\n{err}");
    Ok(())
}

/// Starts it on any port and returns what it said up to its last line.
async fn serve(data: &std::path::Path) -> Result<(Child, String, String), saas_kernel::BoxError> {
    let mut child =
        reference("serve").env("APP_ADDR", "127.0.0.1:0").env("APP_DATA_DIR", data).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("its output")?).lines();
    let (mut said, mut address) = (String::new(), String::new());
    while let Some(line) = lines.next_line().await? {
        if let Some((_, at)) = line.split_once("is running at ") {
            at.trim().clone_into(&mut address);
        }
        said.push_str(&line);
        said.push('\n');
        if line.contains("Ctrl-C") {
            break;
        }
    }
    Ok((child, address, said))
}

#[tokio::test]
async fn development_mode_seeds_once_keeps_its_data_and_ends_what_it_started() -> TestResult {
    let directory = tempfile::tempdir()?;
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let client = reqwest::Client::builder().cookie_store(true).build()?;
    let mut projects = Vec::new();
    for _ in 0..2 {
        let (mut child, address, said) = serve(directory.path()).await?;
        assert!(said.contains("owner@acme.example") && said.contains("correct horse battery"), "{said}");
        let login = serde_json::json!({ "email": "owner@acme.example", "password": "correct horse battery" });
        let answer = client.post(format!("{address}/api/v1/auth/login")).json(&login).send().await?;
        assert!(answer.status().is_success(), "{}", answer.text().await?);
        let workspaces: serde_json::Value =
            client.get(format!("{address}/api/v1/workspaces")).send().await?.json().await?;
        let slugs: Vec<_> =
            workspaces["items"].as_array().into_iter().flatten().filter_map(|w| w["slug"].as_str()).collect();
        assert_eq!(slugs, ["acme", "demo"]);
        assert_eq!(client.get(format!("{address}/dev/mail")).send().await?.status(), 200, "mail stays here");
        let page: serde_json::Value =
            client.get(format!("{address}/api/v1/workspaces/demo/projects")).send().await?.json().await?;
        projects.push(page["items"].clone());
        let postmaster = std::fs::read_to_string(directory.path().join("postgres-127-0-0-1-0/postmaster.pid"))?;
        let postmaster = postmaster.lines().next().unwrap_or_default().to_owned();
        let pid = child.id().ok_or("a running process")?.to_string();
        Command::new("kill").args(["-TERM", &pid]).status().await?;
        let ended = tokio::time::timeout(Duration::from_secs(20), child.wait()).await??;
        assert!(ended.success(), "{ended}");
        eventually("its Postgres has ended", || async {
            Ok(!std::path::Path::new("/proc").join(&postmaster).exists())
        })
        .await?;
    }
    assert_eq!(projects[0], projects[1], "the data stays, and seeding again changes nothing");
    assert_eq!(projects[0].as_array().map(Vec::len), Some(3));
    Ok(())
}

#[tokio::test]
async fn commands_and_settings_that_do_not_work_say_what_to_do() -> TestResult {
    for (command, environment, says) in [
        ("dance", vec![], "use serve, migrate [--dry-run], doctor"),
        ("doctor", vec![], "OWNER_DATABASE_URL is not set; set it to postgres://"),
        ("migrate", vec![], "OWNER_DATABASE_URL is not set; set it to postgres://"),
        ("serve", vec![("DATABASE_URL", "postgres://kernel_app@127.0.0.1:1/x")], "SYSTEM_DATABASE_URL is not set"),
        (
            "serve",
            vec![
                ("DATABASE_URL", "postgres://kernel_app@127.0.0.1:1/x"),
                ("SYSTEM_DATABASE_URL", "postgres://kernel_system@127.0.0.1:1/x"),
            ],
            "STRIPE_WEBHOOK_SECRET is not set",
        ),
        (
            "serve",
            vec![
                ("DATABASE_URL", "postgres://kernel_app@127.0.0.1:1/x"),
                ("SYSTEM_DATABASE_URL", "postgres://kernel_system@127.0.0.1:1/x"),
                ("STRIPE_WEBHOOK_SECRET", "whsec_x"),
            ],
            "KERNEL_SECRETS is not set; set it to what `openssl rand -hex 32` prints",
        ),
        (
            "serve",
            vec![
                ("DATABASE_URL", "postgres://kernel_app@127.0.0.1:1/x"),
                ("SYSTEM_DATABASE_URL", "postgres://kernel_system@127.0.0.1:1/x"),
                ("STRIPE_WEBHOOK_SECRET", "whsec_x"),
                ("KERNEL_SECRETS", "0123456789abcdef0123456789abcdef"),
            ],
            "APP_URL is not set",
        ),
        ("serve", vec![("KERNEL_SECRETS", "short")], "KERNEL_SECRETS: secret 1 has 5 characters and needs at least 32"),
    ] {
        let output = reference(command).envs(environment).output().await?;
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(says), "{command}: {error}");
    }
    Ok(())
}

/// Mails hold secrets: where there is a real database, nobody reads them over HTTP.
#[tokio::test]
async fn with_a_database_of_its_own_it_shows_no_mail() -> TestResult {
    let db = test_db().await?;
    let mut child = reference("serve")
        .env("DATABASE_URL", db.app_url())
        .env("SYSTEM_DATABASE_URL", db.system_url())
        .env("STRIPE_WEBHOOK_SECRET", "whsec_x")
        .env("APP_URL", "https://app.example.com")
        .env("KERNEL_SECRETS", "0123456789abcdef0123456789abcdef")
        .env("APP_ADDR", "127.0.0.1:0")
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("its output")?).lines();
    let address = loop {
        let line = lines.next_line().await?.ok_or("an address")?;
        if let Some((_, at)) = line.split_once("is running at ") {
            break at.trim().to_owned();
        }
    };
    let status = async |path: &str| Ok::<_, reqwest::Error>(reqwest::get(format!("{address}{path}")).await?.status());
    assert_eq!(status("/readyz").await?, 200);
    for path in ["/dev/mail", "/dev/mail.json"] {
        assert_eq!(status(path).await?, 404, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn the_doctor_looks_through_the_whole_schema() -> TestResult {
    let db = test_db().await?;
    let doctor = async || reference("doctor").env("OWNER_DATABASE_URL", db.admin_url()).output().await;
    let healthy = doctor().await?;
    let (said, complained) = (String::from_utf8_lossy(&healthy.stdout), String::from_utf8_lossy(&healthy.stderr));
    assert!(healthy.status.success() && said == "no defects found\n", "{said}{complained}");
    let plant = "ALTER TABLE tracker.projects NO FORCE ROW LEVEL SECURITY";
    sqlx::query(plant).execute(&mut db.admin().await?).await?;
    let sick = doctor().await?;
    let (said, complained) = (String::from_utf8_lossy(&sick.stdout), String::from_utf8_lossy(&sick.stderr));
    assert!(!sick.status.success() && complained.contains("defects found: 1"), "{said}{complained}");
    assert!(
        said.contains("rls_not_forced: tracker.projects: ") && said.contains("ALTER TABLE tracker.projects FORCE"),
        "{said}"
    );
    Ok(())
}

/// Half a request must not hold a socket, nor the end of the process.
#[tokio::test]
async fn a_client_that_never_finishes_does_not_hold_up_the_end() -> TestResult {
    let directory = tempfile::tempdir()?;
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let (mut child, address, _) = serve(directory.path()).await?;
    let mut client = tokio::net::TcpStream::connect(address.trim_start_matches("http://")).await?;
    tokio::io::AsyncWriteExt::write_all(&mut client, b"GET /healthz HTTP/1.1\r\nHost:").await?;
    let pid = child.id().ok_or("a running process")?.to_string();
    Command::new("kill").args(["-TERM", &pid]).status().await?;
    let ended = tokio::time::timeout(Duration::from_secs(40), child.wait()).await??;
    assert!(ended.success(), "{ended}");
    drop(client);
    Ok(())
}
