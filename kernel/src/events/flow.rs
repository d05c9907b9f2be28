//! Publishes events.

use std::borrow::Cow;

use serde_json::Value;

use super::{Event, OutboxEvent};
use crate::access::Grant;
use crate::base::error::Error;
use crate::store::Tx;

/// Publishes `event` about the grant's workspace. It is written to the outbox when the transaction commits.
///
/// # Errors
/// If the event cannot be serialised, or the transaction is not one of the grant's workspace.
pub fn publish<E: Event>(grant: &Grant, tx: &mut dyn Tx, event: &E) -> Result<(), Error> {
    let body = serde_json::to_value(event).map_err(Error::broken)?;
    put(grant, tx, OutboxEvent::by(grant, E::SUBJECT, body).version(E::VERSION))
}

/// Publishes an event whose subject or body is known only at run time, as version 1.
///
/// # Errors
/// If the transaction is not one of the grant's workspace.
pub fn publish_raw(
    grant: &Grant,
    tx: &mut dyn Tx,
    subject: impl Into<Cow<'static, str>>,
    body: Value,
) -> Result<(), Error> {
    put(grant, tx, OutboxEvent::by(grant, subject, body))
}

fn put(grant: &Grant, tx: &mut dyn Tx, event: OutboxEvent) -> Result<(), Error> {
    grant.enter(tx)?.records().event(event);
    Ok(())
}
