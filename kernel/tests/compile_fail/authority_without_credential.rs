//! An authority comes from a credential; there is no other way to one.

use saas_kernel::access::Authority;
use saas_kernel::id::WorkspaceId;

fn makes_one_up(mine: Authority, theirs: WorkspaceId) -> Authority {
    Authority { workspace: theirs, ..mine }
}

fn takes_it_over(mine: &mut Authority, theirs: WorkspaceId) {
    mine.workspace = theirs;
}

fn is_the_kernel() {
    let _ = Authority::system;
}

fn main() {}
