//! A grant needs an authority and a call: an actor or an id is neither.

use std::sync::Arc;

use saas_kernel::id::WorkspaceId;
use saas_kernel::{Actor, Call, Grant};

fn of_an_actor(actor: Actor, call: Arc<Call>) -> Grant {
    Grant::new(actor, call)
}

fn of_a_workspace(workspace: WorkspaceId, call: Arc<Call>) -> Grant {
    Grant { authority: workspace, call }
}

fn main() {}
