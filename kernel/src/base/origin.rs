//! The origin of a record: who acted, for whom, and in which request.

use std::sync::Arc;

use crate::base::actor::Actor;
use crate::base::ctx::Ctx;
use crate::base::id::UserId;

/// Who caused a record, and in which call. Stored with every audit entry and event.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Origin {
    /// The person, API key or system part that acted.
    pub actor: Actor,
    /// The person on whose behalf a staff member or the system acted.
    pub acting_as: Option<UserId>,
    /// Id of the request.
    pub request_id: Arc<str>,
    /// Trace context of the request, as W3C `traceparent`.
    pub trace: Option<Arc<str>>,
}

impl Origin {
    /// Creates the origin of what `actor` does in the call of `ctx`.
    pub fn new(ctx: &Ctx, actor: Actor) -> Self {
        Self { actor, acting_as: None, request_id: ctx.request_id.clone(), trace: ctx.trace.clone() }
    }
}
