//! A private Postgres for tests and demonstrations (feature `testing`), with a database per test, and the test of tenant
//! isolation.

mod isolation;
pub mod local_postgres;
mod test_db;

pub use isolation::{IsolationError, IsolationReport, Leak, TenantIsolation, assert_tenant_isolation};
pub use local_postgres::{LocalPostgres, LocalPostgresError, LocalPostgresOptions};
pub use test_db::{CLUSTER_ENV, TestDb, TestDbError};
