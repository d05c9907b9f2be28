//! The reference app: projects of an issue tracker, on the SaaS kernel.
//!
//! Read [`projects`] first: it is the code that a team writes for a resource of its own. [`kernel`] and [`app`] are the whole
//! wiring.

pub mod demo;
pub mod development;
pub mod hooks;
pub mod projects;
pub mod seed;
pub mod settings;
pub mod start;

use std::io::Write;

use saas_kernel::{BoxError, Kernel, KernelBuilder, ProductConfig};
use saas_kernel_axum::App;
use saas_kernel_postgres::doctor::Doctor;
use saas_kernel_postgres::{CatalogOutcome, Migrations, PgStore, PgSystem};
use saas_kernel_stripe::StripeBilling;

use crate::settings::Settings;

/// The migrations of the product's own schema.
pub static PRODUCT_MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Serves the app. Without `DATABASE_URL` it runs on a private Postgres, migrated and seeded.
pub async fn serve() -> Result<(), BoxError> {
    let settings = Settings::from_env()?;
    // Kept until the end, because the private Postgres stops when it is dropped.
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

/// Builds the kernel from the settings.
pub fn kernel(store: PgStore, system: PgSystem, settings: &Settings) -> Result<Kernel, BoxError> {
    Ok(builder(settings)?.keyring(settings.keyring.clone()).store(store).system(system).build()?)
}

/// What the product adds to the kernel, without the deployment's secrets and databases, which tests have of their own.
pub fn builder(settings: &Settings) -> Result<KernelBuilder, BoxError> {
    let builder = Kernel::builder(ProductConfig::load(&settings.config)?)
        .permissions(projects::PERMISSIONS)
        .billing(StripeBilling::new(settings.stripe_webhook_secrets.clone())?)
        .hooks(hooks::Tracker);
    Ok(match settings.dev_mail.clone() {
        Some(mailer) => builder.mailer(mailer),
        None => builder,
    })
}

/// Builds the app: the kernel's API and the product's.
pub fn app(kernel: &Kernel, store: PgStore, settings: &Settings) -> Result<App, BoxError> {
    let app = saas_kernel_axum::app(kernel, settings.http()?)
        .workspace_routes(projects::routes(store.clone()))
        .user_routes(start::user_routes(store))
        .public_routes(start::public_routes());
    Ok(match settings.dev_mail.clone() {
        Some(mailer) => app.dev_mail(mailer),
        None => app,
    })
}

/// Applies pending migrations, with the owner's URL; `--dry-run` only lists them.
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

/// Reports schema defects that could leak rows across workspaces; an error if there are any.
pub async fn doctor() -> Result<(), BoxError> {
    let findings = Doctor::new().examine_url(&owner_url()?).await?;
    if findings.is_empty() {
        say("no defects found");
        return Ok(());
    }
    for finding in &findings {
        say(&format!("{finding}\n"));
    }
    Err(format!("defects found: {}; run the SQL shown with each to fix it", findings.len()).into())
}

/// Brings the plans of the configuration into force although others have replaced them: after going back to an older version.
pub async fn reapply_plans() -> Result<(), BoxError> {
    let settings = Settings::from_env()?;
    let databases = settings.databases.as_ref().ok_or("DATABASE_URL and SYSTEM_DATABASE_URL are not set")?;
    let config = ProductConfig::load(&settings.config)?;
    let outcome = PgSystem::connect(&databases.system).await?.reapply_catalog(&config.catalog).await?;
    say(match outcome {
        CatalogOutcome::Unchanged => "these plans are in force already",
        CatalogOutcome::Replaced { .. } => "other plans were applied meanwhile, and are in force",
        _ => "these plans are in force now",
    });
    Ok(())
}

fn owner_url() -> Result<String, BoxError> {
    settings::required("OWNER_DATABASE_URL", "postgres://owner:password@host:5432/database")
}

/// Writes to the terminal; the log goes to standard error. If standard output is closed, the app goes on.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
