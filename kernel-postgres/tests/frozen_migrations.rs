//! The kernel's migrations are append-only: databases have run them.

use std::fmt::Write;
use std::path::Path;

use saas_kernel::BoxError;
use sha2::{Digest, Sha256};

const FROZEN: &str = include_str!("migrations.sha256");

/// A file that was released never changes; a new one is added to the table once, when it is released.
#[test]
fn released_migrations_do_not_change() -> Result<(), BoxError> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> = std::fs::read_dir(&folder)?.collect::<Result<Vec<_>, _>>()?;
    files.sort_by_key(std::fs::DirEntry::file_name);
    let mut table = String::new();
    for file in files.iter().filter(|file| file.path().extension().is_some_and(|extension| extension == "sql")) {
        let hash = Sha256::digest(std::fs::read(file.path())?);
        let hash = hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        writeln!(table, "{hash}  {}", file.file_name().to_string_lossy())?;
    }
    assert!(
        table == FROZEN,
        "a migration was changed, or one is missing from kernel-postgres/tests/migrations.sha256. Migrations are append-only: \
         undo a change to an old file and add a new one instead; for a new file, write this table to it:\n{table}"
    );
    Ok(())
}
