//! A private Postgres for tests and demos (feature `testing`): the machine's binaries, a cluster of one's own, a database
//! per test.

mod isolation;
pub mod local_postgres;
mod test_db;

pub use isolation::{IsolationError, IsolationReport, Leak, TenantIsolation, assert_tenant_isolation};
pub use local_postgres::{LocalPostgres, LocalPostgresError, LocalPostgresOptions};
pub use test_db::{CLUSTER_ENV, TestDb, TestDbError};
