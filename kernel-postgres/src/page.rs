//! Binds a page request as three parameters: time and id of the position, and the number of rows.

use saas_kernel::page::PageRequest;
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;

pub(crate) trait BindPage {
    /// Binds the position after which the page begins, both `NULL` for the first page, and the number of rows to fetch.
    fn bind_page(self, page: &PageRequest) -> Self;
}

impl<O> BindPage for QueryAs<'_, Postgres, O, PgArguments> {
    fn bind_page(self, page: &PageRequest) -> Self {
        self.bind(page.after.map(|after| after.at)).bind(page.after.map(|after| after.id)).bind(page.fetch())
    }
}
