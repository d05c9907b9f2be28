//! What happened, for others to hear: written to the outbox in the same transaction, relayed afterwards.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::access::Can;
use crate::error::Error;
use crate::id::{EventId, WorkspaceId};
use crate::store::Tx;

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

/// The kernel's own subjects.
pub mod subject {
    /// A workspace was founded.
    pub const WORKSPACE_CREATED: &str = "workspace.created";
    /// A workspace's name or slug changed.
    pub const WORKSPACE_UPDATED: &str = "workspace.updated";
    /// Somebody joined.
    pub const MEMBER_JOINED: &str = "member.joined";
    /// A member's role changed.
    pub const MEMBER_UPDATED: &str = "member.updated";
    /// Somebody left or was removed.
    pub const MEMBER_REMOVED: &str = "member.removed";
    /// What a workspace pays for changed.
    pub const SUBSCRIPTION_CHANGED: &str = "subscription.changed";
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

/// Publishes `event` if and when the transaction commits.
///
/// # Errors
/// When the event cannot be serialised, or the transaction is of another workspace.
pub fn publish<P, E: Event>(can: &Can<P>, tx: &mut dyn Tx, event: &E) -> Result<(), Error> {
    publish_raw(can, tx, E::SUBJECT, serde_json::to_value(event).map_err(Error::broken)?)
}

pub(crate) fn publish_raw<P>(can: &Can<P>, tx: &mut dyn Tx, subject: &'static str, body: Value) -> Result<(), Error> {
    can.enter(tx)?.records().event(OutboxEvent::new(can.now(), can.workspace(), subject, body));
    Ok(())
}
