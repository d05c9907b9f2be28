//! A scope comes from a proof; bare ids make none.

use saas_kernel::store::Reach;
use saas_kernel::{Proof, Scope, id::WorkspaceId};

fn reaches_for_another(workspace: WorkspaceId) -> Scope {
    workspace.scope();
    Scope { reach: Reach::Tenant(workspace) }
}

fn main() {}
