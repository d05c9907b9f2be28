//! The databases to use: those that the environment names, or a private Postgres in `.dev/`, kept between runs.

use std::path::PathBuf;

use saas_kernel::BoxError;
use saas_kernel_postgres::testing::{LocalPostgres, LocalPostgresError, LocalPostgresOptions};
use saas_kernel_postgres::{Migrations, create_roles};

use crate::settings::{Databases, Settings};
use crate::{PRODUCT_MIGRATIONS, say};

/// URLs of the two database roles, and the private Postgres, if one was started.
pub async fn databases(settings: &Settings) -> Result<(Databases, Option<LocalPostgres>), BoxError> {
    if let Some(named) = &settings.databases {
        return Ok((Databases { app: named.app.clone(), system: named.system.clone() }, None));
    }
    let local = start(settings).await?;
    let admin = local.superuser_url("postgres");
    create_roles(&admin).await?;
    let applied = Migrations::kernel().product(&PRODUCT_MIGRATIONS).run(&admin).await?;
    say(&format!("  {applied} migrations applied"));
    let databases =
        Databases { app: local.url("kernel_app", "postgres"), system: local.url("kernel_system", "postgres") };
    Ok((databases, Some(local)))
}

/// Starts a durable private Postgres whose data is kept. There is one directory per address, so that two copies can run at the
/// same time.
async fn start(settings: &Settings) -> Result<LocalPostgres, BoxError> {
    let name: String = settings.address.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let root = std::env::var("APP_DATA_DIR").map_or_else(|_| PathBuf::from(".dev"), PathBuf::from);
    let wanted = std::path::absolute(root.join(format!("postgres-{name}")))?;
    say(&format!("  starting a private Postgres in {}", wanted.display()));
    match open(wanted.clone()).await {
        // Root cannot run Postgres, and the account that can may have no access to a checkout below root's home.
        Err(LocalPostgresError::Untraversable { .. }) => {
            let elsewhere = std::env::temp_dir().join(format!("saas-kernel-reference-{name}"));
            say(&format!("  (that is out of reach for Postgres' own user; using {})", elsewhere.display()));
            Ok(open(elsewhere).await?)
        }
        other => Ok(other?),
    }
}

async fn open(data_dir: PathBuf) -> Result<LocalPostgres, LocalPostgresError> {
    LocalPostgres::start(LocalPostgresOptions::default().data_dir(data_dir).durable(true)).await
}
