//! Reads the catalog of a database and tells what would let one workspace reach another's rows, with the SQL that mends it.
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
mod references;
mod roles;
mod tables;
mod triggers;

use std::fmt;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The check's name, which stays the same from version to version: `policy_too_wide`.
    pub check: &'static str,
    /// What it is about, as SQL names it: `app.tasks`, `policy anyone ON app.tasks`, `role kernel_app`.
    pub object: String,
    /// What is wrong with it, and what that lets happen.
    pub problem: String,
    /// The SQL that mends it, for a superuser or, where no role is changed, the owner. Where a person has to decide, it begins
    /// with `--` and tells what.
    pub fix: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}\n    {}", self.check, self.object, self.problem, self.fix)
    }
}

/// Why the catalog could not be read. A database that was read and is in a bad state is a list of [`Finding`]s.
#[derive(thiserror::Error)]
pub enum DoctorError {
    /// The URL is not one, or nobody answers.
    #[error("the database URL does not work: {0}")]
    Connect(#[source] sqlx::Error),
    /// There is no schema to examine.
    #[error(
        "this database has no kernel schema; run `migrate` with the owner's URL first, and check the database's name"
    )]
    NotMigrated,
    /// Postgres did not answer.
    #[error("the catalog could not be read: {0}; the doctor needs PostgreSQL 15 or newer")]
    Catalog(#[source] sqlx::Error),
}

saas_kernel::debug_explains!(DoctorError);

/// A finding that somebody decided to live with.
#[derive(Clone, Copy, Debug)]
struct Exception {
    check: &'static str,
    object: &'static str,
    #[expect(dead_code, reason = "it is for the reader: nothing is excepted without a reason")]
    why: &'static str,
}

/// The examination, with what the product decided to live with.
#[derive(Clone, Debug, Default)]
pub struct Doctor {
    accepted: Vec<Exception>,
}

impl Doctor {
    /// Accepts what the kernel's own schema does on purpose and nothing else.
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves one finding out, named by its check and object as [`Finding`] has them; `why` is for who reads the code. One that
    /// no longer applies is itself a finding (`stale_exception`), so the list only shrinks.
    #[must_use]
    pub fn accept(mut self, check: &'static str, object: &'static str, why: &'static str) -> Self {
        self.accepted.push(Exception { check, object, why });
        self
    }

    /// The names that a [`Finding`] of the database can have, in the order of the report; `stale_exception` is not of the database.
    pub fn checks() -> impl Iterator<Item = &'static str> {
        checks::names()
    }

    /// Examines the whole database but the system's schemas, over the owner's or an administrator's URL.
    ///
    /// # Errors
    /// See [`DoctorError`]; what is wrong in the database is in the list.
    pub async fn examine_url(&self, url: &str) -> Result<Vec<Finding>, DoctorError> {
        let options = PgConnectOptions::from_str(url).map_err(DoctorError::Connect)?;
        let options = options.application_name("saas-kernel doctor");
        let mut connection = options.connect().await.map_err(DoctorError::Connect)?;
        let findings = self.examine(&mut connection).await;
        // Best effort: nothing was written, closing politely is only manners.
        let _ = connection.close().await;
        findings
    }

    /// Examines the database of `connection`, also within an open transaction, whose changes it sees. It reads the catalog and
    /// writes nothing: Postgres holds it to that.
    ///
    /// # Errors
    /// See [`DoctorError`]; what is wrong in the database is in the list.
    pub async fn examine(&self, connection: &mut PgConnection) -> Result<Vec<Finding>, DoctorError> {
        let mut tx = connection.begin().await.map_err(DoctorError::Catalog)?;
        // Names and expressions then come out fully qualified, whatever the login's search path is. Compiling costs more than it
        // gains here: estimates for the catalog are high, and the catalog is small.
        let read_only = "SET LOCAL transaction_read_only = on; SET LOCAL search_path = pg_catalog; SET LOCAL jit = off";
        sqlx::raw_sql(read_only).execute(&mut *tx).await.map_err(DoctorError::Catalog)?;
        let migrated: bool = sqlx::query_scalar("SELECT to_regprocedure('kernel.protect(regclass, text)') IS NOT NULL")
            .fetch_one(&mut *tx)
            .await
            .map_err(DoctorError::Catalog)?;
        if !migrated {
            return Err(DoctorError::NotMigrated);
        }
        let findings = checks::run(&mut tx).await.map_err(DoctorError::Catalog)?;
        tx.rollback().await.map_err(DoctorError::Catalog)?;
        Ok(self.without_accepted(findings))
    }

    fn without_accepted(&self, mut findings: Vec<Finding>) -> Vec<Finding> {
        let stale: Vec<_> = self.accepted.iter().filter(|exception| !exception.covers_any(&findings)).collect();
        let stale = stale.into_iter().map(Exception::stale).collect::<Vec<_>>();
        let accepted = || self.accepted.iter().chain(exceptions::OF_THE_KERNEL);
        findings.retain(|finding| !accepted().any(|exception| exception.covers(finding)));
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
            problem: format!("`{}` is accepted for it and no longer found", self.check),
            fix: format!("-- remove .accept({:?}, {:?}, …) from the code", self.check, self.object),
        }
    }
}
