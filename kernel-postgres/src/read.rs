//! Read transactions: [`PgRead`], and the product's own queries in it.

use saas_kernel::StoreError;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::{Map, Query, QueryAs, QueryScalar};
use sqlx::{Error, FromRow, PgConnection, Postgres};

use crate::error::{PgResult, refused_to_write};
use crate::tx::{PgTx, ReadOnly, TxMode};

/// A transaction that reads one scope; see [`PgStore::read`](crate::PgStore::read). Postgres refuses every write in it. There is
/// nothing to commit: dropping it ends it.
///
/// It gives no connection, so that a replica or a single statement can serve it:
///
/// ```compile_fail,E0599
/// fn connection(read: &mut saas_kernel_postgres::PgRead) {
///     read.conn(); // only a transaction that writes has one
/// }
/// ```
///
/// A mutation does not take it:
///
/// ```compile_fail,E0277
/// use saas_kernel::permissions::UpdateWorkspace;
/// use saas_kernel::tenancy::workspaces::{Rename, rename};
///
/// async fn write(can: &saas_kernel::Can<UpdateWorkspace>, read: &mut saas_kernel_postgres::PgRead) {
///     let _ = rename(can, read, Rename::default()).await;
/// }
/// ```
pub type PgRead = PgTx<ReadOnly>;

/// The product's own queries, in a read as in a transaction that writes. A function that takes `&mut PgTx<impl TxMode>` is called
/// with both. Do not begin or end transactions with SQL.
impl<M: TxMode> PgTx<M> {
    /// Runs the query and returns all rows. Bound their number with `LIMIT`.
    ///
    /// # Errors
    /// As the database answers. A write in a [`PgRead`] is `Backend`, and the transaction is over.
    pub async fn fetch_all<Q: PgQuery>(&mut self, query: Q) -> Result<Vec<Q::Output>, StoreError> {
        Self::translated(query.all(self.connection()).await)
    }

    /// Runs the query and returns its first row.
    ///
    /// # Errors
    /// As [`PgTx::fetch_all`]; `Backend` if there is no row.
    pub async fn fetch_one<Q: PgQuery>(&mut self, query: Q) -> Result<Q::Output, StoreError> {
        let row = query.optional(self.connection()).await;
        Self::translated(row.and_then(|row| row.ok_or(Error::RowNotFound)))
    }

    /// Runs the query and returns its first row, or `None` if there is none.
    ///
    /// # Errors
    /// As [`PgTx::fetch_all`].
    pub async fn fetch_optional<Q: PgQuery>(&mut self, query: Q) -> Result<Option<Q::Output>, StoreError> {
        Self::translated(query.optional(self.connection()).await)
    }

    fn translated<T>(result: Result<T, Error>) -> Result<T, StoreError> {
        match result {
            Err(error) if M::READ_ONLY && refused_to_write(&error) => Err(StoreError::backend(format!(
                "a read (`PgStore::read`) cannot write; begin the transaction with `PgStore::begin_tenant`: {error}"
            ))),
            other => other.store(),
        }
    }
}

/// A query of sqlx with its arguments: `query`, `query_as`, `query_scalar`, and those of the macros.
pub trait PgQuery: sealed::Sealed + Send {
    /// What a row becomes.
    type Output: Send;

    #[doc(hidden)]
    fn all(self, connection: &mut PgConnection) -> impl Future<Output = Result<Vec<Self::Output>, Error>> + Send;

    #[doc(hidden)]
    fn optional(
        self,
        connection: &mut PgConnection,
    ) -> impl Future<Output = Result<Option<Self::Output>, Error>> + Send;
}

mod sealed {
    /// Implemented here only: an implementation elsewhere would be handed the connection.
    pub trait Sealed {}
}

/// Implements [`PgQuery`] with the query's own functions of the same meaning.
macro_rules! queries {
    ($([$($generics:tt)*] $query:ty => $output:ty, where { $($bounds:tt)* })*) => {
        $(impl<$($generics)*> sealed::Sealed for $query where $($bounds)* {}

        impl<$($generics)*> PgQuery for $query where $($bounds)* {
            type Output = $output;

            async fn all(self, connection: &mut PgConnection) -> Result<Vec<$output>, Error> {
                self.fetch_all(connection).await
            }

            async fn optional(self, connection: &mut PgConnection) -> Result<Option<$output>, Error> {
                self.fetch_optional(connection).await
            }
        })*
    };
}

queries! {
    [] Query<'_, Postgres, PgArguments> => PgRow, where {}
    [O] QueryAs<'_, Postgres, O, PgArguments> => O, where { O: Send + Unpin + for<'r> FromRow<'r, PgRow> }
    [O] QueryScalar<'_, Postgres, O, PgArguments> => O, where { O: Send + Unpin, (O,): for<'r> FromRow<'r, PgRow> }
    [F, O] Map<'_, Postgres, F, PgArguments> => O, where { F: FnMut(PgRow) -> Result<O, Error> + Send, O: Send + Unpin }
}
