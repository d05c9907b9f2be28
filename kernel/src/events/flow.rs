//! Publishes events.

use serde_json::Value;

use super::{Event, OutboxEvent};
use crate::access::Can;
use crate::base::error::Error;
use crate::store::Tx;

/// Publishes `event`. It is written to the outbox when the transaction commits.
///
/// # Errors
/// If the event cannot be serialised, or the transaction is not one of the proof's workspace.
pub fn publish<P, E: Event>(can: &Can<P>, tx: &mut dyn Tx, event: &E) -> Result<(), Error> {
    publish_raw(can, tx, E::SUBJECT, serde_json::to_value(event).map_err(Error::broken)?)
}

pub(crate) fn publish_raw<P>(can: &Can<P>, tx: &mut dyn Tx, subject: &'static str, body: Value) -> Result<(), Error> {
    can.enter(tx)?.records().event(OutboxEvent::new(can.now(), can.workspace(), subject, body));
    Ok(())
}
