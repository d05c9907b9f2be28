//! The reference app: projects of an issue tracker, on the SaaS kernel.
//!
//! Read [`projects`] first: it is what a team writes for a resource of its own. [`kernel`] and [`app`] are the whole wiring.

pub mod demo;
pub mod development;
pub mod hooks;
pub mod projects;
pub mod seed;
pub mod settings;

use std::io::Write;

use saas_kernel::{BoxError, Kernel, ProductConfig};
use saas_kernel_axum::App;
use saas_kernel_postgres::doctor::Doctor;
use saas_kernel_postgres::{Migrations, PgStore, PgSystem};
use saas_kernel_stripe::StripeBilling;

use crate::settings::Settings;

/// The product's own schema.
pub static PRODUCT_MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Serves the app. Without `DATABASE_URL` it is a demonstration on a private Postgres, migrated and seeded.
pub async fn serve() -> Result<(), BoxError> {
    let settings = Settings::from_env()?;
    // Kept until the end: the private Postgres, if there is one, stops with it.
    let (databases, local) = development::databases(&settings).await?;
    let store = PgStore::connect_with(&databases.app, settings.pool).await?;
    let system = PgSystem::connect(&databases.system).await?;
    let kernel = kernel(store.clone(), system.clone(), &settings)?;
    system.sync_catalog(kernel.catalog()).await?;
    system.ensure_partitions().await?;
    if local.is_some() {
        seed::run(&kernel, &system).await?;
    }
    let app = app(&kernel, store, &settings)?;
    saas_kernel_axum::serve(app, &settings.address, |address| {
        say(&format!("\n  {} is running at http://{address}\n", kernel.config().brand.name));
        if local.is_some() {
            say(&seed::logins(address));
        }
    })
    .await?;
    if let Some(local) = local {
        local.stop().await?;
    }
    Ok(())
}

/// One deployment choice a line.
pub fn kernel(store: PgStore, system: PgSystem, settings: &Settings) -> Result<Kernel, BoxError> {
    let builder = Kernel::builder(ProductConfig::load(&settings.config)?)
        .store(store)
        .system(system)
        .permissions(projects::PERMISSIONS)
        .billing(StripeBilling::new(settings.stripe_webhook_secrets.clone())?)
        .hooks(hooks::Tracker);
    let builder = match settings.dev_mail.clone() {
        Some(mailer) => builder.mailer(mailer),
        None => builder,
    };
    Ok(match settings.signing_key.clone() {
        Some(key) => builder.signing_key(key),
        None => builder,
    }
    .build()?)
}

/// The kernel's API and ours.
pub fn app(kernel: &Kernel, store: PgStore, settings: &Settings) -> Result<App, BoxError> {
    let app = saas_kernel_axum::app(kernel, settings.http()?).workspace_routes(projects::routes(store));
    Ok(match settings.dev_mail.clone() {
        Some(mailer) => app.dev_mail(mailer),
        None => app,
    })
}

/// Brings the database up to date with the owner's URL, apart from serving; `--dry-run` only tells.
pub async fn migrate() -> Result<(), BoxError> {
    let url = owner_url()?;
    let migrations = Migrations::kernel().product(&PRODUCT_MIGRATIONS);
    if std::env::args().any(|argument| argument == "--dry-run") {
        let pending = migrations.pending(&url).await?;
        say(&format!("{} migrations would be applied: {}", pending.len(), pending.join(", ")));
    } else {
        say(&format!("{} migrations applied", migrations.run(&url).await?));
    }
    Ok(())
}

/// Looks through the database for what would let one workspace reach another's rows; an error if there is anything.
pub async fn doctor() -> Result<(), BoxError> {
    let findings = Doctor::new().examine_url(&owner_url()?).await?;
    if findings.is_empty() {
        say("nothing found");
        return Ok(());
    }
    for finding in &findings {
        say(&format!("{finding}\n"));
    }
    Err(format!("{} found; each with the SQL that mends it", findings.len()).into())
}

fn owner_url() -> Result<String, BoxError> {
    settings::required("OWNER_DATABASE_URL", "postgres://owner:password@host:5432/database")
}

/// For the person at the terminal; the log goes to standard error. Somebody who stops reading does not stop the app.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
