//! A scope comes from a proof; bare ids make none, and neither does a proof of one's own.

use saas_kernel::id::WorkspaceId;
use saas_kernel::store::Reach;
use saas_kernel::{Proof, Scope};

fn reaches_for_another(workspace: WorkspaceId) -> Scope {
    workspace.scope();
    Scope { reach: Reach::workspace(workspace) }
}

struct Claim(Scope);

impl Proof for Claim {
    fn scope(&self) -> Scope {
        self.0.clone()
    }
}

fn main() {}
