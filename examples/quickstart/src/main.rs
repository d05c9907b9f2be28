//! The kernel's whole API without a database: `cargo run -p quickstart`. Everything is gone when it ends.

use std::io::Write;

use saas_kernel::memory::MemoryStore;
use saas_kernel::memory::mailer::MemoryMailer;
use saas_kernel::{BoxError, Kernel, ProductConfig};
use saas_kernel_axum::{HttpSettings, app, serve};

const CONFIG: &str = "
brand: { name: Quickstart }
plans:
  - { key: free, name: Free, limits: { projects: 3 } }
";

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let address = std::env::var("APP_ADDR").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let (store, mail) = (MemoryStore::default(), MemoryMailer::default());
    let kernel = Kernel::builder(ProductConfig::parse(CONFIG)?)
        .system(store.system())
        .store(store)
        .mailer(mail.clone())
        .build()?;
    let app = app(&kernel, HttpSettings::new(&format!("http://{address}"))?).dev_mail(mail);
    serve(app, &address, |address| {
        // Somebody who stops reading does not stop the app.
        let _ = writeln!(std::io::stdout(), "{}", WELCOME.replace("ADDRESS", &address.to_string()));
    })
    .await?;
    Ok(())
}

const WELCOME: &str = r#"
  The SaaS kernel is running at http://ADDRESS - its pages are at http://ADDRESS/docs. Try:

  json='Content-Type: application/json'; api=http://ADDRESS/api/v1
  curl -H "$json" $api/auth/register -d '{"email":"ada@example.com","password":"correct horse battery","name":"Ada"}'
  curl -H "$json" $api/auth/login -c jar -d '{"email":"ada@example.com","password":"correct horse battery"}'
  curl -b jar $api/workspaces
  curl -b jar $api/workspaces/ada/entitlements
  curl -b jar -H "$json" $api/workspaces/ada/invites -d '{"email":"grace@example.com","role":"admin"}'
  curl -b jar $api/workspaces/ada/audit

  What would have been mailed is at http://ADDRESS/dev/mail.

  All of it is in memory and ends with the process. Rows of your own need a database: see examples/reference.
  Ctrl-C stops it.
"#;
