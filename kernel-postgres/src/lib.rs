//! The SaaS kernel's system of record: Postgres, with row-level security behind every tenant table.
//!
//! Two logins are two types: [`PgStore`] is what requests use and sees one workspace at a time; [`PgSystem`] is for workers,
//! the webhook receiver and staff. [`Migrations`] run with the owner's URL, apart from both.
//!
//! [`doctor`] tells what in a database would let one workspace reach another's rows; `testing::assert_tenant_isolation` tries.
//!
//! The same file name means the same thing here and in `saas-kernel`: `tenancy/workspaces.rs` implements the repository
//! that `saas_kernel::tenancy::workspaces` declares.
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
mod page;
mod partitions;
mod records;
mod share;
mod standing;
mod store;
mod system;
mod tenancy;
#[cfg(feature = "testing")]
pub mod testing;
mod tx;

pub use connect::{ConnectError, PgOptions};
pub use error::PgResult;
pub use migrate::{MigrateError, Migrations, Role, create_roles};
pub use partitions::{MissingPartition, Partition, PartitionReport};
pub use store::PgStore;
pub use system::PgSystem;
pub use tx::PgTx;
