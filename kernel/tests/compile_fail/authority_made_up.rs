//! An authority cannot be put together: its fields are private. In a file of its own, because the compiler checks that only where
//! nothing else is wrong.

use saas_kernel::access::Authority;
use saas_kernel::id::WorkspaceId;

fn in_another_workspace(workspace: WorkspaceId, mine: Authority) -> Authority {
    Authority { workspace, ..mine }
}

fn main() {}
