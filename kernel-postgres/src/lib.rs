//! The SaaS kernel's database adapter: Postgres, with row-level security on every tenant table.
//!
//! There is one type per database role: [`PgStore`] is used by requests and sees one workspace at a time; [`PgSystem`] is used
//! by workers, the webhook receiver and staff. [`Migrations`] run with the owner's URL, independent of both.
//!
//! [`doctor`] reports schema defects that could leak rows across tenants; `testing::assert_tenant_isolation` tries to access
//! other tenants' rows.
//!
//! Files have the same names as in `saas-kernel`: `tenancy/workspaces.rs` implements the repository that
//! `saas_kernel::tenancy::workspaces` declares.
#![warn(missing_docs)]

mod audit;
mod begin;
mod billing;
mod catalog;
mod connect;
pub mod doctor;
mod error;
mod guard;
mod identity;
mod migrate;
mod names;
mod page;
mod partitions;
mod read;
mod records;
mod share;
mod standing;
mod store;
mod system;
mod tenancy;
#[cfg(feature = "testing")]
pub mod testing;
mod tx;

pub use catalog::CatalogOutcome;
pub use connect::{ConnectError, PgOptions};
pub use error::PgResult;
pub use migrate::{MigrateError, Migrations, Role, create_roles, create_roles_with};
pub use names::{InvalidSuffix, Suffix};
pub use partitions::{DropReport, FailedPartition, Partition, PartitionReport, Retention};
pub use read::{PgQuery, PgRead};
pub use store::PgStore;
pub use system::PgSystem;
pub use tx::{PgTx, ReadOnly, ReadWrite, TxMode};

/// The version of sqlx whose types are part of this crate's interface. Its functions need nothing more; its macros, such as
/// `sqlx::migrate!` and `derive(FromRow)`, look for a dependency named `sqlx` in the product's own manifest.
pub use sqlx;
