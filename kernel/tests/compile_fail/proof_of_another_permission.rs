//! The proof of one permission is no proof of another.

use saas_kernel::permissions::ReadWorkspace;
use saas_kernel::tenancy::workspaces::{Rename, rename};
use saas_kernel::{Can, Tx};

async fn reads_and_renames(can: &Can<ReadWorkspace>, tx: &mut dyn Tx) {
    let _ = rename(can, tx, Rename::default()).await;
}

fn main() {}
