//! Makes one attempt, as kernel_app and in one scope, and rolls it back.

use sqlx::{AssertSqlSafe, Connection, Decode, PgConnection, Postgres, Row, Type};

use super::catalog::{Table, literal};
use super::judge::{Expect, Outcome, Refused, Verdict, judge};
use super::{Leak, Side, Workspaces, witness};

/// One statement in one scope.
pub(super) struct Attempt {
    pub(super) object: String,
    pub(super) probe: &'static str,
    /// The workspace whose scope is set; `None` for no scope.
    pub(super) scope: Option<Side>,
    pub(super) sql: String,
    pub(super) expect: Expect,
    /// What to do if the attempt succeeds.
    pub(super) fix: String,
}

impl Attempt {
    /// Makes the attempt. `watched` is the table whose rows of other workspaces must not change.
    pub(super) async fn make(
        &self,
        app: &mut PgConnection,
        watched: Option<&Table>,
        workspaces: Workspaces,
    ) -> Result<Option<Leak>, sqlx::Error> {
        let own = self.scope.map(|side| workspaces.id(side));
        let mut tx = app.begin().await?;
        let scope = own.as_deref().map(|own| format!("SET LOCAL app.workspace_id = {};", literal(own)));
        let settings = format!("{} SET CONSTRAINTS ALL IMMEDIATE;", scope.unwrap_or_default());
        // Views have no rows of their own.
        let others = watched.map_or_else(|| "SELECT ''".to_owned(), |table| witness::question(table, own.as_deref()));
        let before: String = one(&mut tx, format!("{settings} {others}")).await?;
        let result = self.run(&mut tx).await?;
        // An error aborts the transaction, so it cannot have changed anything.
        let changed = result.is_ok() && one::<String>(&mut tx, others).await? != before;
        tx.rollback().await?;
        Ok(self.leak(judge(&self.expect, &Outcome { result, changed })))
    }

    /// Runs the statement: counts the rows of a SELECT or the affected rows. Errors that are not Postgres' own are returned as
    /// errors.
    async fn run(&self, tx: &mut PgConnection) -> Result<Result<i64, Refused>, sqlx::Error> {
        let sql = self.sql.clone();
        let done = if sql.starts_with("SELECT") {
            one(tx, sql).await
        } else {
            let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(tx).await;
            done.map(|done| i64::try_from(done.rows_affected()).unwrap_or(i64::MAX))
        };
        match done {
            Ok(rows) => Ok(Ok(rows)),
            Err(sqlx::Error::Database(error)) => Ok(Err(Refused {
                code: error.code().unwrap_or_default().into_owned(),
                message: error.message().to_owned(),
                constraint: error.constraint().unwrap_or_default().to_owned(),
            })),
            Err(error) => Err(error),
        }
    }

    fn leak(&self, verdict: Verdict) -> Option<Leak> {
        let (happened, fix) = match verdict {
            Verdict::Held => return None,
            Verdict::GotThrough(happened) => (happened, self.fix.clone()),
            Verdict::Unclear(happened) => {
                let value = format!(
                    "TenantIsolation::new().value(\"{}\", \"a_column\", \"'an SQL expression {{n}}'\")",
                    self.object
                );
                (happened, format!("Give values for its columns: {value}. Tried: {}", self.sql))
            }
        };
        Some(Leak { table: self.object.clone(), probe: self.probe, happened, fix })
    }
}

/// The first column of the first row.
async fn one<T>(tx: &mut PgConnection, sql: String) -> Result<T, sqlx::Error>
where
    T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
{
    sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(tx).await?.try_get(0)
}
