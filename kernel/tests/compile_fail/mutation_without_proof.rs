//! A mutation without a permission check: there is nothing to call it with.

use saas_kernel::permissions::UpdateWorkspace;
use saas_kernel::tenancy::workspaces::{Rename, rename};
use saas_kernel::{Can, Grant, Tx};

async fn skips_the_check(grant: &Grant, tx: &mut dyn Tx) {
    let _ = rename(grant, tx, Rename::default()).await;
}

async fn makes_the_proof_up(grant: std::sync::Arc<Grant>, tx: &mut dyn Tx) {
    let can: Can<UpdateWorkspace> = Can(grant, std::marker::PhantomData);
    let _ = rename(&can, tx, Rename::default()).await;
}

fn main() {}
