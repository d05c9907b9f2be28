//! A read transaction is nothing to write with: no mutation takes it, and it leads to neither a transaction nor a connection.

use saas_kernel::permissions::UpdateWorkspace;
use saas_kernel::tenancy::workspaces::{Rename, rename};
use saas_kernel::{Can, ReadTx, Tx};

async fn mutates(can: &Can<UpdateWorkspace>, tx: &mut dyn ReadTx) {
    let _ = rename(can, tx, Rename::default()).await;
}

fn enters(can: &Can<UpdateWorkspace>, tx: &mut dyn ReadTx) {
    let _ = can.enter(tx);
}

async fn writes(can: &Can<UpdateWorkspace>, tx: &mut dyn ReadTx) {
    let _ = tx.reads().workspaces().lock(can.workspace()).await;
}

fn records(tx: &mut dyn ReadTx) {
    tx.records();
}

async fn commits(tx: Box<dyn ReadTx>) {
    let _ = tx.commit().await;
}

fn takes_the_adapters_transaction_out(tx: &mut dyn ReadTx) -> Option<&mut u8> {
    (tx as &mut dyn std::any::Any).downcast_mut()
}

fn main() {}
