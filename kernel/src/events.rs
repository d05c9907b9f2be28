//! What happened, for others to hear: written to the outbox in the same transaction, relayed afterwards.

mod flow;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::base::id::{EventId, WorkspaceId};

pub use flow::publish;
pub(crate) use flow::publish_raw;

/// An event's type: its subject and its body.
///
/// ```
/// #[derive(serde::Serialize)]
/// struct ProjectCreated { id: String }
/// impl saas_kernel::events::Event for ProjectCreated {
///     const SUBJECT: &'static str = "project.created";
/// }
/// ```
pub trait Event: Serialize {
    /// `thing.happened`; subscribers see `ws.<workspace>.<SUBJECT>`.
    const SUBJECT: &'static str;
}

/// An event on its way to the outbox.
#[derive(Clone, Debug)]
pub struct OutboxEvent {
    /// Consumers use it to notice a second delivery.
    pub id: EventId,
    /// Whose event it is; order is kept within it.
    pub workspace: WorkspaceId,
    /// See [`Event::SUBJECT`].
    pub subject: &'static str,
    /// The body.
    pub body: Value,
}

impl OutboxEvent {
    /// An event of `workspace`; its id is made at `at`, its time is stamped by the system of record.
    pub fn new(at: DateTime<Utc>, workspace: WorkspaceId, subject: &'static str, body: Value) -> Self {
        Self { id: EventId::generate(at), workspace, subject, body }
    }
}
