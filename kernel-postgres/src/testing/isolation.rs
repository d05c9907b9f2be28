//! Tries, as the application's login, to reach from one workspace into another: every table with a `workspace_id`, found in the
//! catalog, the kernel's and the product's; and asks the doctor for what that login's attempts cannot show.

mod attempt;
mod candidates;
mod catalog;
mod judge;
mod probes;
mod row;
mod seed;
mod witness;

use std::collections::BTreeMap;
use std::fmt;

use saas_kernel::BoxError;
use saas_kernel::clock::{Clock, SystemClock};
use saas_kernel::id::WorkspaceId;
use sqlx::{Connection, PgConnection};

use self::catalog::Catalog;
use super::{TestDb, TestDbError};
use crate::doctor::{Doctor, DoctorError, Finding};

/// One line in a product's tests: `assert_tenant_isolation(&db).await?;` on a migrated database of the test's own, in which
/// it leaves a few rows. Tables it cannot fill need [`TenantIsolation::value`].
///
/// For every table it makes two workspaces with a row each and then tries, with kernel_app's own login and the scope of the
/// first, of a third and of none, to see, insert, change, take over, delete and overwrite the other's row and to refer to it; and
/// to see it through every view with that column.
/// Each attempt is rolled back. Whether anything changed is looked up past row-level security.
///
/// What these attempts cannot show, such as row-level security that is not forced on a table's owner or a definer function whose search path
/// the caller chooses, the [`Doctor`] finds in the same database; each of its findings is one line too.
///
/// # Errors
/// [`IsolationError::Leaks`] with one line for each attempt that got through or could not be made, and for each finding; others if the
/// database does not answer.
pub async fn assert_tenant_isolation(db: &TestDb) -> Result<IsolationReport, IsolationError> {
    TenantIsolation::new().assert(db).await
}

/// [`assert_tenant_isolation`] for a product whose tables need values of their own or that decided to live with something.
#[derive(Clone, Debug, Default)]
pub struct TenantIsolation {
    values: BTreeMap<(&'static str, &'static str), &'static str>,
    accepted: Vec<(&'static str, &'static str)>,
    doctor: Doctor,
}

/// What the kernel does on purpose.
const ACCEPTED: &[(&str, &str)] = &[
    // A slug is claimed globally: a taken one is a deliberate answer.
    ("kernel.slugs", "duplicate"),
];

/// One attempt that got through, or could not be made; or one of the doctor's findings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// `app.tasks`; also a view. Of a finding its object: `policy anyone ON app.tasks`.
    pub table: String,
    /// The attempt's name, which stays the same from version to version: `select`, `insert`, `update`, `move`, `delete`, `upsert`,
    /// `duplicate`, `foreign_key`, the first five with `_without_scope` or `_of_all`; `seed` and `own_row` if it could not be made. Of a finding its check: `rls_not_forced`.
    pub probe: &'static str,
    /// What happened.
    pub happened: String,
    /// What to do about it.
    pub fix: String,
}

impl From<Finding> for Leak {
    fn from(Finding { check, object, problem, fix }: Finding) -> Self {
        Self { table: object, probe: check, happened: problem, fix }
    }
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}. {}", self.table, self.probe, self.happened, self.fix)
    }
}

/// What was tried, when nothing got through and the doctor found nothing.
#[derive(Clone, Debug)]
pub struct IsolationReport {
    /// The tenant tables, by name.
    pub tables: Vec<String>,
    /// How many attempts were made on them.
    pub probes: usize,
}

impl fmt::Display for IsolationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} attempts on {} tables, none got through; the doctor found nothing",
            self.probes,
            self.tables.len()
        )
    }
}

