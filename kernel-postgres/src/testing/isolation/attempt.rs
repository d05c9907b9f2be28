//! Making one attempt: as the application's login, in one scope, rolled back.

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::catalog::{Table, literal};
use super::judge::{Expect, Outcome, Refused, Verdict, judge};
use super::{Leak, Side, Workspaces, witness};

/// One statement in one scope.
pub(super) struct Attempt {
    pub(super) object: String,
    pub(super) probe: &'static str,
    /// Whose scope, or none at all.
    pub(super) scope: Option<Side>,
    pub(super) sql: String,
    pub(super) expect: Expect,
    /// What to do if it gets through.
    pub(super) fix: String,
}

impl Attempt {
    /// `watched` is the table whose other rows must stay as they are.
    pub(super) async fn make(
        &self,
        app: &mut PgConnection,
        watched: Option<&Table>,
        workspaces: Workspaces,
    ) -> Result<Option<Leak>, sqlx::Error> {
        let own = self.scope.map(|side| workspaces.id(side));
        let mut tx = app.begin().await?;
        let scope = own.as_deref().map(|own| format!("SET LOCAL app.workspace_id = {};", literal(own)));
        let settings = AssertSqlSafe(format!("{} SET CONSTRAINTS ALL IMMEDIATE", scope.unwrap_or_default()));
        sqlx::raw_sql(settings).execute(&mut *tx).await?;
        let before = others(&mut tx, watched, own.as_deref()).await?;
        let result = run(&mut tx, &self.sql).await?;
        // After an error the transaction is lost, and with it whatever it had changed.
        let changed = result.is_ok() && others(&mut tx, watched, own.as_deref()).await? != before;
        tx.rollback().await?;
        Ok(self.leak(judge(&self.expect, &Outcome { result, changed })))
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
                (happened, format!("Say what its columns take: {value}. Tried: {}", self.sql))
            }
        };
        Some(Leak { table: self.object.clone(), probe: self.probe, happened, fix })
    }
}

async fn others(
    tx: &mut PgConnection,
    watched: Option<&Table>,
    own: Option<&str>,
) -> Result<Option<String>, sqlx::Error> {
    match watched {
        Some(table) => witness::others(tx, table, own).await.map(Some),
        None => Ok(None),
    }
}

/// Rows counted by a SELECT, touched by others. An error that is not Postgres' answer is the caller's.
async fn run(tx: &mut PgConnection, sql: &str) -> Result<Result<i64, Refused>, sqlx::Error> {
    let statement = sqlx::query(AssertSqlSafe(sql.to_owned())).persistent(false);
    let done = if sql.starts_with("SELECT") {
        statement.fetch_one(tx).await.and_then(|row| row.try_get(0))
    } else {
        statement.execute(tx).await.map(|done| i64::try_from(done.rows_affected()).unwrap_or(i64::MAX))
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
