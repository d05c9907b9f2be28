//! Begins transactions such that a dropped future leaves no open transaction behind.

use std::pin::Pin;
use std::task::{Context, Poll};

use saas_kernel::StoreError;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Postgres, SqlSafeStr, Transaction};

use crate::error::PgResult;

type Begun = Result<Transaction<'static, Postgres>, sqlx::Error>;

/// Sends `sql`, which starts with `BEGIN` and contains nothing from outside but typed ids, on `connection`.
pub(crate) async fn begin(
    connection: PoolConnection<Postgres>,
    sql: String,
) -> Result<Transaction<'static, Postgres>, StoreError> {
    let begin = Transaction::begin(connection, Some(AssertSqlSafe(sql).into_sql_str()));
    Unbroken(Some(begin)).await.store()
}

/// Drives the `BEGIN` to its end even if the caller drops the future. sqlx counts a transaction as open only once `BEGIN` was
/// answered: dropped before, the connection would return to the pool with the transaction and its scope still open. If the
/// caller is gone, a task finishes the `BEGIN` and then drops the transaction, which rolls it back.
struct Unbroken<F: Future<Output = Begun> + Send + Unpin + 'static>(Option<F>);

impl<F: Future<Output = Begun> + Send + Unpin + 'static> Future for Unbroken<F> {
    type Output = Begun;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Begun> {
        let Some(begin) = &mut self.0 else { return Poll::Pending };
        let begun = Pin::new(begin).poll(cx);
        if begun.is_ready() {
            self.0 = None;
        }
        begun
    }
}

impl<F: Future<Output = Begun> + Send + Unpin + 'static> Drop for Unbroken<F> {
    fn drop(&mut self) {
        // Without a runtime the process is ending, and its connections with it.
        if let (Some(begin), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move { drop(begin.await) });
        }
    }
}
