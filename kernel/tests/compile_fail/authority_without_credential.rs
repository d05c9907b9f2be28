//! An authority comes from a credential: it cannot be moved to another workspace, and the kernel's own is the kernel's.

use saas_kernel::access::Authority;
use saas_kernel::id::WorkspaceId;

fn takes_it_over(mine: &mut Authority, theirs: WorkspaceId) {
    mine.workspace = theirs;
}

fn is_the_kernel() {
    let _ = Authority::system;
}

fn main() {}
