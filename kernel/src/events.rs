//! Events for other systems, written to the outbox in the same transaction as the change and relayed later.

mod flow;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::base::id::{EventId, WorkspaceId};

pub use flow::publish;
pub(crate) use flow::publish_raw;

/// An event type: its subject and its serialised body.
///
/// ```
/// #[derive(serde::Serialize)]
/// struct ProjectCreated { id: String }
/// impl saas_kernel::events::Event for ProjectCreated {
///     const SUBJECT: &'static str = "project.created";
/// }
/// ```
pub trait Event: Serialize {
    /// Subject in the form `thing.happened`; subscribers see `ws.<workspace>.<SUBJECT>`.
    const SUBJECT: &'static str;
}

/// An event to be written to the outbox by the transaction's commit.
#[derive(Clone, Debug)]
pub struct OutboxEvent {
    /// Id of the event; consumers use it to detect a second delivery.
    pub id: EventId,
    /// Workspace of the event. Events of one workspace keep their order.
    pub workspace: WorkspaceId,
    /// Subject of the event; see [`Event::SUBJECT`].
    pub subject: &'static str,
    /// Body of the event.
    pub body: Value,
}

impl OutboxEvent {
    /// Creates an event of `workspace`. Its id is generated at `at`; the database sets its time.
    pub fn new(at: DateTime<Utc>, workspace: WorkspaceId, subject: &'static str, body: Value) -> Self {
        Self { id: EventId::generate(at), workspace, subject, body }
    }
}
