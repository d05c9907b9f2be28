//! The doctor: reports schema defects that could leak rows across tenants, with the SQL that fixes each.
//!
//! ```no_run
//! # async fn check() -> Result<(), Box<dyn std::error::Error>> {
//! use saas_kernel_postgres::doctor::Doctor;
//! for finding in Doctor::new().examine_url("postgres://migrator@localhost/product").await? {
//!     println!("{finding}");
//! }
//! # Ok(()) }
//! ```

mod checks;
mod common;
mod exceptions;
mod functions;
mod grants;
mod kernel_grants;
mod kernel_policies;
mod keys;
mod partitions;
mod policies;
mod records;
mod references;
mod roles;
mod tables;
mod triggers;

use std::fmt;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

use crate::names::{Names, Suffix};

#[cfg(feature = "testing")]
pub(crate) use self::common::OTHER_SCHEMAS;

/// A defect that the doctor found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Stable name of the check, such as `policy_too_wide`.
    pub check: &'static str,
    /// The defective object, as SQL names it: `app.tasks`, `policy anyone ON app.tasks`, `role kernel_app`.
    pub object: String,
    /// What is wrong, and what it makes possible.
    pub problem: String,
    /// SQL that fixes the defect, to be run by a superuser or, where no role is changed, by the owner. Where a person has to
    /// decide, it starts with `--` and says what to do.
    pub fix: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}\n    {}", self.check, self.object, self.problem, self.fix)
    }
}

/// Why the database could not be examined. Defects that were found are not errors but [`Finding`]s.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum DoctorError {
    /// The URL is invalid, or the database cannot be reached.
    #[error("cannot connect to the database: {0}; check the URL")]
    Connect(#[source] sqlx::Error),
    /// The database has no kernel schema to examine.
    #[error(
        "this database has no kernel schema; run `migrate` with the owner's URL first, and check the database's name"
    )]
    NotMigrated,
    /// A query of the catalog failed.
    #[error("the catalog could not be read: {0}; the doctor needs PostgreSQL 15 or newer")]
    Catalog(#[source] sqlx::Error),
}

saas_kernel::debug_explains!(DoctorError);

/// A finding that was accepted, with the reason.
#[derive(Clone, Copy, Debug)]
struct Exception {
    check: &'static str,
    object: &'static str,
    #[expect(dead_code, reason = "it is for the reader: nothing is excepted without a reason")]
    why: &'static str,
}

/// The doctor, with the findings that the product accepts.
#[derive(Clone, Debug, Default)]
pub struct Doctor {
    accepted: Vec<Exception>,
    names: Names,
}

impl Doctor {
    /// Creates a doctor that accepts only the kernel's own exceptions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Accepts one finding, identified by its check and object as in [`Finding`]; `why` documents the reason in the code. An
    /// exception that no longer applies is reported as `stale_exception`, so that the list only shrinks.
    #[must_use]
    pub fn accept(mut self, check: &'static str, object: &'static str, why: &'static str) -> Self {
        self.accepted.push(Exception { check, object, why });
        self
    }

    /// Examines the product that has this suffix. What belongs to other products in the database is theirs to examine; only a right of
    /// this product's roles on it is a finding.
    #[must_use]
    pub fn suffix(mut self, suffix: Suffix) -> Self {
        self.names = Names::new(Some(suffix));
        self
    }

    #[cfg(feature = "testing")]
    pub(crate) fn named(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    /// The names of all checks, in the order of the report; `stale_exception` is not among them.
    pub fn checks() -> impl Iterator<Item = &'static str> {
        checks::names()
    }

    /// Examines all schemas of the database but Postgres' own, connecting with the owner's or an administrator's URL.
    ///
    /// # Errors
    /// See [`DoctorError`]; defects are in the returned list.
    pub async fn examine_url(&self, url: &str) -> Result<Vec<Finding>, DoctorError> {
        let options = PgConnectOptions::from_str(url).map_err(DoctorError::Connect)?;
        let options = options.application_name("saas-kernel doctor");
        let mut connection = options.connect().await.map_err(DoctorError::Connect)?;
        let findings = self.examine(&mut connection).await;
        // Best effort: nothing was written, so a failure to close does not matter.
        let _ = connection.close().await;
        findings
    }

    /// Examines the database of `connection`, also within an open transaction, whose changes it sees. It reads the catalog in a
    /// read-only transaction.
    ///
    /// # Errors
    /// See [`DoctorError`]; defects are in the returned list.
    pub async fn examine(&self, connection: &mut PgConnection) -> Result<Vec<Finding>, DoctorError> {
        let mut tx = connection.begin().await.map_err(DoctorError::Catalog)?;
        // Names and expressions are then fully qualified, whatever the role's search path is. JIT compilation costs more than
        // it gains here.
        let read_only = "SET LOCAL transaction_read_only = on; SET LOCAL search_path = pg_catalog; SET LOCAL jit = off";
        sqlx::raw_sql(read_only).execute(&mut *tx).await.map_err(DoctorError::Catalog)?;
        let migrated: bool =
            sqlx::query_scalar(self.names.sql("SELECT to_regprocedure('kernel.protect(regclass, text)') IS NOT NULL"))
                .fetch_one(&mut *tx)
                .await
                .map_err(DoctorError::Catalog)?;
        if !migrated {
            return Err(DoctorError::NotMigrated);
        }
        let findings = checks::run(&mut tx, &self.names).await.map_err(DoctorError::Catalog)?;
        tx.rollback().await.map_err(DoctorError::Catalog)?;
        Ok(self.without_accepted(findings))
    }

    fn without_accepted(&self, mut findings: Vec<Finding>) -> Vec<Finding> {
        let stale: Vec<_> = self.accepted.iter().filter(|exception| !exception.covers_any(&findings)).collect();
        let stale = stale.into_iter().map(Exception::stale).collect::<Vec<_>>();
        findings.retain(|finding| !self.accepted.iter().any(|exception| exception.covers(finding)));
        let kernels = |exception: &Exception, finding: &Finding| {
            exception.check == finding.check && self.names.text(exception.object) == finding.object
        };
        findings.retain(|finding| !exceptions::OF_THE_KERNEL.iter().any(|exception| kernels(exception, finding)));
        findings.extend(stale);
        findings
    }
}

impl Exception {
    fn covers(&self, finding: &Finding) -> bool {
        self.check == finding.check && self.object == finding.object
    }

    fn covers_any(&self, findings: &[Finding]) -> bool {
        findings.iter().any(|finding| self.covers(finding))
    }

    fn stale(&self) -> Finding {
        Finding {
            check: "stale_exception",
            object: self.object.to_owned(),
            problem: format!("`{}` is accepted for it, but is no longer found", self.check),
            fix: format!("-- remove .accept({:?}, {:?}, …) from the code", self.check, self.object),
        }
    }
}
