//! The kernel's API and a table of your own, on a private Postgres that ends with the process: `cargo run -p quickstart`.

use saas_kernel::memory::mailer::MemoryMailer;
use saas_kernel::{BoxError, Kernel, Keyring, ProductConfig, permissions};
use saas_kernel_axum::axum::extract::State;
use saas_kernel_axum::{Allow, ApiError, Created, HttpSettings, Json, OpenApiRouter, View, app, routes, serve, utoipa};
use saas_kernel_postgres::testing::TestDb;
use saas_kernel_postgres::{Migrations, PgResult, PgStore};

const CONFIG: &str = "
brand: { name: Quickstart }
plans: [{ key: free, name: Free, limits: { notes: 3 } }]
roles: [{ name: owner, permissions: ['*'] }, { name: reader, permissions: [workspace.read, note.read] }]
";
static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

permissions! {
    /// Read notes.
    pub ReadNote = read "note.read";
    /// Write notes.
    pub WriteNote = write "note.write";
}

/// The workspace's notes, newest first.
#[utoipa::path(get, path = "/notes", responses((status = 200, body = Vec<String>)))]
async fn list(State(store): State<PgStore>, can: Allow<ReadNote>) -> Result<View<Vec<String>>, ApiError> {
    let mut tx = store.read(&can).await?;
    let select = "SELECT text FROM quickstart.notes WHERE workspace_id = $1 ORDER BY created_at DESC LIMIT 100";
    Ok(View(tx.fetch_all(sqlx::query_scalar(select).bind(can.workspace().uuid())).await?))
}

/// Writes a note; the fourth is over the plan's limit.
#[utoipa::path(post, path = "/notes", request_body = String, responses((status = 201, body = String)))]
async fn write(
    State(store): State<PgStore>,
    can: Allow<WriteNote>,
    Json(text): Json<String>,
) -> Result<Created<String>, ApiError> {
    let mut tx = store.begin_tenant(&can).await?;
    let insert = "INSERT INTO quickstart.notes (workspace_id, text) VALUES ($1, $2)";
    sqlx::query(insert).bind(can.workspace().uuid()).bind(&text).execute(tx.conn()).await.store()?;
    Ok(tx.commit_with(Created(text)).await?)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let address = std::env::var("APP_ADDR").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let db = TestDb::new(&Migrations::kernel().product(&MIGRATIONS)).await?;
    let (store, system, mail) = (db.store().await?, db.system().await?, MemoryMailer::default());
    let kernel = Kernel::builder(ProductConfig::parse(CONFIG)?)
        .store(store.clone())
        .system(system.clone())
        .keyring(Keyring::ephemeral())
        .permissions(PERMISSIONS)
        .mailer(mail.clone())
        .build()?;
    system.sync_catalog(kernel.catalog()).await?;
    let notes = OpenApiRouter::new().routes(routes!(list, write)).with_state(store);
    let app = app(&kernel, HttpSettings::new(&format!("http://{address}"))?).workspace_routes(notes).dev_mail(mail);
    serve(app, &address, |address| welcome(&WELCOME.replace("ADDRESS", &address.to_string()))).await?;
    Ok(())
}

fn welcome(text: &str) {
    // If standard output is closed, the app goes on.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
}

const WELCOME: &str = r#"
  The SaaS kernel is running at http://ADDRESS - its API is described at http://ADDRESS/docs. Try:

  json='Content-Type: application/json'; api=http://ADDRESS/api/v1
  curl -H "$json" $api/auth/register -d '{"email":"ada@example.com","password":"correct horse battery","name":"Ada"}'
  curl -H "$json" $api/auth/login -c jar -d '{"email":"ada@example.com","password":"correct horse battery"}'
  curl -b jar -H "$json" $api/workspaces/ada/notes -d '"Buy milk"'
  curl -b jar $api/workspaces/ada/notes
  curl -b jar $api/workspaces/ada/entitlements
  curl -b jar -H "$json" $api/workspaces/ada/invites -d '{"email":"grace@example.com","role":"reader"}'

  What would have been mailed is at http://ADDRESS/dev/mail. The database ends with the process.
  Ctrl-C stops it.
"#;
