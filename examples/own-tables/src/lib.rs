//! Notes: a table of one's own on the kernel. The migration says `kernel.protect`; from then on a workspace sees its own
//! notes only, whatever the SQL here says, and the plan's limit holds for every row however it comes.

use async_trait::async_trait;
use saas_kernel::audit::{self, action};
use saas_kernel::hooks::SignedUp;
use saas_kernel::id::WorkspaceId;
use saas_kernel::{Can, DateTime, Error, Hooks, StoreError, Tx, Utc, ids, permissions};
use saas_kernel_postgres::{PgResult, PgTx};
use sqlx::PgConnection;

permissions! {
    /// Read notes.
    pub ReadNote = "note.read";
    /// Write notes.
    pub WriteNote = "note.write";
}

ids! {
    /// A note.
    pub NoteId = "note";
}

/// The product's migrations, run after the kernel's.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Writes a note. The proof is a parameter: without the permission there is nothing to call this with. The place in the
/// plan is taken by the table itself, and the entry of the audit log commits with the row.
pub async fn write(can: &Can<WriteNote>, tx: &mut PgTx, text: &str) -> Result<NoteId, Error> {
    let id = insert(tx.conn(), can.workspace(), can.now(), text).await?;
    audit::record(can, tx, action::RESOURCE_CREATE, "note", id)?;
    Ok(id)
}

/// The workspace's notes, newest first.
pub async fn list(can: &Can<ReadNote>, tx: &mut PgTx) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar(
        "SELECT text FROM notebook.notes WHERE workspace_id = $1 ORDER BY created_at DESC, id DESC LIMIT 100",
    )
    .bind(can.workspace().uuid())
    .fetch_all(tx.conn())
    .await
    .store()
}

async fn insert(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    at: DateTime<Utc>,
    text: &str,
) -> Result<NoteId, StoreError> {
    let id = NoteId::generate(at);
    sqlx::query("INSERT INTO notebook.notes (workspace_id, id, text, created_at) VALUES ($1, $2, $3, $4)")
        .bind(workspace.uuid())
        .bind(id.uuid())
        .bind(text)
        .bind(at)
        .execute(conn)
        .await
        .store()?;
    Ok(id)
}

/// What the product adds to the kernel's own flows.
pub struct Notebook;

#[async_trait]
impl Hooks for Notebook {
    /// Nobody starts with an empty page: the first note is part of the sign-up, or there is no sign-up.
    async fn on_signup(&self, tx: &mut dyn Tx, signed_up: &SignedUp) -> Result<(), Error> {
        insert(PgTx::of(tx)?.conn(), signed_up.workspace.id, signed_up.at, "Welcome").await?;
        Ok(())
    }
}
