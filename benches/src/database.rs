//! A private Postgres with everybody's rows.

use reference::settings::Settings;
use saas_kernel::{BoxError, ProductConfig};
use saas_kernel_postgres::testing::{LocalPostgres, LocalPostgresOptions};
use saas_kernel_postgres::{Migrations, PgSystem, create_roles};
use sqlx::{Connection, PgConnection};

use crate::options::Options;

/// Starts it with its durability on, as in production, and fills it.
pub(crate) async fn start(options: &Options) -> Result<LocalPostgres, BoxError> {
    let postgres = LocalPostgres::start(
        LocalPostgresOptions::default()
            .durable(true)
            .setting("shared_buffers", options.shared_buffers)
            // No checkpoint may fall into one variant's seconds and not into another's.
            .setting("max_wal_size", "8GB")
            .setting("checkpoint_timeout", "1h"),
    )
    .await?;
    let admin = postgres.superuser_url("postgres");
    create_roles(&admin).await?;
    Migrations::kernel().product(&reference::PRODUCT_MIGRATIONS).run(&admin).await?;
    let system = PgSystem::connect(&postgres.url("kernel_system", "postgres")).await?;
    let config = ProductConfig::load(Settings::demonstration("127.0.0.1:0").config)?;
    system.sync_catalog(&config.catalog).await?;
    seed(&admin, options).await?;
    Ok(postgres)
}

async fn seed(admin: &str, options: &Options) -> Result<(), BoxError> {
    let mut admin = PgConnection::connect(admin).await?;
    for (name, value) in [("bench.workspaces", options.workspaces), ("bench.projects", options.projects)] {
        let set = sqlx::query("SELECT set_config($1, $2, false)").bind(name).bind(value.to_string());
        set.execute(&mut admin).await?;
    }
    sqlx::raw_sql(include_str!("seed.sql")).execute(&mut admin).await?;
    sqlx::raw_sql("VACUUM ANALYZE").execute(&mut admin).await?;
    sqlx::raw_sql("CHECKPOINT").execute(&mut admin).await?;
    Ok(admin.close().await?)
}
