//! The test of tenant isolation. As kernel_app it tries to access one workspace's rows from another, on every table of the
//! kernel and the product that has a `workspace_id`, and it asks the doctor for defects that such attempts cannot show.

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
use crate::names::Names;

/// Tests tenant isolation with one line: `assert_tenant_isolation(&db).await?;` on a migrated database of the test's own, in
/// which it leaves a few rows. Tables that it cannot fill need [`TenantIsolation::value`].
///
/// For every table it creates two workspaces with a row each. Then it tries, as kernel_app with the scope of the first
/// workspace, of a third and of none, to select, insert, update, move, delete and overwrite the second one's row, to reference
/// it, and to select it through every view with that column. Each attempt is rolled back. An administrator checks whether
/// anything changed.
///
/// The [`Doctor`] examines the same database for defects that these attempts cannot show, such as row-level security that is
/// not forced on a table's owner, or a definer function whose search path the caller chooses; each of its findings is one line
/// too.
///
/// # Errors
/// [`IsolationError::Leaks`] with one line for each attempt that succeeded or could not be made, and for each finding; another
/// error if the database does not answer.
pub async fn assert_tenant_isolation(db: &TestDb) -> Result<IsolationReport, IsolationError> {
    TenantIsolation::new().assert(db).await
}

/// [`assert_tenant_isolation`] for a product whose tables need certain values, or that accepts some findings.
#[derive(Clone, Debug, Default)]
pub struct TenantIsolation {
    values: BTreeMap<(&'static str, &'static str), &'static str>,
    accepted: Vec<(&'static str, &'static str)>,
    doctor: Doctor,
}

/// Attempts that succeed on the kernel's own tables on purpose.
const ACCEPTED: &[(&str, &str)] = &[
    // Slugs are unique across workspaces; that a slug is taken is shown on purpose.
    ("kernel.slugs", "duplicate"),
];

/// An attempt that succeeded or could not be made, or a finding of the doctor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leak {
    /// Name of the table or view, such as `app.tasks`; for a finding its object, such as `policy anyone ON app.tasks`.
    pub table: String,
    /// Stable name of the attempt: `select`, `insert`, `update`, `move`, `delete`, `upsert`, `duplicate`, `foreign_key`, the
    /// first five with `_without_scope` or `_of_all`; `seed` and `own_row` if it could not be made. For a finding the name of
    /// its check: `rls_not_forced`.
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

/// The attempts that were made, if none succeeded and the doctor found nothing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IsolationReport {
    /// Names of the tenant tables.
    pub tables: Vec<String>,
    /// Number of attempts.
    pub probes: usize,
}

impl fmt::Display for IsolationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} attempts on {} tables, none succeeded; the doctor found nothing", self.probes, self.tables.len())
    }
}

/// Why isolation is not proven. `Debug` shows the same text, because a test that returns the error prints it.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum IsolationError {
    /// Attempts that succeeded or could not be made, and findings of the doctor.
    #[error("workspaces are not isolated:\n{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Leaks(Vec<Leak>),
    /// A query that the test needs failed.
    #[error("tenant isolation could not be tested: {0}")]
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

/// The three workspaces: one that tries, one whose rows are tried, and one without rows.
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

/// One of the three workspaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// The workspace in whose scope the attempts are made.
    A,
    /// The workspace whose rows the attempts try to access.
    B,
    /// The workspace without rows, for which attempts insert rows.
    Empty,
}

impl TenantIsolation {
    /// Generates all values from the catalog, and accepts only the kernel's own exceptions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the SQL expression for a column whose type says too little: `.value("app.tasks", "code", "'T-00{n}'")`. `{n}`
    /// becomes 1, 2 and 3, so that the rows differ.
    #[must_use]
    pub fn value(mut self, table: &'static str, column: &'static str, sql: &'static str) -> Self {
        self.values.insert((table, column), sql);
        self
    }

    /// Sets the doctor, with the findings that the product accepts: use the one that examines the databases in production.
    #[must_use]
    pub fn doctor(mut self, doctor: Doctor) -> Self {
        self.doctor = doctor;
        self
    }

    /// Accepts that one attempt on one table succeeds, both named as in [`Leak`]; `why` documents the reason in the code. An
    /// accepted attempt that no longer succeeds is an error, so that the list only shrinks.
    #[must_use]
    pub fn accept(mut self, table: &'static str, probe: &'static str, why: &'static str) -> Self {
        let _ = why;
        self.accepted.push((table, probe));
        self
    }

    /// Runs the test; see [`assert_tenant_isolation`].
    ///
    /// # Errors
    /// See [`assert_tenant_isolation`].
    pub async fn assert(&self, db: &TestDb) -> Result<IsolationReport, IsolationError> {
        let (names, mut admin) = (db.names(), db.admin().await?);
        let mut app = PgConnection::connect(&db.app_url()).await?;
        let catalog = Catalog::read(&mut admin, &names).await?;
        let workspaces = Workspaces::generate();
        let mut leaks = Vec::new();
        let seeds = seed::all(&mut admin, &catalog, workspaces, &self.values, &names, &mut leaks).await?;
        witness::call(&mut admin, &names).await?;
        let tried = probes::all(&mut app, &catalog, &seeds, workspaces, &mut leaks).await;
        witness::dismiss(&mut admin).await?;
        // After the witness is dropped, which is a definer function of an administrator and would be a finding.
        for leak in &mut leaks {
            leak.fix = names.text(&leak.fix).into_owned();
        }
        let doctor = self.doctor.clone().named(names.clone());
        leaks.extend(doctor.examine(&mut admin).await?.into_iter().map(Leak::from));
        let report =
            IsolationReport { tables: catalog.tenants().map(|table| table.name.clone()).collect(), probes: tried? };
        let leaks = self.without_accepted(leaks, &names);
        if leaks.is_empty() { Ok(report) } else { Err(IsolationError::Leaks(leaks)) }
    }

    fn without_accepted(&self, mut leaks: Vec<Leak>, names: &Names) -> Vec<Leak> {
        let is = |leak: &Leak, (table, probe): &(&str, &str)| leak.table == *table && leak.probe == *probe;
        let stale = self.accepted.iter().filter(|accepted| !leaks.iter().any(|leak| is(leak, accepted)));
        let stale: Vec<_> = stale.copied().collect();
        leaks.retain(|leak| !self.accepted.iter().any(|accepted| is(leak, accepted)));
        let kernels =
            |leak: &Leak, (table, probe): &(&str, &str)| leak.table == names.text(table) && leak.probe == *probe;
        leaks.retain(|leak| !ACCEPTED.iter().any(|accepted| kernels(leak, accepted)));
        leaks.extend(stale.into_iter().map(|(table, probe)| Leak {
            table: table.to_owned(),
            probe,
            happened: "it is accepted, but no longer succeeds".to_owned(),
            fix: "Remove the call of `accept`".to_owned(),
        }));
        leaks
    }
}
