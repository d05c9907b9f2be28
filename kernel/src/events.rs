//! Events for other systems, written to the outbox in the same transaction as the change and relayed later.

mod flow;

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use crate::access::Grant;
use crate::base::actor::Actor;
use crate::base::ctx::Ctx;
use crate::base::id::{EventId, UserId};
use crate::base::origin::Origin;
use crate::base::subject::Subject;

pub use flow::{publish, publish_raw};

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
    /// Version of the body's form; raised when consumers have to tell the new form from the old one.
    const VERSION: u16 = 1;
}

/// An event to be written to the outbox by the transaction's commit.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OutboxEvent {
    /// Id of the event; consumers use it to detect a second delivery.
    pub id: EventId,
    /// What the event is about. Events about one subject keep their order.
    pub about: Subject,
    /// Who acted, for whom, in which request.
    pub origin: Origin,
    /// Subject of the event; see [`Event::SUBJECT`].
    pub subject: Cow<'static, str>,
    /// Body of the event.
    pub body: Value,
    /// Version of the body's form; see [`Event::VERSION`].
    pub version: u16,
}

impl OutboxEvent {
    /// Creates an event of version 1 about `about`, caused by `actor`; the database sets its time. Where there is a grant,
    /// [`OutboxEvent::by`] is simpler.
    pub fn new(
        ctx: &Ctx,
        actor: Actor,
        about: impl Into<Subject>,
        subject: impl Into<Cow<'static, str>>,
        body: Value,
    ) -> Self {
        let (id, origin) = (EventId::generate(ctx.now), Origin::new(ctx, actor));
        Self { id, about: about.into(), origin, subject: subject.into(), body, version: 1 }
    }

    /// Creates an event of version 1 about the grant's workspace, caused by the caller.
    pub fn by(grant: &Grant, subject: impl Into<Cow<'static, str>>, body: Value) -> Self {
        Self::new(grant.ctx(), grant.actor(), grant.workspace(), subject, body).acting_as(grant.acting_as())
    }

    /// Sets the person on whose behalf a staff member or the system acted.
    #[must_use]
    pub fn acting_as(mut self, person: Option<UserId>) -> Self {
        self.origin.acting_as = person;
        self
    }

    /// Sets the version of the body's form.
    #[must_use]
    pub fn version(mut self, version: u16) -> Self {
        self.version = version;
        self
    }
}
