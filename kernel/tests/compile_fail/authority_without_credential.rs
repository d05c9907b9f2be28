//! An authority comes from a credential; there is no other way to one.

use std::sync::Arc;

use saas_kernel::access::Authority;
use saas_kernel::id::WorkspaceId;

fn makes_one_up(workspace: WorkspaceId) -> Arc<Authority> {
    Arc::new(Authority { workspace, ..todo!() })
}

fn takes_it_over(mine: &mut Authority, theirs: WorkspaceId) {
    mine.workspace = theirs;
}

fn is_the_kernel(mine: &Authority) -> Authority {
    Authority::system(todo!(), "product", mine.workspace(), None, todo!())
}

fn main() {}
