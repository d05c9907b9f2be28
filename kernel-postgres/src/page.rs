//! Pages of lists, as three binds: after when, after which id, and how many.

use saas_kernel::page::PageRequest;
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;

pub(crate) trait BindPage {
    /// Binds where the page begins, both `NULL` for the first, and how many rows to fetch.
    fn bind_page(self, page: &PageRequest) -> Self;
}

impl<O> BindPage for QueryAs<'_, Postgres, O, PgArguments> {
    fn bind_page(self, page: &PageRequest) -> Self {
        self.bind(page.after.map(|after| after.at)).bind(page.after.map(|after| after.id)).bind(page.fetch())
    }
}
