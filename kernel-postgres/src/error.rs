//! Translates sqlx errors to the kernel's [`StoreError`].

use saas_kernel::{BoxError, StoreError};
use sqlx::Error;
use sqlx::error::DatabaseError;

/// Adds `.store()` to sqlx results, which translates the error, so that `?` works where a [`StoreError`] is expected. It is a
/// trait because the orphan rule forbids `From<sqlx::Error> for StoreError`.
pub trait PgResult<T> {
    /// Translates the error of the result to a [`StoreError`].
    fn store(self) -> Result<T, StoreError>;
}

impl<T> PgResult<T> for Result<T, Error> {
    fn store(self) -> Result<T, StoreError> {
        self.map_err(meaning)
    }
}

/// The [`StoreError`] that an sqlx error means.
pub(crate) fn meaning(error: Error) -> StoreError {
    match &error {
        Error::Database(database) => of_database(&**database).unwrap_or_else(|| StoreError::Backend(Box::new(error))),
        Error::Io(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::Tls(_)
        | Error::WorkerCrashed
        | Error::BeginFailed
        | Error::Protocol(_) => StoreError::Unavailable(Box::new(error)),
        _ => StoreError::Backend(Box::new(error)),
    }
}

/// Translates by SQLSTATE (PostgreSQL documentation, appendix A).
fn of_database(error: &dyn DatabaseError) -> Option<StoreError> {
    let constraint = || error.constraint().unwrap_or("unknown").to_owned();
    let code = error.code()?;
    Some(match &*code {
        "23505" => StoreError::Conflict(constraint()),
        "23503" => reference(error, error.message().starts_with("update or delete on table")),
        "23001" => reference(error, true), // ON DELETE RESTRICT, since PostgreSQL 18
        "KL001" => StoreError::Limit(constraint()),
        "40001" | "40P01" => StoreError::Serialization,
        "55P03" => StoreError::Locked,
        "57014" => StoreError::Timeout,
        // shutting down, crashed, starting up, idle in transaction for too long, read-only standby after a failover (in a read,
        // `refused_to_write` asks first)
        "57P01" | "57P02" | "57P03" | "25P03" | "25006" => StoreError::Unavailable(text(error)),
        // no connection; no resources
        code if code.starts_with("08") || code.starts_with("53") => StoreError::Unavailable(text(error)),
        _ => return None,
    })
}

/// Whether Postgres refused to write in a read-only transaction. On a standby every transaction is read-only, which the code does
/// not tell apart: only where the transaction was begun read-only is it the statement's fault.
pub(crate) fn refused_to_write(error: &Error) -> bool {
    error.as_database_error().and_then(DatabaseError::code).as_deref() == Some("25006")
}

/// Both directions have the code 23503, and the table is the one that refers: only the message tells them apart. Where it is not
/// in English it does not, and the write is taken for one that refers to nothing.
fn reference(error: &dyn DatabaseError, in_use: bool) -> StoreError {
    let table = error.table().unwrap_or("unknown").to_owned();
    let field = field(error.constraint().unwrap_or("unknown"), &table);
    StoreError::Reference { table, field, in_use }
}

/// Under row-level security Postgres does not tell which columns refer, so they are taken from the name that it gave the
/// constraint: `tasks_workspace_id_project_id_fkey` is `project_id`. A name of the product's own stays as it is.
fn field(constraint: &str, table: &str) -> String {
    let numbered = constraint.trim_end_matches(|c: char| c.is_ascii_digit());
    let columns = numbered.strip_suffix("_fkey").and_then(|name| name.strip_prefix(table)?.strip_prefix('_'));
    columns.map_or(constraint, |columns| columns.strip_prefix("workspace_id_").unwrap_or(columns)).to_owned()
}

fn text(error: &dyn DatabaseError) -> BoxError {
    error.to_string().into()
}

/// The error for a stored value that this version cannot read; names table and column.
pub(crate) fn bad_row(table: &'static str, column: &'static str, value: &str) -> StoreError {
    StoreError::backend(format!("kernel.{table}.{column} holds `{value}`, which this version cannot read"))
}
