//! Notes: a product's own table on the kernel. The migration calls `kernel.protect`; after that a workspace sees only its own
//! notes, whatever SQL runs here, and the plan's limit applies to every row. `tests/notes.rs` tests it on a `TestKernel`.

use std::sync::Arc;

use async_trait::async_trait;
use saas_kernel::audit::{self, action};
use saas_kernel::hooks::SignedUp;
use saas_kernel::{Can, Error, Grant, Hooks, StoreError, Tx, ids, permissions};
use saas_kernel_postgres::{PgRead, PgResult, PgTx};

permissions! {
    /// Read notes.
    pub ReadNote = read "note.read";
    /// Write notes.
    pub WriteNote = write "note.write";
}

ids! {
    /// A note.
    pub NoteId = "note";
}

/// The product's migrations, which run after the kernel's.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Writes a note. The proof is a parameter: without the permission there is no value to pass. The table's trigger counts the
/// note against the limit, and the audit entry commits with the row.
pub async fn write(can: &Can<WriteNote>, tx: &mut PgTx, text: &str) -> Result<NoteId, Error> {
    let id = NoteId::generate(can.now());
    sqlx::query("INSERT INTO notebook.notes (workspace_id, id, text, created_at) VALUES ($1, $2, $3, $4)")
        .bind(can.workspace().uuid())
        .bind(id.uuid())
        .bind(text)
        .bind(can.now())
        .execute(tx.conn())
        .await
        .store()?;
    audit::record(can, tx, action::RESOURCE_CREATE, "note", id)?;
    Ok(id)
}

/// The workspace's notes, newest first.
pub async fn list(can: &Can<ReadNote>, tx: &mut PgRead) -> Result<Vec<String>, StoreError> {
    let select = "SELECT text FROM notebook.notes WHERE workspace_id = $1 ORDER BY created_at DESC, id DESC LIMIT 100";
    tx.fetch_all(sqlx::query_scalar(select).bind(can.workspace().uuid())).await
}

/// The product's hooks.
pub struct Notebook;

#[async_trait]
impl Hooks for Notebook {
    /// Adds a first note in the transaction of the sign-up, so that nobody starts with an empty page.
    async fn on_signup(&self, grant: &Arc<Grant>, tx: &mut dyn Tx, _: &SignedUp) -> Result<(), Error> {
        write(&grant.allow::<WriteNote>()?, PgTx::of(tx)?, "Welcome").await?;
        Ok(())
    }
}