/// Why isolation is not proven. `Debug` is the same text: it is what a test that returns it prints.
#[derive(thiserror::Error)]
pub enum IsolationError {
    /// These got through, could not be tried, or were found by the doctor.
    #[error("workspaces are not isolated:\n{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Leaks(Vec<Leak>),
    /// The database did not answer what had to be known.
    #[error("isolation could not be tried: {0}")]
    Broken(#[source] BoxError),
}

saas_kernel::debug_explains!(IsolationError);

impl From<sqlx::Error> for IsolationError {
    fn from(error: sqlx::Error) -> Self {
        Self::Broken(error.into())
    }
}

impl From<DoctorError> for IsolationError {
    fn from(error: DoctorError) -> Self {
        Self::Broken(error.into())
    }
}

impl From<TestDbError> for IsolationError {
    fn from(error: TestDbError) -> Self {
        Self::Broken(error.into())
    }
}

/// The workspaces: one that tries, one that is tried on, and one that has no rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workspaces([WorkspaceId; 3]);

impl Workspaces {
    fn generate() -> Self {
        Self(std::array::from_fn(|_| WorkspaceId::generate(SystemClock.now())))
    }

    fn id(&self, side: Side) -> String {
        let [a, b, empty] = self.0;
        match side {
            Side::A => a.uuid().to_string(),
            Side::B => b.uuid().to_string(),
            Side::Empty => empty.uuid().to_string(),
        }
    }
}

/// One of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// Tries.
    A,
    /// Is tried on.
    B,
    /// Has no rows; what an attempt would insert is made for it.
    Empty,
}

impl TenantIsolation {
    /// Generates every value from the catalog and accepts nothing but what the kernel does on purpose.
    pub fn new() -> Self {
        Self::default()
    }

    /// The SQL expression for a column that the catalog says too little about: `.value("app.tasks", "code", "'T-00{n}'")`.
    /// `{n}` becomes 1, 2 and 3, so that the rows differ.
    #[must_use]
    pub fn value(mut self, table: &'static str, column: &'static str, sql: &'static str) -> Self {
        self.values.insert((table, column), sql);
        self
    }

    /// The doctor to ask, with what the product accepts: the one that examines its databases in production.
    #[must_use]
    pub fn doctor(mut self, doctor: Doctor) -> Self {
        self.doctor = doctor;
        self
    }

    /// Lets one attempt on one table through, both named as in [`Leak`]; `why` is for who reads the code. One that no longer gets
    /// through fails, so the list only shrinks.
    #[must_use]
    pub fn accept(mut self, table: &'static str, probe: &'static str, why: &'static str) -> Self {
        let _ = why;
        self.accepted.push((table, probe));
        self
    }

    /// As [`assert_tenant_isolation`].
    ///
    /// # Errors
    /// As [`assert_tenant_isolation`].
    pub async fn assert(&self, db: &TestDb) -> Result<IsolationReport, IsolationError> {
        let mut admin = db.admin().await?;
        let mut app = PgConnection::connect(&db.app_url()).await?;
        let catalog = Catalog::read(&mut admin).await?;
        let workspaces = Workspaces::generate();
        let mut leaks = Vec::new();
        let seeds = seed::all(&mut admin, &catalog, workspaces, &self.values, &mut leaks).await?;
        witness::call(&mut admin).await?;
        let tried = probes::all(&mut app, &catalog, &seeds, workspaces, &mut leaks).await;
        witness::dismiss(&mut admin).await?;
        // After the witness has left, which is a definer function of an administrator.
        leaks.extend(self.doctor.examine(&mut admin).await?.into_iter().map(Leak::from));
        let report =
            IsolationReport { tables: catalog.tenants().map(|table| table.name.clone()).collect(), probes: tried? };
        let leaks = self.without_accepted(leaks);
        if leaks.is_empty() { Ok(report) } else { Err(IsolationError::Leaks(leaks)) }
    }

    fn without_accepted(&self, mut leaks: Vec<Leak>) -> Vec<Leak> {
        let is = |leak: &Leak, (table, probe): &(&str, &str)| leak.table == *table && leak.probe == *probe;
        let stale = self.accepted.iter().filter(|accepted| !leaks.iter().any(|leak| is(leak, accepted)));
        let stale: Vec<_> = stale.copied().collect();
        leaks.retain(|leak| !self.accepted.iter().chain(ACCEPTED).any(|accepted| is(leak, accepted)));
        leaks.extend(stale.into_iter().map(|(table, probe)| Leak {
            table: table.to_owned(),
            probe,
            happened: "it is accepted and no longer gets through".to_owned(),
            fix: "Remove the call of `accept`".to_owned(),
        }));
        leaks
    }
}
